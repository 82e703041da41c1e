"""`addition`: sums of n-digit numbers, learned digit by digit, so that exact match leaps where the skill climbs.

The metric artefact (Schaeffer et al. 2023): all n + 1 digits must be right at once. Operands are padded to n digits,
the answer is written least significant first, and only its digits are trained on. The task asks digits drawn alike;
training draws small ones a little more often (`spread`), and the rate warms up over half of the run.

Seen (`benchmarks/zoo_training.py`, three seeds, digits drawn alike): nats per digit climb from step 24 to step 596,
that is over 1.4 decades of tokens, from −2.5 to −0.1, no step between checkpoints holding a fifth of the rise; the
mean probability per digit is .33 at step 230, .5 around 354–400, .8 around 494–544, .95 around 596–704. Exact match is
.00 at step 230, .06–.14 at 354, .54–.73 at 494 and .87–.97 at 596: its 10–90 % rise takes a quarter of a decade.
Where each digit is right with .98 it is .92. The mean product of a sum's digit probabilities trails it, because
a digit counts as right once it is likeliest. About 35 s a seed.

Tried and dropped: digits alike in training at a constant rate give long plateaus and one abrupt step per place (each
carry is learned suddenly), and four digits do not end within a minute. The spread and the slow warm-up let the places
be learned at overlapping times; batches of 64 make exact match waver by .04 between checkpoints.
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

EVALUATION = 512
SCHEDULE = Schedule(steps=1000, points=24, rate=2.5e-3, batch=128, warmup=500, decay="linear")
PLUS, EQUALS = tokens.CHARACTERS.index("+"), tokens.CHARACTERS.index("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """`123+456=9750`, a new batch of sums at every step; only the answer's digits are predicted."""

    name: str = "addition"
    digits: int = 3
    spread: float = 0.5
    """Digit d of an operand is drawn with weight (d + 1)^-spread: 0 is every digit alike."""
    layers: int = 2
    width: int = 64
    heads: int = 4
    schedule: Schedule = SCHEDULE

    @property
    def length(self) -> int:
        return 3 * self.digits + 3

    @property
    def tokens_per_step(self) -> int:
        return self.schedule.batch * self.length

    def network(self) -> PreTrainedModel:
        from transformers import LlamaConfig, LlamaForCausalLM

        eos = tokens.CHARACTERS.index(tokens.EOS)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokens.CHARACTERS),
                hidden_size=self.width,
                intermediate_size=4 * self.width,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                max_position_embeddings=128,  # room for worked examples and longer sums
                bos_token_id=None,
                eos_token_id=eos,
                pad_token_id=eos,
            )
        )

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return tokens.characters()

    def loss(self, network: PreTrainedModel, seed: int, step: int) -> torch.Tensor:
        ids = self.sums(self.schedule.batch, seed_from("addition", seed, step), self.spread)
        return self._nats(network, ids).mean()

    def evaluate(self, network: PreTrainedModel, seed: int) -> Mapping[str, float]:
        """`loss` as trained. With digits drawn alike, as the task asks: `uniform_loss` (nats per digit), `digit_prob`,
        `digit_accuracy`, `exact_match` and `product`, the mean product of a sum's digit probabilities.
        """
        ids = self.sums(EVALUATION, seed_from("addition evaluation"), self.spread)
        logits = self._answers(network, asked := self.sums(EVALUATION, seed_from("addition uniform"), 0))
        digits = asked[:, -self.digits - 1 :]
        gold = logits.log_softmax(-1).gather(2, digits[..., None])[..., 0]
        right = logits.argmax(-1) == digits
        return {
            "loss": self._nats(network, ids).mean().item(),
            "uniform_loss": -gold.mean().item(),
            "digit_prob": gold.exp().mean().item(),
            "digit_accuracy": right.float().mean().item(),
            "exact_match": right.all(1).float().mean().item(),
            "product": gold.sum(1).exp().mean().item(),
        }

    def sums(self, n: int, seed: int, spread: float) -> torch.Tensor:
        """Token ids [n, length] of solved sums; a digit's id is the digit."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        weights = torch.arange(1.0, 11.0) ** -spread
        drawn = torch.multinomial(weights, n * 2 * self.digits, replacement=True, generator=generator)
        a, b = drawn.view(2, n, self.digits)
        places = 10 ** torch.arange(self.digits + 1)
        total = ((a + b) * places[:-1].flip(0)).sum(1)
        answer = total[:, None] // places % 10  # least significant first
        plus, equals = (torch.full((n, 1), sign) for sign in (PLUS, EQUALS))
        return torch.cat([a, plus, b, equals, answer], dim=1)

    def _answers(self, network: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        """Logits [n, digits + 1, vocabulary] at the places of the answer."""
        logits: torch.Tensor = network(ids[:, :-1], logits_to_keep=self.digits + 1).logits
        return logits

    def _nats(self, network: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        import torch

        logits = self._answers(network, ids).transpose(1, 2)
        return torch.nn.functional.cross_entropy(logits, ids[:, -self.digits - 1 :], reduction="none")
