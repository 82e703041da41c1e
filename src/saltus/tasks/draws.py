"""Random draws for generated items: item i depends on (seed, i) alone, costs microseconds and never changes.

Seeding a numpy generator alone costs about what making a whole item does here (`benchmarks/tasks.py`), and its
stream may change between versions, while items are made by the million and their identity is published. So draws
are the bytes of BLAKE2b over (seed, index), and sampling without replacement is a keyed permutation, which needs
no memory of what was drawn before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import overload

from saltus.records import Item

DEFAULT_ITEMS = 1000
"""How many items a generator without end gives when no number is asked for."""

_ROUNDS = 4


class Draws:
    """A stream of integers fixed by (seed, index): `below(n)` is the next one, uniform on 0 … n − 1."""

    __slots__ = ("_bytes",)

    def __init__(self, seed: int, index: int) -> None:
        self._bytes = _stream(seed, index)

    def below(self, n: int) -> int:
        """Uniform to within n / 2⁶⁴; exact where n divides 256."""
        if 256 % n == 0:
            return next(self._bytes) % n
        value = 0
        for _ in range(8):
            value = value << 8 | next(self._bytes)
        return value % n


def _stream(seed: int, index: int) -> Iterator[int]:
    for block in count():
        yield from hashlib.blake2b(b"%d:%d:%d" % (seed, index, block)).digest()


def permuted(index: int, n: int, seed: int) -> int:
    """Where a permutation of 0 … n − 1 fixed by seed sends index: a Feistel network with cycle walking.

    Raises IndexError unless 0 ≤ index < n.
    """
    if not 0 <= index < n:
        raise IndexError(index)
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    value = index
    while True:
        left, right = value >> half, value & mask
        for turn in range(_ROUNDS):
            digest = hashlib.blake2b(b"%d:%d:%d" % (seed, turn, right), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        value = left << half | right
        if value < n:
            return value


@dataclass(frozen=True)
class LazyItems(Sequence[Item]):
    """Items made when looked at: `make_item(i)` for i below `length`."""

    make_item: Callable[[int], Item]
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            chosen = range(self.length)[index]
            return LazyItems(lambda i: self.make_item(chosen[i]), len(chosen))
        return self.make_item(range(self.length)[index])


def tag(seed: int) -> str:
    """Six hex digits that keep the items of one seed apart from those of another in ids."""
    return hashlib.blake2b(b"%d" % seed, digest_size=3).hexdigest()
