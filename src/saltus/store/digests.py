"""A set of 16-byte digests that takes 16 bytes each, so that a million known answers cost 16 MB and not 150.

Sorted blocks searched by bisection, and a small Python set of what came last. 128 bits are as exact as the SHA-256
they are cut from: over 10⁷ members an accidental match has probability below 10⁻²⁴.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 16
_RECENT = 32_768
_BLOCK = 262_144
"""Merging goes on up to this many, so that no merge needs much memory."""


class Digests:
    """Add, and ask for many at once. Members are bytes of length 16."""

    def __init__(self, packed: bytearray | None = None) -> None:
        """packed: digests one after the other, in any order; it is taken over and must not be used again."""
        self._blocks: list[NDArray[np.bytes_]] = []
        self._recent: set[bytes] = set()
        if packed:
            block = _split(packed)
            block.sort()
            self._blocks.append(block)

    def add(self, digest: bytes) -> None:
        self._recent.add(digest)
        if len(self._recent) < _RECENT:
            return
        block = _split(bytearray(b"".join(self._recent)))
        self._recent = set()
        if self._blocks and len(self._blocks[-1]) + len(block) <= _BLOCK:
            block = np.concatenate([self._blocks.pop(), block])
        block.sort()
        self._blocks.append(block)

    def __contains__(self, digest: bytes) -> bool:
        return self.holds([digest])[0]

    def holds(self, digests: Sequence[bytes]) -> list[bool]:
        """Per digest: is it a member?"""
        found = [digest in self._recent for digest in digests]
        if not digests or not self._blocks:
            return found
        wanted = _split(b"".join(digests))
        hits = np.array(found)
        for block in self._blocks:
            at = np.minimum(np.searchsorted(block, wanted), len(block) - 1)
            hits |= block[at] == wanted
        held: list[bool] = hits.tolist()
        return held


def key_digest(key: str) -> bytes:
    """The first 16 bytes of an answer's hexadecimal key, or of an item's `sha256:` hash."""
    return bytes.fromhex(key[:32]) if key[6:7] != ":" else bytes.fromhex(key[7:39])


def _split(packed: bytes | bytearray) -> NDArray[np.bytes_]:
    # numpy pads and strips trailing zero bytes of `S` alike, so fixed-width comparison stays exact.
    return np.frombuffer(packed, dtype=f"S{WIDTH}")
