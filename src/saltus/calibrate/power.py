"""The middle, where no word is certain: what the judge says by true width, items, points and seeds.

One logistic rise of 0.6 over a floor of 0.25, five decades, both twins equally wide, moderate jitter. The width walks
from a step to most of the range; one circumstance at a time is varied around 500 items, 12 points, one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from saltus.calibrate import shapes
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.sampling import measure
from saltus.calibrate.settings import Setting, SoftTwin
from saltus.calibrate.simulate import assemble
from saltus.records import Analysis, Finding
from saltus.stats.batch import CurveBatch
from saltus.verdict import CLAIMS_LEAP

WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
DECADES = 5.0
VARIED: dict[str, Sequence[int]] = {"items": (100, 500, 2000), "points": (8, 12, 20, 30), "seeds": (1, 3, 5)}
_USUAL = {"items": 500, "points": 12, "seeds": 1}


@dataclass(frozen=True)
class PowerRow:
    """Shares of words over `curves` rises of one width under one circumstance."""

    varied: str
    level: int
    width: float
    """Decades, 10–90 %, in both channels."""
    curves: int
    leap: float
    smooth: float
    unresolved: float
    other: float


def power(
    curves: int,
    seed: int,
    analysis: Analysis,
    judge: Callable[[CurveBatch, Analysis, np.random.Generator], Sequence[Finding]],
) -> list[PowerRow]:
    """Judge `curves` rises in every cell; cells that differ in nothing are judged once each all the same."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    rows = []
    for varied, levels in VARIED.items():
        for level in levels:
            drafts = list(_drafts(rng, curves, _USUAL | {varied: level}))
            batch = assemble(drafts, [measure(rng, draft) for draft in drafts])
            words = [finding.verdict for finding in judge(batch, analysis, rng)]
            for i, width in enumerate(WIDTHS):
                part = words[i * curves : (i + 1) * curves]
                rows.append(_row(varied, level, width, part))
    return rows


def _row(varied: str, level: int, width: float, words: Sequence[str]) -> PowerRow:
    leap = sum(w in CLAIMS_LEAP for w in words) / len(words)
    smooth, unresolved = words.count("smooth") / len(words), words.count("unresolved") / len(words)
    return PowerRow(
        varied, level, width, len(words), leap, smooth, unresolved, max(0.0, 1 - leap - smooth - unresolved)
    )


def _drafts(rng: np.random.Generator, curves: int, circumstances: dict[str, int]) -> Iterator[Draft]:
    setting = _setting(**circumstances)
    canvas = Canvas(setting)
    for width in WIDTHS:
        for _ in range(curves):
            middle = setting.x[0] + rng.uniform(0.4, 0.6) * DECADES
            rise = shapes.at(shapes.SIGMOIDS["logistic"], canvas.xs, middle, width)
            both = np.tile(rise, (setting.seeds, 1))
            yield Draft(
                word="sharp",
                kind="middle",
                family="logistic",
                setting=setting,
                hard=both,
                soft=both,
                leap=rise,
                soft_leap=rise,
                onset=middle,
                leapt=setting.seeds,
            )


def _setting(*, items: int, points: int, seeds: int) -> Setting:
    soft = SoftTwin(
        metric="token_logprob",
        low=-4.0,
        high=-0.5,
        bottom=-np.inf,
        ceiling=0.0,
        stderr=2.0 / np.sqrt(items),
        noise=1.0,
        slant=0.5,
        stated=True,
        heavy=False,
    )
    return Setting(
        axis="tokens",
        log_axis=True,
        x=7.0 + np.linspace(0.0, DECADES, points),
        seeds=seeds,
        items=items,
        items_known=True,
        stderr_known=True,
        floor=0.25,
        nominal=0.25,
        floor_known=0.25,
        floor_source="computed",
        rise=0.6,
        shared_items=0.5,
        jitter=0.06,
        persistence=0.0,
        soft=soft,
    )
