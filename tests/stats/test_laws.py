"""Every law that docs/concepts/laws.md names is fitted by the curve that it stands beside, and by no other as well."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from saltus.stats import broken, grid
from saltus.stats.broken import fit_broken
from saltus.stats.fit import Bounds, fit
from saltus.stats.solve import Shares

X = np.linspace(0, 5, 25)
LAWS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "4-parameter logistic": (lambda x: 0.1 + 0.8 / (1 + np.exp(-2.2 * (x - 2.5))), "logistic"),
    "step": (lambda x: 0.1 + 0.6 * (x > 2.45), "logistic"),
    "five tokens right": (lambda x: np.exp(-0.9 * 10 ** (-0.5 * (x - 1))) ** 5, "gompertz"),
    "log(-log) linear": (lambda x: np.exp(-3 * 10 ** (-0.6 * (x - 1.5))), "gompertz"),
    "power law that saturates": (lambda x: 0.8 - 0.5 * 10 ** (-0.4 * x), "gompertz"),
    "pass@10": (lambda x: 1 - np.exp(-10 * 10 ** (0.7 * (x - 3.5))), "mirrored gompertz"),
    "power law that takes off": (lambda x: 0.05 * 10 ** (0.2 * x), "mirrored gompertz"),
    "hinge": (lambda x: 0.1 + 0.2 * np.maximum(x - 3, 0), "ramp"),
}


@pytest.mark.parametrize("law", LAWS)
def test_a_law_is_fitted_best_by_the_form_that_stands_for_it(law: str) -> None:
    curve, form = LAWS[law]
    y = curve(X)[None, None]
    u, w = (X / 5)[None, None], np.full(y.shape, 1e4)
    bounds = Bounds(Shares(0.6, 0.5), np.array([0.2]), np.array([0.25]))
    misfit = fit(y, w, u, np.ones(y.shape, dtype=bool), bounds)
    share = misfit.form_rss[0] / misfit.constant[0]
    assert grid.FORMS[share.argmin()] == form
    assert share.min() < 1e-3
    assert misfit.line[0] / misfit.constant[0] > 0.01


def test_two_slopes_are_the_broken_law_alone() -> None:
    y = 0.1 + 0.05 * X + 0.1 * np.maximum(X - 2.5, 0)
    found = fit_broken(y[None], np.ones((1, 25)), X[None] / 5)
    assert found.rss[0, broken.BROKEN] == pytest.approx(0, abs=1e-9)
    assert found.rss[0, broken.TURNING] > 0.01
