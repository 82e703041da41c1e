"""The seam between what is asked and what is computed: rows of token ids in, log-probabilities out.

An `Engine` scores one network. It reads every distinct token once (`packed`) where that was proved to give the
numbers of the architecture's own forward pass, and else batches plainly (`plain`). The proof is a self-check on
random tokens before anything is trusted: branches, a prefix carried from one forward pass to the next, several
tokens after one prefix. Rows longer than a sliding window are packed only after a check of such rows, made when the
first of them is asked. A number that is not finite is asked again plainly, because one NaN can reach its neighbours
through a mask.

Limit: a network in half precision is proved in fp32 where a copy of its weights fits the memory budget; a larger one
is only known to agree within the noise of its dtype.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from saltus.models.local import packed, plain
from saltus.models.local.head import Head, vocabulary
from saltus.models.local.memory import Budget
from saltus.models.local.packed import Unpackable
from saltus.models.local.rows import Row, Scored
from saltus.models.local.tuning import Tuner

EXACT = 1e-4
"""Nats by which packed scores may differ from plain ones in fp32."""
ROUNDED = 0.5
"""The same in half precision."""
LEAST = 128
"""Tokens in a forward pass, however small the budget: token by token sums round otherwise (1.5e-5 nats), and slowly."""

Truth = dict[int, list[float]]
"""Log-probabilities per row."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a network changes its ways with the length of a row, and how much may be asked of it at once."""

    window: int | None
    """Most tokens it was built for."""
    batch_tokens: int
    memory_mb: int | None
    """Beside the weights; None: see `memory`."""


