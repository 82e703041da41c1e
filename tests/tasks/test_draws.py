"""Draws are fixed by (seed, index), uniform, and a permutation without memory."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from saltus.records import Item
from saltus.tasks.draws import Draws, LazyItems, permuted


def test_draws_are_the_bytes_of_a_hash_so_they_are_fixed_for_good():
    draws = Draws(17, 3)
    drawn = [draws.below(64) for _ in range(4)] + [draws.below(1000) for _ in range(2)]
    stream = hashlib.blake2b(b"17:3:0").digest()
    large = [int.from_bytes(stream[i : i + 8], "big") % 1000 for i in (4, 12)]
    assert drawn == [byte % 64 for byte in stream[:4]] + large
    assert drawn == [26, 36, 33, 4, 503, 131]


def test_draws_are_uniform():
    for n in (64, 17):
        counts = Counter(Draws(1, i).below(n) for i in range(200 * n))
        chi2 = sum((counts[v] - 200) ** 2 / 200 for v in range(n))
        assert chi2 < n + 5 * (2 * n) ** 0.5


@pytest.mark.parametrize("n", [1, 2, 7, 100, 1025])
def test_permuted_is_a_permutation_that_the_seed_changes(n):
    order = [permuted(i, n, 5) for i in range(n)]
    assert sorted(order) == list(range(n))
    if n > 7:
        assert order != list(range(n))
        assert order != [permuted(i, n, 6) for i in range(n)]


def test_permuted_refuses_what_is_outside():
    for index in (-1, 10):
        with pytest.raises(IndexError):
            permuted(index, 10, 0)


def test_permuted_mixes_neighbours():
    first = Counter(permuted(i, 10_000, 3) // 1000 for i in range(2000))
    assert all(140 < first[k] < 260 for k in range(10))


def test_lazy_items_behave_as_a_sequence_and_make_only_what_is_looked_at():
    made: list[int] = []

    def make(i: int) -> Item:
        made.append(i)
        return Item(id=str(i))

    items = LazyItems(make, 10**9)
    assert len(items) == 10**9
    assert items[-1].id == "999999999"
    assert [i.id for i in items[5:9:2]] == ["5", "7"]
    assert items[2:][1].id == "3"
    assert len(made) == 4
    with pytest.raises(IndexError):
        items[10**9]
