"""`saltus plan`: before money is spent, what a design of items, points and seeds could tell apart.

Rises of known width are simulated as an evaluation with that design would publish them and judged by the
ordinary judge, in seconds. For each width the report says how often which word came out; from them the widest
leap that is called one, the narrowest smooth rise that is called smooth, the smallest leap that is seen, and
what more items, points or seeds buy.
Known limits: logistic rises in the middle of the range, both twins equally wide, moderate checkpoint noise: a
benign case, so read the powers as upper bounds; `curves` simulated ones give each share a standard error of up
to 0.11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from saltus.calibrate import shapes
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.sampling import measure
from saltus.calibrate.settings import Setting, SoftTwin
from saltus.calibrate.simulate import assemble
from saltus.errors import UserError
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.verdict import CLAIMS_LEAP

WIDTHS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
RISES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
ENOUGH = 0.8
"""The power that a design is asked for."""
LEAP_WIDTH = 0.1
"""Decades: width of the leaps whose smallest detectable rise is looked for."""
CURVES = 20


@dataclass(frozen=True, kw_only=True)
class Design:
    """What would be run."""

    items: int
    points: int
    seeds: int = 1
    decades: float = 4.0
    """From the first point to the last, evenly in logs."""
    rise: float = 0.5
    """Rise of the score that should be detected, as a share of all items."""
    floor: float = 0.0
    """What no skill scores."""
    soft: bool = True
    """There is a graded twin."""

    def __post_init__(self) -> None:
        wrong = (
            ("--items", self.items, self.items >= 1, "1 or more"),
            ("--points", self.points, self.points >= 3, "3 or more: below, nothing has a shape"),
            ("--seeds", self.seeds, self.seeds >= 1, "1 or more"),
            ("--range", self.decades, 0 < self.decades < 100, "decades, more than 0"),
            ("--floor", self.floor, 0 <= self.floor < 1, "a share from 0 to below 1"),
            ("--rise", self.rise, 0 < self.rise <= 1 - self.floor, "a share above 0 that the floor leaves room for"),
        )
        for option, value, fine, wanted in wrong:
            if not fine:
                raise UserError(f"{option} {value}", wanted=wanted, do=f"fix {option}")

    @property
    def answers(self) -> int:
        """Answers to be asked for."""
        return self.items * self.points * self.seeds


@dataclass(frozen=True, kw_only=True)
class WidthRow:
    """Shares of words over simulated rises of one width."""

    width: float
    """Decades, 10–90 %."""
    leap: float
    """sharp, transition or split."""
    smooth: float
    unresolved: float
    other: float
    onset: float | None
    """Median width of the onset's interval, decades."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a design tells apart at a power of 0.8; None where nothing that was tried."""

    leaps_to: float | None
    """The widest rise, decades, that is still called a leap (as are all narrower ones)."""
    smooth_from: float | None
    """The narrowest rise that is called smooth (as are all wider ones)."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """More of one thing."""

    change: str
    design: Design
    cost: float
    """Answers over those of the plan."""
    reach: Reach


@dataclass(frozen=True, kw_only=True)
class DesignReport:
    """What the design can do, and what would help."""

    design: Design
    curves: int
    """Simulated curves per width."""
    rows: tuple[WidthRow, ...]
    reach: Reach
    smallest_leap: float | None
    """Smallest rise of a leap 0.1 decade wide that is called a leap at power 0.8."""
    smallest_difference: float
    """Smallest distance from the floor that counts as present: shown by one point at power 0.8 and level 0.05 (normal
    approximation), and no less than the analysis' margin."""
    false_alarms: float
    """Share of flat curves called a leap."""
    alternatives: tuple[Alternative, ...]
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def power(design: Design, *, analysis: Analysis | None = None, curves: int = CURVES, seed: int = 17) -> DesignReport:
    """Simulate and judge rises under the design and under its alternatives."""
    # Weights over resamples cost most of a judgement and are not looked at; few draws decide a word.
    analysis = replace(analysis or Analysis(), resamples=0, draws=200)
    rng = np.random.default_rng(seed)
    rows = _rows(design, WIDTHS, curves, analysis, rng)
    reach = _reach(rows)
    flats = _judged([_flat(design)] * curves, analysis, rng)
    alternatives = tuple(
        Alternative(
            change=change,
            design=other,
            cost=other.answers / design.answers,
            reach=_reach(_rows(other, WIDTHS, curves, analysis, rng)),
        )
        for change, other in _others(design, analysis)
    )
    smallest = _smallest_leap(design, curves, analysis, rng)
    return DesignReport(
        design=design,
        curves=curves,
        rows=tuple(rows),
        reach=reach,
        smallest_leap=smallest,
        smallest_difference=max(_smallest_difference(design), analysis.present_margin),
        false_alarms=float(np.mean([f.verdict in CLAIMS_LEAP for f in flats])),
        alternatives=alternatives,
        advice=tuple(_advice(design, reach, alternatives, analysis)),
    )


