"""Rows that share prefixes, as one stream that holds every distinct token once.

Sorted rows walk a trie of tokens depth first, so the tokens a row adds to the row before it, one after the other, are
the trie's nodes in pre-order: the stream. `end[k]` is where the subtree of node k ends, and that is all the
structure there is: k is an ancestor of q, or q itself, exactly if k ≤ q < end[k]. Masks, the key/values a later
forward pass still needs, and the paths of blocks all follow from it.

A forward pass reads a chunk of the stream; its attention is cut into blocks of few queries, each against the
ancestors of its first token and the block itself, so that cousins cost nothing. Numpy only: what is computed from
this is the business of `packed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from saltus.models.local.rows import Row

QUERIES = 48
"""Most queries of one attention block."""
SLACK = 1.1
"""Padded over real pairs of query and key that blocks computed together may cost, beside SPARE pairs."""
SPARE = 8192
KEYS = 2**15
"""Most keys, counted per block, that blocks computed together gather: memory."""

Ints = np.ndarray


@dataclass(frozen=True, slots=True)
class Stream:
    """The distinct tokens of many rows in pre-order, and which (place, token) each row wants to know."""

    ids: Ints
    depth: Ints
    """Position of the token in its row, from 0."""
    end: Ints
    order: list[int]
    """Places of the rows in the sequence they came in, sorted."""
    place: Ints
    """Per wanted continuation token, rows in `order` one after the other: after which node of the stream it stands."""
    token: Ints
    offset: Ints
    """Row `order[i]` has place[offset[i] : offset[i + 1]]."""

    def __len__(self) -> int:
        return len(self.ids)


def build(rows: Sequence[Row]) -> Stream:
    """The stream of the rows. Time: a sort and one comparison of arrays per row."""
    read = [row.read for row in rows]
    order = sorted(range(len(rows)), key=read.__getitem__)
    most, longest = sum(map(len, read)), max(map(len, read), default=0)
    ids, depth, end = (np.empty(most, np.int64) for _ in range(3))
    path = np.empty(longest, np.int64)
    before = np.empty(0, np.int64)
    size, places, tokens, offset = 0, [], [], [0]
    for at in order:
        row, now = rows[at], np.asarray(read[at], np.int64)
        shared = common(before, now)
        fresh = len(now) - shared
        end[path[shared : len(before)]] = size
        path[shared : len(now)] = np.arange(size, size + fresh)
        ids[size : size + fresh] = now[shared:]
        depth[size : size + fresh] = np.arange(shared, len(now))
        size, before = size + fresh, now
        places.append(path[len(row.prompt) - 1 : len(now)].copy())
        tokens.append(row.continuation)
        offset.append(offset[-1] + len(row.continuation))
    end[path[: len(before)]] = size
    place = np.concatenate(places) if places else np.empty(0, np.int64)
    token = np.asarray([t for some in tokens for t in some], np.int64)
    return Stream(ids[:size].copy(), depth[:size].copy(), end[:size].copy(), order, place, token, np.asarray(offset))


def common(one: Ints, other: Ints) -> int:
    """Length of the longest common prefix."""
    short = min(len(one), len(other))
    apart = one[:short] != other[:short]
    return int(apart.argmax()) if apart.any() else short


def distinct(rows: Sequence[Row]) -> int:
    """Tokens that the rows' trie holds."""
    return len(build(rows))


