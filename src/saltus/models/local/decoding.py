"""Generation: greedy or sampled, each answer with a random stream of its own.

Rows of like length are decoded together with the network's cache, padded on the left under a mask, or, where a
network does not bear that, rows of one length, or each row alone. A network whose positions stretch (`stretching`)
reads a row by the longest one beside it: rows that may cross that length are decoded alone. Sampling reads one
uniform number per token from the row's own generator, so neither order nor batch chooses another token. Limit:
batches of other shapes differ by about 1e-6 in a logit; a draw that falls within that of a boundary can change.
Log-probabilities are the network's own, before temperature and top_p.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from saltus.models.local.caches import Unselectable, select
from saltus.models.local.engine import stretching
from saltus.models.local.head import read_logits, vocabulary
from saltus.records import Settings

Company = Literal["padded", "level", "alone"]
"""Rows of any lengths under a mask, rows of one length, or one row at a time."""


@dataclass(slots=True)
class Row:
    """One prompt being answered. `limit`: tokens it may still say, by its settings or the network's window."""

    index: int
    prompt: tuple[int, ...]
    settings: Settings
    seed: int
    limit: int
    rng: np.random.Generator = field(init=False)
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    text: str = ""
    finish: str | None = None
    """"eos", "stop", "length" (its settings), "window" (the network's), "nan"."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Speaker:
    """What decoding needs beside the network: token ids that end an answer, and text from ids."""

    eos: frozenset[int]
    decode: Callable[[list[int]], str]
    company: Company = "padded"
    """Which rows may be decoded together (`company`)."""
    spell: Callable[[list[int]], str] | None = None
    """Text from ids, special tokens written out; None where there are none."""
    special: frozenset[str] = frozenset()
    """The spelling of each special token, which `decode` leaves out."""


def generate(net: Any, rows: Sequence[Row], speaker: Speaker, budget: int) -> Iterator[Row]:
    """The same rows, finished, in any order. budget: tokens (padding and answers included) held at once."""
    batch: list[Row] = []
    bound = stretching(net.config)
    for row in sorted(rows, key=lambda r: (-len(r.prompt), -r.limit, r.index)):
        widest = max(len(r.prompt) + r.limit for r in (*batch, row))
        level = speaker.company == "padded" or not batch or len(batch[0].prompt) == len(row.prompt)
        apart = speaker.company == "alone" or not level or (bound is not None and widest > bound)
        if batch and (apart or (len(batch) + 1) * widest > budget):
            yield from _together(net, batch, speaker)
            batch = []
        batch.append(row)
    if batch:
        yield from _together(net, batch, speaker)


def company(net: Any, tolerance: float, window: int | None) -> Company:
    """The first of padded and level batches that gives the logits that each row gives alone, else "alone".

    tolerance: in nats, of log-probabilities beyond -10 per ten nats. Tried on random tokens: some are read, one row
    leaves, more are read. A network that takes no mask, counts positions from the pads, or keeps what it has read in
    another way than `caches` knows, gives other logits in such batches. NaN counts as agreement: it is reported
    where it is asked.
    """
    dice = torch.Generator().manual_seed(1)
    longest = max(1, min(9, (window or 9) - _STEPS))
    texts = [torch.randint(vocabulary(net), (longest + _STEPS,), generator=dice).tolist() for _ in range(3)]
    lengths: dict[Company, list[int]] = {"padded": [longest, (longest + 1) // 2, longest], "level": [longest] * 3}
    for way, cuts in lengths.items():
        rows = list(zip(texts, cuts, strict=True))
        try:
            apart = _apart(net, rows, [1, 2])
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError):
            continue
        if apart <= tolerance:
            return way
    return "alone"


_STEPS = 2
"""Tokens that `company` has generated after a prompt."""


def _apart(net: Any, rows: Sequence[tuple[list[int], int]], kept: list[int]) -> float:
    """The largest gap between rows that go on after another has left and the same rows alone; see `company`."""
    together = _read(net, rows, kept)
    worst = 0.0
    for place, one in enumerate(kept):
        for alone, beside in zip(_read(net, [rows[one]], [0]), together, strict=True):
            truth, found = alone[0].float().log_softmax(-1), beside[place].float().log_softmax(-1)
            gap = (found - truth).abs() / (-truth / 10).clamp(min=1)
            worst = max(worst, gap.nan_to_num(0.0).max().item())
    return worst


def _read(net: Any, rows: Sequence[tuple[list[int], int]], kept: list[int]) -> list[torch.Tensor]:
    """Logits of the kept rows, one token after the other; rows: (text, tokens of it that are the prompt)."""
    with torch.inference_mode():
        state = _State(net, [Row(i, tuple(text[:cut]), Settings(), 0, 1) for i, (text, cut) in enumerate(rows)])
        found = [state.logits()[kept]]
        left = kept
        for step in range(_STEPS):
            state.advance(left, [rows[i][0][rows[i][1] + step] for i in kept])
            found.append(state.logits())
            left = list(range(len(kept)))
    return found


def _together(net: Any, batch: list[Row], speaker: Speaker) -> list[Row]:
    start = time.perf_counter()
    with torch.inference_mode():
        state = _State(net, batch)
        alive = batch
        while alive:
            _say(alive, state.logits(), speaker)
            kept = [i for i, row in enumerate(alive) if row.finish is None]
            alive = [alive[i] for i in kept]
            if alive:
                state.advance(kept, [row.ids[-1] for row in alive])
    share = (time.perf_counter() - start) / sum(len(r.prompt) + len(r.ids) for r in batch)
    for row in batch:
        row.seconds = share * (len(row.prompt) + len(row.ids))
    return batch


class _State:
    """Left-padded ids, their mask and the cache of one batch; rows leave it as they finish."""

    def __init__(self, net: Any, batch: Sequence[Row]) -> None:
        self.net, self.taken = net, inspect.signature(net.forward).parameters
        if stretching(net.config) is not None:  # what an earlier, longer row has left
            net(input_ids=torch.zeros((1, 1), dtype=torch.long, device=net.device))
        self.switch = stretching(net.config, ("longrope",))
        """Tokens beyond which other frequencies count, for what was read before too."""
        width = max(len(row.prompt) for row in batch)
        self.ids = torch.zeros((len(batch), width), dtype=torch.long)
        self.mask = torch.zeros((len(batch), width), dtype=torch.long)
        for i, row in enumerate(batch):
            self.ids[i, width - len(row.prompt) :] = torch.tensor(row.prompt)
            self.mask[i, width - len(row.prompt) :] = 1
        self.ids, self.mask = self.ids.to(net.device), self.mask.to(net.device)
        self.cache: Any = None
        self.asked = list(range(len(batch)))
        """Rows of the tensors that have not finished."""

    def logits(self) -> torch.Tensor:
        """[rows, vocabulary] after the last token of each that has not finished."""
        if self.switch is not None and self.ids.shape[1] == self.switch + 1:
            self.cache = None
        fresh = self.ids if self.cache is None else self.ids[:, -1:]
        places = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, -fresh.shape[1] :]
        given = {
            "attention_mask": self.mask,
            "position_ids": places,
            "past_key_values": self.cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        out = self.net(input_ids=fresh, **{k: v for k, v in given.items() if k in self.taken})
        self.cache = getattr(out, "past_key_values", None)
        last = out.logits[:, -1]
        return last if len(self.asked) == len(last) else last[self.asked]

    def advance(self, kept: list[int], tokens: list[int]) -> None:
        """Drops the rows that have finished and appends one token to the others."""
        self.asked = [self.asked[i] for i in kept]
        if len(self.asked) < len(self.ids):
            self._drop()
        fresh, seen = (torch.zeros((len(self.ids), 1), dtype=torch.long) for _ in range(2))
        for row, token in zip(self.asked, tokens, strict=True):
            fresh[row], seen[row] = token, 1
        self.ids = torch.cat([self.ids, fresh.to(self.ids.device)], 1)
        self.mask = torch.cat([self.mask, seen.to(self.ids.device)], 1)

    def _drop(self) -> None:
        """Keeps the rows that are asked; all of them where the cache cannot lose any."""
        rows = torch.tensor(self.asked, device=self.ids.device)
        try:
            self.cache = None if self.cache is None else select(self.cache, rows, len(self.ids))
        except Unselectable:
            return
        self.ids, self.mask = self.ids[rows], self.mask[rows]
        self.asked = list(range(len(self.asked)))


def _say(alive: Sequence[Row], logits: torch.Tensor, speaker: Speaker) -> None:
    """Chooses one more token for every row and notes whether that ends it."""
    tokens = logits.argmax(-1)
    for i, row in enumerate(alive):
        if row.settings.temperature > 0:
            tokens[i] = draw(logits[i].double().cpu().numpy(), row.settings, row.rng.random())
    logprobs, ranks = read_logits(logits, tokens)
    for row, token, logprob, rank in zip(alive, tokens.tolist(), logprobs.tolist(), ranks.tolist(), strict=True):
        if not np.isfinite(logprob):
            row.finish = "nan"
        elif token in speaker.eos:
            row.finish = "eos"
        else:
            row.ids.append(token)
            row.logprobs.append(logprob)
            row.ranks.append(rank)
            _end(row, speaker)
        if row.finish in ("eos", "length", "window"):
            row.text = speaker.decode(row.ids)


def _end(row: Row, speaker: Speaker) -> None:
    """Ends a row at a stop string (cut from its text) or at its limit."""
    text = _before(row.settings.stop, row.ids, speaker)
    if text is not None:
        row.text, row.finish = text, "stop"
        return
    if len(row.ids) >= row.limit:
        row.finish = "length" if row.limit >= row.settings.max_tokens else "window"


def _before(stops: Sequence[str], ids: list[int], speaker: Speaker) -> str | None:
    """The text up to the first stop string, special tokens left out; None where there was none."""
    special = [stop for stop in stops if speaker.spell and any(token in stop for token in speaker.special)]
    found = []
    if len(special) < len(stops):
        text = speaker.decode(ids)
        found = [text[: text.index(stop)] for stop in stops if stop not in special and stop in text]
    if special and speaker.spell:
        spelled = speaker.spell(ids)
        found += [_cut(spelled.index(stop), ids, speaker.spell, speaker.decode) for stop in special if stop in spelled]
    return min(found, key=len, default=None)


def _cut(at: int, ids: list[int], spell: Callable[[list[int]], str], decode: Callable[[list[int]], str]) -> str:
    """`decode` of what `spell` writes before place `at`."""
    whole = next(n for n in range(len(ids), -1, -1) if len(spell(ids[:n])) <= at)
    return decode(ids[:whole]) + spell(ids)[len(spell(ids[:whole])) : at]


def draw(logits: np.ndarray, settings: Settings, u: float) -> int:
    """The token at u in [0, 1) of the tempered distribution, in order of token ids, within top_p of its mass.

    top_p keeps the smallest set of most likely tokens whose mass reaches it (Holtzman et al. 2020).
    """
    scaled = logits / settings.temperature
    weights = np.exp(scaled - scaled.max())
    weights /= weights.sum()
    if settings.top_p < 1:
        order = np.argsort(-weights, kind="stable")
        kept = int(np.searchsorted(weights[order].cumsum(), settings.top_p)) + 1
        weights[order[kept:]] = 0.0
    mass = weights.cumsum()
    token = int(np.searchsorted(mass, u * mass[-1], side="right"))
    return min(token, len(logits) - 1)