def _rows(
    design: Design, widths: Sequence[float], curves: int, analysis: Analysis, rng: np.random.Generator
) -> list[WidthRow]:
    drafts = [d for w in widths for d in _drafts(design, w, curves, rng)]
    found = _judged(drafts, analysis, rng)
    return [_row(w, found[i * curves : (i + 1) * curves]) for i, w in enumerate(widths)]


def _row(width: float, found: Sequence[Finding]) -> WidthRow:
    words = [f.verdict for f in found]
    leap = sum(w in CLAIMS_LEAP for w in words) / len(words)
    smooth, unresolved = (words.count(w) / len(words) for w in ("smooth", "unresolved"))
    spans = [np.log10(f.onset_high / f.onset_low) for f in found if f.onset_low and f.onset_high]
    return WidthRow(
        width=width,
        leap=leap,
        smooth=smooth,
        unresolved=unresolved,
        other=max(0.0, 1 - leap - smooth - unresolved),
        onset=float(np.median(spans)) if spans else None,
    )


def _reach(rows: Sequence[WidthRow]) -> Reach:
    """The unbroken run of sufficient powers from either end."""
    leaps = _run([(r.width, r.leap) for r in rows])
    smooth = _run([(r.width, r.smooth) for r in reversed(rows)])
    return Reach(leaps_to=leaps, smooth_from=smooth)


def _run(powers: Sequence[tuple[float, float]]) -> float | None:
    last = None
    for width, share in powers:
        if share < ENOUGH:
            break
        last = width
    return last


def _others(design: Design, analysis: Analysis) -> Iterator[tuple[str, Design]]:
    """What one could add, one thing at a time."""
    if design.points < analysis.min_points:
        yield f"{2 * analysis.min_points} points", replace(design, points=2 * analysis.min_points)
        return
    yield "4 times the items", replace(design, items=4 * design.items)
    yield "twice the points", replace(design, points=2 * design.points)
    if design.seeds < analysis.transition_seeds:
        yield f"{analysis.transition_seeds} seeds", replace(design, seeds=analysis.transition_seeds)
    yield (
        "1.5 times the range, points as dense",
        replace(design, decades=1.5 * design.decades, points=round(1.5 * design.points)),
    )


def _smallest_leap(design: Design, curves: int, analysis: Analysis, rng: np.random.Generator) -> float | None:
    rises = [r for r in RISES if r <= 1 - design.floor]
    best = None
    for rise in reversed(rises):  # the smaller, the harder: stop at the first that is missed
        found = _judged(list(_drafts(replace(design, rise=rise), LEAP_WIDTH, curves, rng)), analysis, rng)
        if np.mean([f.verdict in CLAIMS_LEAP for f in found]) < ENOUGH:
            break
        best = rise
    return best


def _smallest_difference(design: Design) -> float:
    """Two-sided z-test of one checkpoint, all its seeds together, against a known floor."""
    n, f = design.items * design.seeds, design.floor
    za, zb = float(ndtri(0.975)), float(ndtri(ENOUGH))
    d = 0.1
    for _ in range(20):
        high = min(max(f + d, 1 / n), 1 - 1e-9)
        d = za * np.sqrt(f * (1 - f) / n) + zb * np.sqrt(high * (1 - high) / n)
    return float(min(max(d, 1.61 / n), 1.0))