class Engine:
    """See the module's docstring. `noise`: largest |Δ| in nats between batched and single rows at the self-check."""

    def __init__(self, net: Any, limits: Limits) -> None:
        self.net, self.limits = net, limits
        self.budget = Budget.of(net, limits.memory_mb)
        self.most = max(LEAST, min(limits.batch_tokens, self.budget.tokens))
        self.tuner, self.head = Tuner(self.most), Head(net, self.budget.own_cells)
        self.slides, self.stretches = sliding(net.config), stretching(net.config)
        near = check_rows(net, min(limits.window or NEAR, NEAR))
        batched = list(plain.score(net, near, 10**6, self.budget.head_cells))
        truth = single(net, near)
        self.batched = furthest(truth, batched)
        """Of plain batches and single rows; whoever opens the network decides whether that will do."""
        self.noise = self.batched.nats
        self.why = self._refusal(near, truth)
        """Why rows are not packed; None where they are."""
        self.why_far = "untried" if self.slides is not None else None
        """The same of rows longer than a sliding window."""

    def score(self, rows: Sequence[Row]) -> Iterator[Scored]:
        """Every row's continuation, in any order.

        Positions that stretch remember the longest row until a short one comes, hence the token in between.
        """
        groups = self._sorted(rows)
        again = []
        by_index = {row.index: row for row in groups["packed"]}
        if groups["packed"]:
            for scored in self._packed(self.net, groups["packed"], self.tuner):
                if all(map(math.isfinite, scored.logprobs)):
                    yield scored
                else:
                    again.append(by_index[scored.index])
        yield from plain.score(self.net, again + groups["plain"], self.most, self.budget.head_cells)
        for row in groups["alone"]:
            with torch.inference_mode():
                self.net(input_ids=torch.zeros((1, 1), dtype=torch.long, device=self.net.device))
            yield from plain.score(self.net, [row], 1, self.budget.head_cells)

    def describe(self) -> dict[str, Any]:
        """How it computes, for provenance."""
        return {
            "mode": "plain" if self.why else "packed",
            "why_plain": self.why,
            "sliding_window": self.slides,
            "why_plain_beyond_window": self.why_far,
            "memory_mb": self.budget.megabytes,
            "longest_packed": self.budget.path,
            "tokens_per_forward": self.tuner.best,
        }

    def _sorted(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Which row is computed in which way."""
        groups: dict[str, list[Row]] = {"packed": [], "plain": [], "alone": []}
        for row in rows:
            if self.stretches is not None and row.length > self.stretches:
                groups["alone"].append(row)
            elif self.why or row.length > self.budget.path or not self._reaches(row.length):
                groups["plain"].append(row)
            else:
                groups["packed"].append(row)
        return groups

    def _reaches(self, length: int) -> bool:
        """Whether rows that long may be packed; tries it once for those longer than a sliding window."""
        if self.slides is None or length <= self.slides:
            return True
        if self.why_far == "untried":
            longest = min(self.limits.window or math.inf, self.slides + 9)
            rows = check_rows(self.net, int(longest))
            self.why_far = self._refusal(rows, single(self.net, rows))
        return self.why_far is None

    def _refusal(self, rows: Sequence[Row], truth: Truth) -> str | None:
        """Why such rows must not be packed; None if they may. truth: what single rows give."""
        bar = EXACT if self.net.dtype == torch.float32 else ROUNDED
        try:
            apart = self._apart(self.net, rows, truth)
            if bar == ROUNDED and self.budget.fits_in_fp32 and apart.scaled <= bar:
                net = copy.deepcopy(self.net).float()
                self.noise, bar = max(self.noise, apart.nats), EXACT
                apart = self._apart(net, rows, single(net, rows))
        except (Unpackable, RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
            return f"{type(error).__name__}: {error}".partition("\n")[0]
        if apart.scaled > bar:
            return f"packed scores differ from plain ones by {apart.nats:.2g} nats"
        self.noise = max(self.noise, apart.nats)
        return None

    def _apart(self, net: Any, rows: Sequence[Row], truth: Truth) -> Gap:
        """Between packed and single scores: in one forward pass, and in several that cut through paths."""
        longest = max(row.length for row in rows)
        cut = max(1, longest * 2 // 3)
        ways = (lambda *_: 5 * longest, lambda *_: cut)
        return max(furthest(truth, list(self._packed(net, rows, way))) for way in ways)

    def _packed(self, net: Any, rows: Sequence[Row], budget: Any) -> Iterator[Scored]:
        head = self.head if net is self.net else Head(net, self.budget.own_cells)
        return packed.score(net, rows, budget, head)


NEAR = 24
"""Length of the self-check's rows."""
MOST = 24
"""Most tokens one of them asks for."""


def check_rows(net: Any, longest: int) -> list[Row]:
    """Random rows that branch late, early and not at all; one prefix before two single tokens.

    Long rows are few and ask little: they are there for what lies beyond a window.
    """
    dice = torch.Generator().manual_seed(0)

    def some(n: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary(net), (n,), generator=dice).tolist())

    stem = some(longest)
    late, early = longest * 3 // 4, longest // 4
    texts = [
        stem + some(1),
        stem + some(1),
        stem[:late] + some(longest - late + 1),
        stem[:early] + some(max(2, longest // 3)),
        some(max(2, longest // 2)),
    ]
    ends = (longest, longest, min(late, longest - 1) or 1, max(1, early), 1)
    cuts = [max(end, len(t) - MOST) for t, end in zip(texts, ends, strict=True)]
    asked = [Row(i, t[:c], t[c:]) for i, (t, c) in enumerate(zip(texts, cuts, strict=True))]
    return [row for row in asked if row.continuation][: 3 if longest > NEAR else None]


def single(net: Any, rows: Sequence[Row]) -> Truth:
    """Log-probabilities by the architecture's own forward pass, one row at a time."""
    found, spares = {}, "logits_to_keep" in inspect.signature(net.forward).parameters
    for row in rows:
        last = len(row.continuation)
        with torch.inference_mode():
            logits = net(
                input_ids=torch.tensor([row.read], device=net.device), **({"logits_to_keep": last} if spares else {})
            ).logits[0]
        wanted = logits[-last:].float().log_softmax(-1)
        found[row.index] = [wanted[k, token].item() for k, token in enumerate(row.continuation)]
    return found


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Between two ways to compute the same log-probabilities."""

    scaled: float
    """The largest |Δ|, of log-probabilities beyond -10 per ten nats: random tokens are that unlikely, and a deep
    network in fp32 rounds what it says of them by more than 1e-4."""
    nats: float
    """The largest |Δ| as it is."""


def furthest(truth: Truth, scored: Sequence[Scored]) -> Gap:
    """The gap. Where the truth is NaN there is no disagreement: it is reported where it is asked."""
    scaled = nats = 0.0
    for one in scored:
        for ours, theirs in zip(one.logprobs, truth[one.index], strict=True):
            if math.isfinite(theirs):
                apart = abs(ours - theirs) if math.isfinite(ours) else math.inf
                nats, scaled = max(nats, apart), max(scaled, apart / max(1.0, -theirs / 10))
    return Gap(scaled, nats)


def sliding(config: Any) -> int | None:
    """The narrowest window of any layer's attention."""
    text = config.get_text_config()
    named = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    widths = [width for width in named if isinstance(width, int) and width > 0]
    return min(widths, default=None)


def stretching(config: Any, ways: Sequence[str] = ("dynamic", "longrope")) -> int | None:
    """Tokens from which on a network's positions depend on the longest row beside it, if they ever do."""
    text = config.get_text_config()
    stated = [text.to_dict().get("rope_parameters") or {}]
    kinds: list[tuple[Any, Any]] = []
    while stated:
        one = stated.pop()
        kinds.append((one.get("rope_type"), one.get("original_max_position_embeddings")))
        stated += [value for value in one.values() if isinstance(value, dict)]
    own = getattr(text, "original_max_position_embeddings", None)
    own = own or getattr(text, "max_position_embeddings", None) or 0
    found = [original or own for kind, original in kinds if kind in ways]
    return min(found, default=None)
