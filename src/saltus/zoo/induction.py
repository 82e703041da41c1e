"""`induction-2l` and `induction-1l`: in-context copying, which two attention layers learn in one narrow window.

Random tokens are repeated with a random period, so nothing can be predicted but the second copy, and that only by
finding the previous occurrence of the current token and copying what came after it (Olsson et al. 2022, "In-context
learning and induction heads"). One attention layer cannot compose the two steps and is the negative control; the
width of the network is a second axis along which the ability appears.

Seen (`benchmarks/zoo_training.py`; accuracy where the answer stands in the context): three seeds of two layers stay at
.12–.13 until step 124 and go from .16–.22 at step 152 to .86–.89 at step 245, ending at .94–.95, while the loss over
all positions falls from 3.6–3.7 to 2.1–2.2 nats in the same window. One layer ends at .11: it learns to answer with
some token of its context. About 30 s a seed for two layers and 20 s for one.

An attention-only network is written as a Llama whose MLP output weights are zero and frozen, so that every
checkpoint loads as an ordinary `LlamaForCausalLM`. `params` counts what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saltus.hashing import seed_from
from saltus.zoo import tokens
from saltus.zoo.training import Schedule

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SCHEDULE = Schedule(steps=600, points=20, rate=3e-3, batch=64)
EVALUATION = 256
"""Sequences of the fixed evaluation batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Induction:
    """Repeated random tokens for an attention-only network."""

    name: str = "induction-2l"
    layers: int = 2
    width: int = 64
    heads: int = 4
    vocabulary: int = 64
    length: int = 48
    periods: tuple[int, int] = (8, 24)
    """Shortest and longest, both included."""
    schedule: Schedule = SCHEDULE

    def __post_init__(self) -> None:
        # Rotary positions turn pairs of a head's coordinates.
        if not (isinstance(self.width, int) and 0 < self.width <= 1024 and self.width % (2 * self.heads) == 0):
            raise ValueError(f"width {self.width} is no multiple of {2 * self.heads} up to 1024")

    @property
    def tokens_per_step(self) -> int:
        return self.schedule.batch * self.length

    def network(self) -> PreTrainedModel:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        network = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.width,
                intermediate_size=1,  # dead weight: the MLP is switched off below
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                max_position_embeddings=4 * self.length,  # so that longer contexts may be asked
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        for layer in network.model.layers:
            layer.mlp.requires_grad_(False)
            torch.nn.init.zeros_(layer.mlp.down_proj.weight)
        return network

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return tokens.words(self.vocabulary)

    def loss(self, network: PreTrainedModel, seed: int, step: int) -> torch.Tensor:
        ids, _ = self.sequences(self.schedule.batch, seed_from("induction", seed, step))
        return _nats(network, ids).mean()

    def evaluate(self, network: PreTrainedModel, seed: int) -> Mapping[str, float]:
        """`loss` over all positions; `copy_loss` and `copy_accuracy` where the answer stands in the context."""
        import torch

        ids, periods = self.sequences(EVALUATION, seed_from("induction evaluation"))
        logits = network(ids[:, :-1]).logits
        nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        copied = torch.arange(1, self.length)[None] >= periods[:, None] + 1
        right = logits.argmax(-1) == ids[:, 1:]
        return {
            "loss": nats.mean().item(),
            "copy_loss": nats[copied].mean().item(),
            "copy_accuracy": right[copied].float().mean().item(),
        }

    def sequences(self, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """n sequences [n, length] and their periods [n]."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        low, high = self.periods
        periods = torch.randint(low, high + 1, (n,), generator=generator)
        first = torch.randint(self.vocabulary, (n, high), generator=generator)
        where = torch.arange(self.length)[None] % periods[:, None]
        return first.gather(1, where), periods


def _nats(network: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    import torch

    logits = network(ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
