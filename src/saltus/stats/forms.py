"""Which law fits: the model set compared, and the curve that is averaged over it.

Models: a constant, a straight line, each form with a drift, a law with one break, and one that turns (`broken`).
Deviances are sums of squares over the dispersion that is left beside the best model of the set, summed over seeds;
every seed has its own parameters. AICc weights average the drawn curve (it predicts); BIC, by a margin of 6, names a
form as decided. Neither touches the verdict: width decides sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from saltus.stats import broken, grid
from saltus.stats.batch import Floats
from saltus.stats.broken import Broken, broken_curve, fit_broken
from saltus.stats.fit import Fit, curve, refit
from saltus.stats.series import Series
from saltus.stats.shape import dispersion_of

NAMES = ("constant", "line", *grid.FORMS, *broken.NAMES)
PARAMETERS = np.array([1, 2, 5, 5, 5, 5, *broken.PARAMETERS])
MARGIN = 6.0


@dataclass(frozen=True)
class Forms:
    """Per curve (C, models): AICc weights, BIC differences from the best; and the laws that `Fit` does not hold."""

    weight: Floats
    bic: Floats
    broken: Broken | None = None
    """Rows C·S; None for resamples, whose forms are not compared."""

    def decided(self, i: int) -> str | None:
        """The model that BIC prefers to every other by the margin, or None."""
        order = np.argsort(self.bic[i])
        return NAMES[order[0]] if self.bic[i, order[1]] >= MARGIN else None


def compare(series: Series, fitted: Fit) -> Forms:
    """Compare the models on every curve."""
    c, s, p = series.y.shape
    used = (series.count > 2)[..., None]
    bent = fit_broken(*(a.reshape(c * s, p) for a in (series.y, series.weight, series.u)))
    least = np.minimum(fitted.rss, bent.rss.min(axis=1))
    dispersion = dispersion_of(series, replace(fitted, rss=least))[0]
    rss = np.concatenate([fitted.constant[:, None], fitted.line[:, None], fitted.form_rss, bent.rss], axis=1)
    deviance = np.where(used, rss.reshape(c, s, -1), 0).sum(axis=1) / dispersion[:, None]
    points = np.where(used[..., 0], series.count, 0).sum(axis=1)[:, None]
    k = PARAMETERS * np.maximum(used.sum(axis=1), 1)
    spare = np.maximum(points - k - 1, 0.5)
    aicc = deviance + 2 * k + 2 * k * (k + 1) / spare
    bic = deviance + k * np.log(np.maximum(points, 2))
    weight = np.exp(-0.5 * (aicc - aicc.min(axis=1, keepdims=True)))
    return Forms(
        weight=weight / weight.sum(axis=1, keepdims=True), bic=bic - bic.min(axis=1, keepdims=True), broken=bent
    )


def averaged(series: Series, fitted: Fit, forms: Forms, u: Floats) -> Floats:
    """(C·S, Q) the model-averaged curve of every seed at positions u, (Q,) for all or (C·S, Q).

    Raises ValueError for resamples.
    """
    if forms.broken is None:
        raise ValueError("the forms of resamples are not compared: there is nothing to average")
    c, s, p = series.y.shape
    y, w, x = (a.reshape(c * s, p) for a in (series.y, series.weight, series.u))
    at = np.broadcast_to(u, (c * s, u.shape[-1]))
    weight = np.repeat(forms.weight, s, axis=0)
    mean = (w * y).sum(axis=1) / np.maximum(w.sum(axis=1), 1e-30)
    out = weight[:, :1] * mean[:, None]
    straight = np.full(c * s, -1)
    nodes = [straight, *fitted.form_node.T]
    for k, node in enumerate(nodes, start=1):
        each = curve(refit(y, w, x, node, grid.FINE), node, at, grid.FINE)
        out = out + weight[:, k : k + 1] * each
    for law in range(len(broken.NAMES)):
        share = weight[:, 1 + len(nodes) + law][:, None]
        out = out + share * broken_curve(forms.broken, law, at)
    return np.asarray(out)
