"""Every distinct token once: a trie of rows read as one long row, with attention of our own.

All layers of a decoder but attention treat tokens one by one, so a chunk of the stream (see `trie`) goes through the
network as a single row without padding, positions given explicitly. Attention is replaced, through transformers'
registry of attention functions, by one that lets a token see its ancestors only; key/values that a later chunk needs
are carried over, those of one path at any time. An architecture that ignores all this (another attention, a
recurrence, positions taken from a mask) gives other numbers, and the self-check finds it.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from saltus.models.local.head import Head
from saltus.models.local.rows import Row, Scored
from saltus.models.local.trie import Chunk, Ints, Stream, build, first

NAME = "saltus_trie"
"""What the attention is registered as."""
KEPT_CELLS = 2**22
"""Cells of a mask, once per query head of a key's, up to which it is kept for all layers: 16 MB in fp32."""

Spine = list[tuple[torch.Tensor, torch.Tensor]]


class Unpackable(Exception):
    """This network cannot be read as a trie, and why."""


@dataclass(frozen=True, slots=True)
class _Group:
    """A trie.Group on the network's device. `mask` is added to the scores; shape [blocks, 1, n, m].

    Heads that share key/values stand below each other as one head with `share` times the queries, so that they need
    neither copies of them nor calls of their own.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    mask: torch.Tensor
    share: int

    def shared_mask(self) -> torch.Tensor:
        """[blocks, 1, n · share, m]; built on each call where it is too large to be kept."""
        if self.mask.shape[2] == self.queries.shape[1] * self.share:
            return self.mask
        return self.mask.repeat_interleave(self.share, 2)


@dataclass(slots=True)
class _Pass:
    """One forward pass over a chunk: what attention needs to know, and the key/values it leaves."""

    chunk: Chunk
    spine: Spine
    dtype: torch.dtype
    device: torch.device
    kept: torch.Tensor
    layers: int = 0
    """Layers whose attention was asked so far."""
    left: Spine = field(default_factory=list)
    plans: dict[tuple[int | None, int], list[_Group]] = field(default_factory=dict)

    def groups(self, window: int | None, share: int) -> list[_Group]:
        """What is attended to, `share` query heads to each head of the keys."""
        if (window, share) not in self.plans:
            groups = self.chunk.groups(window)
            kept = sum(g.seen.size for g in groups) * share <= KEPT_CELLS
            self.plans[window, share] = [self._moved(g, share, kept) for g in groups]
        return self.plans[window, share]

    def _moved(self, group: Any, share: int, kept: bool) -> _Group:
        mask = torch.zeros(group.seen.shape, dtype=self.dtype)
        mask.masked_fill_(~torch.from_numpy(group.seen), float("-inf"))
        if kept:
            mask = mask.repeat_interleave(share, 1)
        return _Group(
            torch.from_numpy(group.queries).to(self.device),
            torch.from_numpy(group.keys).to(self.device),
            mask[:, None].to(self.device),
            share,
        )

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: dict[str, Any]) -> torch.Tensor:
        """[1, tokens, heads, width] for query [1, heads, tokens, width] and the chunk's own keys and values."""
        if self.spine:
            old = self.spine[self.layers]
            key, value = torch.cat([old[0], key], 2), torch.cat([old[1], value], 2)
        self.layers += 1
        if len(self.kept):
            self.left.append((key.index_select(2, self.kept), value.index_select(2, self.kept)))
        out = query.new_empty(query.shape[2], query.shape[1], value.shape[-1])
        for group in self.groups(how["window"], query.shape[1] // key.shape[1]):
            stated = _attend(group, query[0], key[0], value[0], how)
            out[group.queries.flatten()] = stated
        return out[None]


def _attend(
    group: _Group, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: dict[str, Any]
) -> torch.Tensor:
    """[blocks · n, heads, width] for query [heads, tokens, width] and the keys and values known."""
    (blocks, n), (own, _, width) = group.queries.shape, key.shape
    taken = query.transpose(0, 1).index_select(0, group.queries.flatten())
    q = taken.view(blocks, n, own, group.share, width).transpose(1, 2).flatten(2, 3)
    k, v = _blocks(key, group.keys), _blocks(value, group.keys)
    mask = group.shared_mask()
    if how["softcap"] is None:
        stated = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=how["scaling"])
    else:
        scores = (q @ k.transpose(2, 3)) * how["scaling"]
        scores = (scores / how["softcap"]).tanh() * how["softcap"] + mask
        stated = scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v
    parted = stated.unflatten(2, (n, group.share)).transpose(1, 2)
    return parted.reshape(blocks * n, own * group.share, -1)