def _advice(design: Design, reach: Reach, others: Sequence[Alternative], analysis: Analysis) -> Iterator[str]:
    if design.points < analysis.min_points:
        yield f"Fewer than {analysis.min_points} points are always unresolved: add points first."
    if design.seeds < analysis.transition_seeds:
        need = analysis.transition_seeds
        yield f"A transition needs {need} seeds or more; with {design.seeds} the best word is sharp."
    if not design.soft:
        yield "Without a graded twin a leap of the metric cannot be distinguished from a leap of the model."
    for name, better in (("leaps", _wider), ("smooth", _narrower)):
        helpful = [a for a in others if better(a.reach, reach)]
        if helpful:
            best = min(helpful, key=lambda a: a.cost)
            yield f"For more {name}: {best.change} ({best.cost:.3g} times the answers): {describe(best.reach)}."
    if not any(_wider(a.reach, reach) or _narrower(a.reach, reach) for a in others):
        yield "Nothing that was tried, one thing at a time, tells much more apart."


def _wider(a: Reach, b: Reach) -> bool:
    return (a.leaps_to or 0.0) > (b.leaps_to or 0.0)


def _narrower(a: Reach, b: Reach) -> bool:
    return (a.smooth_from or np.inf) < (b.smooth_from or np.inf)


def describe(reach: Reach) -> str:
    """In words."""
    leaps, smooth = "no leap is detected for sure", "no smooth rise is"
    if reach.leaps_to is not None:
        leaps = f"leaps up to {reach.leaps_to:g} decades are detected"
    if reach.smooth_from is not None:
        smooth = f"smooth rises from {reach.smooth_from:g} decades are"
    return f"{leaps}, {smooth}"


def _judged(drafts: Sequence[Draft], analysis: Analysis, rng: np.random.Generator) -> list[Finding]:
    return judge(assemble(drafts, [measure(rng, d) for d in drafts]), analysis, rng)


def _drafts(design: Design, width: float, curves: int, rng: np.random.Generator) -> Iterator[Draft]:
    setting = _setting(design)
    canvas = Canvas(setting)
    for _ in range(curves):
        middle = setting.x[0] + rng.uniform(0.35, 0.65) * setting.range
        rise = shapes.at(shapes.SIGMOIDS["logistic"], canvas.xs, middle, width)
        both = np.tile(rise, (setting.seeds, 1))
        yield Draft(
            word="sharp",
            kind="plan",
            family="logistic",
            setting=setting,
            hard=both,
            soft=both if design.soft else None,
            leap=rise,
            soft_leap=rise if design.soft else None,
            onset=middle,
            leapt=setting.seeds,
        )


def _flat(design: Design) -> Draft:
    setting = _setting(design)
    none = np.zeros((setting.seeds, len(Canvas(setting).xs)))
    return Draft(
        word="flat", kind="plan", family="constant", setting=setting, hard=none, soft=none if design.soft else None
    )


def _setting(design: Design) -> Setting:
    soft = SoftTwin(
        metric="token_logprob",
        low=-4.0,
        high=-4.0 + 7.0 * design.rise,
        bottom=-np.inf,
        ceiling=0.0,
        stderr=float(2.0 / np.sqrt(design.items)),
        noise=1.0,
        slant=0.5,
        stated=True,
        heavy=False,
    )
    return Setting(
        axis="tokens",
        log_axis=True,
        x=8.0 + np.linspace(0.0, design.decades, design.points),
        seeds=design.seeds,
        items=design.items,
        items_known=True,
        stderr_known=True,
        floor=design.floor,
        nominal=design.floor,
        floor_known=design.floor,
        floor_source="computed",
        rise=design.rise,
        shared_items=0.5,
        jitter=0.06,
        persistence=0.0,
        soft=soft if design.soft else None,
    )
