"""Sampling follows the distribution it is given."""

from __future__ import annotations

import numpy as np
import pytest

from saltus.models.local.decoding import draw
from saltus.records import Settings


def test_draws_follow_the_tempered_distribution() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    uniform = (np.arange(20_000) + 0.5) / 20_000
    for temperature in (1.0, 0.5):
        wanted = np.array([0.5, 0.3, 0.15, 0.05]) ** (1 / temperature)
        settings = Settings(temperature=temperature)
        counts = np.bincount([draw(logits, settings, u) for u in uniform], minlength=4) / 20_000
        assert counts == pytest.approx(wanted / wanted.sum(), abs=1e-3)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = np.log([0.15, 0.5, 0.05, 0.3])
    uniform = (np.arange(1000) + 0.5) / 1000

    def kept(top_p: float) -> set[int]:
        return {draw(logits, Settings(temperature=1.0, top_p=top_p), u) for u in uniform}

    assert kept(0.4) == {1}
    assert kept(0.6) == {1, 3}
    assert kept(0.9) == {0, 1, 3}
    assert kept(1.0) == {0, 1, 2, 3}
    assert draw(logits, Settings(temperature=1.0), 1 - 1e-17) in range(4)
