"""Trains a small GPT-2 on given texts with transformers' Trainer and keeps its checkpoints: OUT TEXTS STEPS (JSON)."""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

out, texts, steps = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
letters = sorted(
    set("".join(texts)) | set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:?!+=()'\n-")
)
words = {"<eos>": 0, **{c: i + 1 for i, c in enumerate(letters)}}
raw = Tokenizer(models.BPE(vocab=words, merges=[]))
raw.decoder = decoders.Fuse()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token="<eos>")
torch.manual_seed(0)
config = GPT2Config(
    vocab_size=len(words),
    n_positions=96,
    n_embd=96,
    n_layer=2,
    n_head=4,
    bos_token_id=0,
    eos_token_id=0,
    resid_pdrop=0,
    embd_pdrop=0,
    attn_pdrop=0,
)
model = GPT2LMHeadModel(config)
rows = [[*tokenizer(t)["input_ids"][:31], 0] for t in texts]


def batch(items):
    longest = max(map(len, items))
    ids = torch.tensor([r + [0] * (longest - len(r)) for r in items])
    at = torch.arange(longest)[None]
    length = torch.tensor([[len(r)] for r in items])
    return {"input_ids": ids, "labels": ids.masked_fill(at >= length, -100), "attention_mask": (at < length).long()}


class At(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        control.should_save = state.global_step in steps
        return control


arguments = TrainingArguments(
    output_dir=str(out),
    per_device_train_batch_size=56,
    learning_rate=4e-3,
    max_steps=max(steps),
    lr_scheduler_type="constant_with_warmup",
    warmup_steps=10,
    save_strategy="no",
    report_to=[],
    logging_strategy="no",
    disable_tqdm=True,
    use_cpu=True,
    seed=0,
    dataloader_pin_memory=False,
    save_only_model=True,
)
trainer = Trainer(
    model=model, args=arguments, train_dataset=rows, data_collator=batch, processing_class=tokenizer, callbacks=[At()]
)
trainer.train()
