"""`grokking`: addition modulo p from a part of all pairs; memorised early, understood late.

All training pairs are shown at every step under strong weight decay. Training loss falls within a hundred steps;
held-out pairs stay at chance, their log-probability even sinks, and then, long after, they leap (Power et al. 2022;
Nanda et al. 2023). The split is the one the task `modular_addition` asks about, the same for all seeds, so seeds
differ in their first weights alone.

Seen (`benchmarks/zoo_training.py`): in three seeds the training pairs are known by step 115; held-out accuracy is at
most .03 there, passes one half near steps 208, 297 and 310, and is .99 at step 423. Held-out loss first doubles, from
4.2 to 8–10 nats, so the log-probability of the answer is no monotone twin of accuracy; its probability
(`held_out_prob`) is: it sinks a little below chance and then leaps with it. About 17 s a seed.

The recipe (strong decay, embeddings of standard deviation 0.3, width 96) is the fastest of some twenty tried that leaps
in one piece for all three seeds. Weight decay 1 to 2 or smaller embeddings let some seeds creep from a tenth to nine
tenths over most of a decade, because a part of the pairs generalises while the rest is memorised.

`tokens` counts what is read, again and again: p² pairs hold few distinct ones. `loss` is that of the training
pairs, because a fresh batch does not exist; `held_out_loss` is apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from saltus.zoo import tokens
from saltus.zoo.training import Schedule

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SCHEDULE = Schedule(steps=600, points=24, rate=4e-3, batch=1392, weight_decay=4.0, warmup=10, clip=None)
LENGTH = 4
"""`12 + 40 =`; the answer is the fifth token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grokking:
    """(a + b) mod p in full batches."""

    name: str = "grokking"
    p: int = 59
    fraction: float = 0.4
    split_seed: int = 0
    width: int = 96
    heads: int = 4
    embedding_range: float = 0.3
    schedule: Schedule = SCHEDULE

    def __post_init__(self) -> None:
        pairs = round(self.fraction * self.p**2)
        if self.schedule.batch != pairs:
            raise ValueError(f"full batches of {pairs} pairs, not of {self.schedule.batch}")

    @property
    def tokens_per_step(self) -> int:
        return self.schedule.batch * (LENGTH + 1)

    def network(self) -> PreTrainedModel:
        from saltus.zoo.grokking_model import PlainConfig, PlainForCausalLM

        return PlainForCausalLM(
            PlainConfig(
                vocab_size=len(tokens.residue_names(self.p)),
                hidden_size=self.width,
                intermediate_size=4 * self.width,
                num_attention_heads=self.heads,
                max_position_embeddings=LENGTH + 1,
                embedding_range=self.embedding_range,
            )
        )

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return tokens.residues(self.p)

    def loss(self, network: PreTrainedModel, seed: int, step: int) -> torch.Tensor:
        import torch

        logits, answers = self._asked(network, held_out=False)
        return torch.nn.functional.cross_entropy(logits, answers)

    def evaluate(self, network: PreTrainedModel, seed: int) -> Mapping[str, float]:
        """`loss` and `accuracy` on the training pairs; on the others `held_out_loss`, `_accuracy` and the mean
        probability of the right answer, `held_out_prob`.
        """
        import torch

        trained, answers = self._asked(network, held_out=False)
        fresh, held = self._asked(network, held_out=True)
        gold = fresh.log_softmax(-1).gather(1, held[:, None])
        return {
            "loss": torch.nn.functional.cross_entropy(trained, answers).item(),
            "accuracy": (trained.argmax(-1) == answers).float().mean().item(),
            "held_out_loss": -gold.mean().item(),
            "held_out_prob": gold.exp().mean().item(),
            "held_out_accuracy": (fresh.argmax(-1) == held).float().mean().item(),
        }

    def _asked(self, network: PreTrainedModel, *, held_out: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [pairs, vocabulary] after `a + b =`, and the right answers [pairs]."""
        prompts, answers = _prompts(self.p, self.fraction, self.split_seed, held_out)
        return network(prompts, logits_to_keep=1).logits[:, 0], answers


@cache
def _prompts(p: int, fraction: float, split_seed: int, held_out: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [pairs, 4] of `a + b =` and the answers [pairs]; a number's id is the number."""
    import torch

    from saltus.tasks.modular_addition import split

    pairs = torch.from_numpy(split(p, fraction, split_seed)[held_out].copy())
    signs = torch.tensor([p, p + 1]).expand(len(pairs), 2)
    prompts = torch.stack([pairs[:, 0], signs[:, 0], pairs[:, 1], signs[:, 1]], dim=1)
    return prompts, pairs.sum(1) % p
