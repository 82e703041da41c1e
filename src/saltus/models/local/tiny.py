"""Tiny random checkpoints of real architectures, for tests and benchmarks, ours and others'.

They know nothing; they load, tokenize and answer in milliseconds and differ in what goes wrong in practice: learned
or rotary positions, grouped heads, sliding windows, soft caps, tied heads, a tokenizer with, without, or itself
prepending BOS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from saltus.models.local.loading import quiet

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt_neox": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    },
    "llama": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    },
    "gemma2": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "sliding_window": 16,
    },
    "gemma3_text": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "sliding_window": 16,
    },
    "qwen2": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    },
    "mistral": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "sliding_window": 16,
    },
}
"""transformers' model types and the sizes that make them tiny; windows of 16 are narrower than the tests' rows."""

Bos = Literal["prepends", "has", "none"]

_TEXT = (
    "the quick brown fox jumps over the lazy dog 0123456789 what is the answer to the question the answer is "
    "a red house and an old man walked along the river in the morning light"
)


def tokenizer(folder: Path, bos: Bos = "has", template: str | None = None) -> Any:
    """A byte-level BPE with a few merges, saved into folder. bos: prepended by itself, only there, or absent."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<eos>", "<pad>"] if bos == "none" else ["<eos>", "<pad>", "<bos>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([_TEXT] * 3, trainer)
    if bos == "prepends":
        bpe.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", bpe.token_to_id("<bos>"))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<eos>", pad_token="<pad>", **({} if bos == "none" else {"bos_token": "<bos>"})
    )
    if template is not None:
        fast.chat_template = template
    fast.save_pretrained(folder)
    return fast


def checkpoint(
    folder: Path,
    architecture: str = "llama",
    *,
    seed: int = 0,
    bos: Bos = "has",
    template: str | None = None,
    **config: Any,
) -> Path:
    """A random model of that architecture with its tokenizer, saved as transformers saves; the folder again.

    Weights are drawn wide enough that log-probabilities differ clearly. `config` overrides sizes. torch's global
    generator is left as it was.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    words = tokenizer(folder, bos, template)
    sizes = {**ARCHITECTURES[architecture], "vocab_size": len(words), **config}
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(architecture, **sizes, **ids, initializer_range=0.3)
        )
    with quiet():
        net.save_pretrained(folder)
    return folder