def _blocks(states: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """[blocks, heads, n, width] from [heads, tokens, width] and [blocks, n]."""
    taken = states.index_select(1, index.flatten())
    return taken.view(len(states), *index.shape, states.shape[-1]).transpose(0, 1)


_RUNNING: ContextVar[_Pass] = ContextVar("running")


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _: Any = None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer."""
    strange = [name for name in ("position_bias", "s_aux") if rest.get(name) is not None]
    if strange:
        raise Unpackable(f"its attention takes {', '.join(strange)}")
    how = {
        "scaling": query.shape[-1] ** -0.5 if scaling is None else scaling,
        "window": sliding_window,
        "softcap": softcap,
    }
    return _RUNNING.get().attend(query, key, value, how), None


@contextlib.contextmanager
def _ours(configs: Sequence[Any]) -> Iterator[None]:
    """The attention replaced in every network that reads one of these configs."""
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = NAME
    try:
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name


@contextlib.contextmanager
def _only(modules: Sequence[Any], places: torch.Tensor) -> Iterator[None]:
    """The modules compute these tokens of their input [1, tokens, width] and answer zero for the others."""

    width = 0

    def fewer(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal width
        width = args[0].shape[1]
        return (args[0][:, places], *args[1:])

    def spread(_: Any, __: Any, out: Any) -> Any:
        if isinstance(out, tuple):  # mixtures of experts tell what they chose beside it
            return (spread(_, __, out[0]), *out[1:])
        whole = out.new_zeros(1, width, *out.shape[2:])
        whole[:, places] = out
        return whole

    hooks = [m.register_forward_pre_hook(fewer) for m in modules]
    hooks += [m.register_forward_hook(spread) for m in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _last_parts(body: Any) -> list[Any]:
    """Parts of the last layer that need not see tokens nobody asks about.

    After its attention nothing mixes tokens, and of its attention only keys and values of the others are needed.
    """
    stacks = [m for m in body.children() if isinstance(m, torch.nn.ModuleList) and len(m)]
    last = max(stacks, key=len)[-1] if stacks else None
    attention = getattr(last, "self_attn", None)
    named = ((attention, "q_proj"), (attention, "o_proj"), (last, "mlp"))
    return [part for owner, name in named if (part := getattr(owner, name, None)) is not None]


class Reader:
    """Puts chunks through the body of a network. Raises Unpackable for one that takes no positions."""

    def __init__(self, net: Any) -> None:
        from transformers.modeling_utils import AttentionInterface

        AttentionInterface.register(NAME, _attention)
        self.net, self.body = net, net.base_model
        self.configs = list({id(m.config): m.config for m in net.modules() if hasattr(m, "config")}.values())
        taken = inspect.signature(self.body.forward).parameters
        if "position_ids" not in taken:
            raise Unpackable("it takes no positions")
        self.last = _last_parts(self.body)
        self.fixed = {"use_cache": False} if "use_cache" in taken else {}

    def read(self, chunk: Chunk, spine: Spine, places: Ints) -> tuple[torch.Tensor, Spine]:
        """Hidden states [places, width] before the head, and the key/values the next chunk needs.

        places: indices into the chunk of the tokens somebody asks what follows.
        """
        device, stream = self.net.device, chunk.stream
        running = _Pass(chunk, spine, self.net.dtype, device, torch.from_numpy(chunk.kept()).to(device))
        ids, depth = (
            torch.from_numpy(x[chunk.start : chunk.stop])[None].to(device) for x in (stream.ids, stream.depth)
        )
        wanted = torch.from_numpy(places).to(device)
        token = _RUNNING.set(running)
        try:
            with _ours(self.configs), _only(self.last, wanted), torch.inference_mode():
                hidden = self.body(input_ids=ids, position_ids=depth, **self.fixed)[0]
        finally:
            _RUNNING.reset(token)
        if not running.layers or hidden.shape[:2] != (1, len(chunk)):
            raise Unpackable("its attention cannot be replaced")
        return hidden[0, wanted], running.left


def score(net: Any, rows: Sequence[Row], budget: Callable[[int, float], int], head: Head) -> Iterator[Scored]:
    """Every row's continuation. head: that of the network.

    budget: is given how many tokens the last forward pass read and in how many seconds (0, 0.0 before the first), says
    how many the next one shall read. Raises Unpackable for a network that takes no positions.
    """
    reader, stream = Reader(net), build(rows)
    wanted = _Wanted(stream, head)
    chunk, spine = first(stream, budget(0, 0.0)), Spine()
    began, given = time.perf_counter(), 0
    while len(chunk):
        start = time.perf_counter()
        hidden, spine = reader.read(chunk, spine, wanted.places(chunk))
        tokens = budget(len(chunk), time.perf_counter() - start)
        with torch.inference_mode():
            wanted.collect(hidden)
            wanted.settle(to_the_end=chunk.stop == len(stream))
        done = wanted.complete()
        cost = sum(rows[stream.order[i]].length for i in range(given, done))
        share = (time.perf_counter() - began) / max(1, cost)
        for i in range(given, done):
            row = rows[stream.order[i]]
            yield Scored(row.index, *wanted.row(i), share * row.length)
        if done > given:
            began, given = time.perf_counter(), done
        chunk = chunk.after(tokens)


class _Wanted:
    """Hidden states that wait for the head, and numbers that wait for the rest of their row."""

    def __init__(self, stream: Stream, head: Head) -> None:
        self.stream, self.head, self.block = stream, head, head.most
        self.by_place = np.argsort(stream.place, kind="stable")
        self.place, self.token = stream.place[self.by_place], stream.token[self.by_place]
        self.spots = np.unique(self.place)
        """Nodes after which somebody wants to know something: rows of the head."""
        self.logprobs, self.ranks = np.empty(len(self.place)), np.empty(len(self.place), np.int64)
        self.waiting: list[torch.Tensor] = []
        self.count = self.settled = 0
        """Spots whose hidden states are here, and spots that went through the head."""

    def places(self, chunk: Chunk) -> Ints:
        """The spots in a chunk, as indices into it."""
        a, b = np.searchsorted(self.spots, [chunk.start, chunk.stop])
        return self.spots[a:b] - chunk.start

    def collect(self, hidden: torch.Tensor) -> None:
        """Takes the hidden states of a chunk's spots."""
        self.waiting.append(hidden)
        self.count += len(hidden)

    def settle(self, *, to_the_end: bool) -> None:
        """Puts full blocks through the head, at the end all the rest in equal ones: few rows cost as much as many."""
        waiting = self.count - self.settled
        blocks = -(-waiting // self.block) if to_the_end else waiting // self.block
        if not blocks:
            return
        step = -(-waiting // blocks) if to_the_end else self.block
        hidden = torch.cat(self.waiting)
        for rows in hidden[: blocks * step].split(step):
            self._settle(rows)
        self.waiting = [hidden[blocks * step :].clone()]

    def _settle(self, hidden: torch.Tensor) -> None:
        spots = self.spots[self.settled : self.settled + len(hidden)]
        a, b = np.searchsorted(self.place, [spots[0], spots[-1] + 1])
        rows = np.searchsorted(spots, self.place[a:b])
        device = hidden.device
        logprobs, ranks = self.head.read(
            hidden, torch.from_numpy(rows).to(device), torch.from_numpy(self.token[a:b]).to(device)
        )
        self.logprobs[self.by_place[a:b]] = logprobs.cpu().numpy()
        self.ranks[self.by_place[a:b]] = ranks.cpu().numpy()
        self.settled += len(hidden)

    def complete(self) -> int:
        """How many rows, in the stream's order, have all their numbers."""
        reached = self.spots[self.settled] if self.settled < len(self.spots) else len(self.stream)
        last = self.stream.place[self.stream.offset[1:] - 1]
        return int(np.searchsorted(last, reached))

    def row(self, i: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Log-probabilities and ranks of a row that is complete."""
        a, b = self.stream.offset[i : i + 2]
        return tuple(self.logprobs[a:b].tolist()), tuple(self.ranks[a:b].tolist())
