"""A set of 16-byte digests that takes 16 bytes each, so that a million known answers cost 16 MB and not 150.

Sorted blocks searched by bisection, and a small Python set of what came last. 128 bits are as exact as the SHA-256
they are cut from: over 10⁷ members an accidental match has probability below 10⁻²⁴.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 16
_RECENT = 32_768


class Digests:
    """Add, and ask for many at once. Members are bytes of length 16."""

    def __init__(self, packed: bytes = b"") -> None:
        """packed: digests one after the other, in any order."""
        self._sorted = np.unique(_split(packed))
        self._recent: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def add(self, digest: bytes) -> None:
        """Adds one that is not yet a member."""
        self._recent.add(digest)
        if len(self._recent) >= _RECENT:
            merged = np.concatenate([self._sorted, _split(b"".join(self._recent))])
            merged.sort()
            self._sorted = merged
            self._recent = set()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._recent or self.holds([digest])[0]

    def holds(self, digests: Sequence[bytes]) -> list[bool]:
        """Per digest: is it a member?"""
        found = self._search(digests) if len(self._sorted) and digests else [False] * len(digests)
        if self._recent:
            found = [f or d in self._recent for f, d in zip(found, digests, strict=True)]
        return found

    def _search(self, digests: Sequence[bytes]) -> list[bool]:
        wanted = _split(b"".join(digests))
        at = np.searchsorted(self._sorted, wanted)
        at[at == len(self._sorted)] = 0
        found: list[bool] = (self._sorted[at] == wanted).tolist()
        return found


def key_digest(key: str) -> bytes:
    """The first 16 bytes of an answer's hexadecimal key, or of an item's `sha256:` hash."""
    return bytes.fromhex(key[:32]) if key[6:7] != ":" else bytes.fromhex(key[7:39])


def pack_keys(keys: Iterable[str]) -> bytes:
    return b"".join(key_digest(key) for key in keys)


def _split(packed: bytes) -> NDArray[np.bytes_]:
    # numpy pads and strips trailing zero bytes of `S` alike, so fixed-width comparison stays exact.
    return np.frombuffer(packed, dtype=f"S{WIDTH}")