@dataclass(frozen=True, slots=True)
class Chunk:
    """stream[start:stop], read in one forward pass, after `spine`: the earlier nodes that are its ancestors."""

    stream: Stream
    start: int
    stop: int
    spine: Ints

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def known(self) -> Ints:
        """Nodes whose key/values there are while the chunk is read: spine, then chunk."""
        return np.concatenate([self.spine, np.arange(self.start, self.stop)])

    def kept(self) -> Ints:
        """Indices into `known` of what the next chunk needs: the ancestors of its first token."""
        if self.stop >= len(self.stream):
            return np.empty(0, np.int64)
        return np.flatnonzero(self.stream.end[self.known] > self.stop)

    def after(self, tokens: int) -> Chunk:
        """The next chunk, of at most so many tokens."""
        stop = min(len(self.stream), self.stop + tokens)
        return Chunk(self.stream, self.stop, stop, self.known[self.kept()])

    def groups(self, window: int | None) -> list[Group]:
        """The chunk's attention under a sliding window, if any, in as few calls as padding allows."""
        blocks = [self._block(a, b, window) for a, b in self._cuts()]
        blocks.sort(key=lambda b: (-len(b.keys), -len(b.queries)))
        groups: list[list[Block]] = []
        queries = real = 0
        for block in blocks:
            queries = max(queries, len(block.queries))
            real += block.pairs
            keys = (len(groups[-1]) + 1) * len(groups[-1][0].keys) if groups else KEYS + 1
            if keys <= KEYS and keys * queries <= SPARE + SLACK * real:
                groups[-1].append(block)
            else:
                groups.append([block])
                queries, real = len(block.queries), block.pairs
        return [self._group(some, window) for some in groups]

    def _cuts(self) -> Iterator[tuple[int, int]]:
        """Blocks of at most QUERIES tokens; a branch above the first token's depth starts a new one."""
        depth = self.stream.depth[self.start : self.stop]
        turns = np.flatnonzero(depth[1:] <= depth[:-1]) + 1
        a = 0
        for u, v in zip([0, *turns.tolist()], [*turns.tolist(), len(depth)], strict=True):
            if u > a and (v - a > QUERIES or depth[u] < depth[a]):
                yield self.start + a, self.start + u
                a = u
            while v - a > QUERIES:
                yield self.start + a, self.start + a + QUERIES
                a += QUERIES
        yield self.start + a, self.stop

    def _block(self, a: int, b: int, window: int | None) -> Block:
        end, depth = self.stream.end, self.stream.depth
        path = self.spine[end[self.spine] > a]
        nodes = np.arange(self.start, a)
        path = np.concatenate([path, nodes[end[self.start : a] > a]])
        if window is not None:
            path = path[depth[path] > depth[a:b].min() - window]
        return Block(np.arange(a, b), np.concatenate([path, np.arange(a, b)]))

    def _group(self, blocks: list[Block], window: int | None) -> Group:
        """Blocks padded to one shape: queries by repeating the last one, keys by what the mask hides."""
        end, depth = self.stream.end, self.stream.depth
        n, m = max(len(b.queries) for b in blocks), max(len(b.keys) for b in blocks)
        q = np.stack([b.queries[np.minimum(np.arange(n), len(b.queries) - 1)] for b in blocks])
        k = np.full((len(blocks), m), -1)
        for row, block in zip(k, blocks, strict=True):
            row[: len(block.keys)] = block.keys
        q_, k_ = q[:, :, None], k[:, None, :]
        seen = (k_ >= 0) & (k_ <= q_) & (q_ < end[k_])
        if window is not None:
            seen &= depth[q_] - depth[k_] < window
        where = np.searchsorted(self.known, np.maximum(k, self.known[0]))
        return Group(q - self.start, where, seen)


@dataclass(frozen=True, slots=True)
class Block:
    """Queries and the keys they may see, as nodes of the stream."""

    queries: Ints
    keys: Ints

    @property
    def pairs(self) -> int:
        return len(self.queries) * len(self.keys)


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks of one shape. queries [blocks, n]: indices into the chunk; keys [blocks, m]: into `known`."""

    queries: Ints
    keys: Ints
    seen: Ints
    """bool [blocks, n, m]."""


def first(stream: Stream, tokens: int) -> Chunk:
    """The chunk that begins the stream."""
    return Chunk(stream, 0, min(len(stream), tokens), np.empty(0, np.int64))
