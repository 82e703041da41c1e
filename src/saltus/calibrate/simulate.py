"""Simulated curves of known truth, as the judge sees them, each beside what it really is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saltus.calibrate import recipes, unclear
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.recipes import Recipe
from saltus.calibrate.sampling import Measured, measure
from saltus.calibrate.settings import FREE, Fixed, draw_setting
from saltus.records import Analysis, Verdict
from saltus.stats.batch import Channel, CurveBatch, CurveKey, Floats, Suspect

RECIPES: dict[str, tuple[Recipe, float]] = {
    "flat": (recipes.flat, 0.13),
    "smooth": (recipes.smooth, 0.16),
    "artefact": (recipes.artefact, 0.12),
    "murky": (recipes.murky, 0.08),
    "leap": (recipes.leap, 0.20),
    "split": (recipes.split, 0.09),
    "irregular": (recipes.irregular, 0.09),
    "unresolved": (unclear.unresolved, 0.10),
    "unrelated": (unclear.unrelated_twin, 0.01),
    "defective": (unclear.defective, 0.02),
}
"""Maker → share of the truths; `leap` makes `sharp` and `transition`, as seeds and twin allow, `murky` unclear ones.
`unrelated` makes `unresolved` ones whose twins contradict each other."""

NULLS: frozenset[Verdict] = frozenset({"flat", "smooth", "artefact", "irregular", "unresolved"})
"""Truths without a leap that anybody could know of: calling one a leap is a false alarm."""

_MOST_TRIES = 5000
_DEFAULTS = Analysis()


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a simulated curve really is."""

    word: Verdict
    clear: bool
    """Whether an oracle could tell the word; if not, only a false alarm can be counted."""
    kind: str
    family: str
    onset: float | None
    """Raw units of the axis; midpoint of the leap, or of the whole rise where there is none."""
    onset_x: float | None
    """The same on the fitted axis: decades, or nats."""
    width_hard: float | None
    """10–90 % of the leap or of the rise, in decades (nats on a loss axis)."""
    width_soft: float | None
    leapt: int
    n_points: int
    n_seeds: int
    n_items: int
    range: float
    log_axis: bool
    soft_metric: str | None
    shared_items: float
    """Share of items that answer alike at all points: under-dispersion."""
    jitter: float
    """Scatter beyond sampling, in logits: over-dispersion."""


def simulate(
    n: int,
    rng: np.random.Generator,
    *,
    words: Sequence[str] = tuple(RECIPES),
    analysis: Analysis = _DEFAULTS,
    fixed: Fixed = FREE,
) -> tuple[CurveBatch, list[Truth]]:
    """n curves of known truth, makers by their shares; the same rng state gives the same curves.

    words: which makers of `RECIPES`. fixed: circumstances to hold. Raises ValueError where the
    circumstances leave a maker no clear truth to make.
    """
    shares = np.array([RECIPES[word][1] for word in words])
    lots = rng.choice(len(words), size=n, p=shares / shares.sum())
    drafts = [_draft(rng, words[int(lot)], analysis, fixed) for lot in lots]
    batch = assemble(drafts, [measure(rng, draft) for draft in drafts])
    return batch, [truth_of(draft) for draft in drafts]


def _draft(rng: np.random.Generator, word: str, analysis: Analysis, fixed: Fixed) -> Draft:
    make = RECIPES[word][0]
    for _ in range(_MOST_TRIES):
        draft = make(rng, Canvas(draw_setting(rng, fixed)), analysis)
        if draft is not None:
            return draft
    raise ValueError(f"no clear `{word}` truth in {_MOST_TRIES} tries under {fixed}")


def truth_of(draft: Draft) -> Truth:
    """The record of a draft's truth."""
    setting, onset = draft.setting, draft.onset
    raw = None if onset is None else 10.0**onset if setting.log_axis else -onset
    soft_width = draft.soft is not None and onset is not None
    return Truth(
        word=draft.word,
        clear=draft.clear,
        kind=draft.kind,
        family=draft.family,
        onset=raw,
        onset_x=onset,
        width_hard=draft.width("hard") if onset is not None else None,
        width_soft=draft.width("soft") if soft_width else None,
        leapt=draft.leapt,
        n_points=draft.points,
        n_seeds=setting.seeds,
        n_items=setting.items,
        range=setting.range,
        log_axis=setting.log_axis,
        soft_metric=setting.soft.metric if setting.soft is not None else None,
        shared_items=setting.shared_items,
        jitter=setting.jitter,
    )


def assemble(drafts: Sequence[Draft], measured: Sequence[Measured]) -> CurveBatch:
    """One padded batch; within each seed the points that exist come first, sorted by x."""
    seeds = max(d.setting.seeds for d in drafts)
    points = max(d.points for d in drafts)
    names = ("x", "raw_x", "hard", "hard_stderr", "n", "soft", "soft_stderr")
    arrays = {name: np.full((len(drafts), seeds, points), np.nan) for name in names}
    seen = np.zeros((len(drafts), seeds, points), dtype=bool)
    for c, (draft, got) in enumerate(zip(drafts, measured)):
        x = draft.setting.x
        raw = 10.0**x if draft.setting.log_axis else -x
        for s in range(draft.setting.seeds):
            kept = got.seen[s]
            count = int(kept.sum())
            seen[c, s, :count] = True
            columns = (x, raw, got.hard[s], got.hard_stderr[s], got.n[s], got.soft[s], got.soft_stderr[s])
            for name, column in zip(names, columns):
                arrays[name][c, s, :count] = column[kept]
    return CurveBatch(
        keys=tuple(_key(c, draft) for c, draft in enumerate(drafts)),
        x=arrays["x"],
        raw_x=arrays["raw_x"],
        seen=seen,
        log_axis=np.array([d.setting.log_axis for d in drafts]),
        hard=_hard_channel(drafts, measured, arrays),
        soft=_soft_channel(drafts, arrays),
        has_soft=np.array([d.soft is not None for d in drafts]),
        suspects=tuple(_suspects(draft, seeds, points) for draft in drafts),
    )


def _hard_channel(drafts: Sequence[Draft], measured: Sequence[Measured], arrays: Mapping[str, Floats]) -> Channel:
    ones = np.ones(len(drafts))
    return Channel(
        value=arrays["hard"],
        stderr=arrays["hard_stderr"],
        n=arrays["n"],
        binomial=np.array([d.setting.items_known for d in drafts]),
        floor=np.array([m.floor for m in measured]),
        floor_stderr=np.array([m.floor_stderr for m in measured]),
        nominal_floor=np.array([d.setting.nominal for d in drafts]),
        ceiling=ones,
        bottom=0 * ones,
    )


def _soft_channel(drafts: Sequence[Draft], arrays: Mapping[str, Floats]) -> Channel:
    twins = [d.setting.soft if d.soft is not None else None for d in drafts]
    unknown = np.full(len(drafts), np.nan)
    return Channel(
        value=arrays["soft"],
        stderr=arrays["soft_stderr"],
        n=np.where(np.isnan(arrays["soft"]), np.nan, arrays["n"]),
        binomial=np.zeros(len(drafts), dtype=bool),
        floor=unknown,
        floor_stderr=unknown,
        nominal_floor=unknown,
        ceiling=np.array([t.ceiling if t else np.nan for t in twins]),
        bottom=np.array([t.bottom if t else np.nan for t in twins]),
    )


def _suspects(draft: Draft, seeds: int, points: int) -> tuple[Suspect, ...]:
    if draft.suspect is None:
        return ()
    mask = np.zeros((seeds, points), dtype=bool)
    mask[: draft.setting.seeds, : draft.points] = draft.suspect
    return (Suspect("shots", "disqualifying", "other shots than the file says", mask),)


def _key(c: int, draft: Draft) -> CurveKey:
    setting = draft.setting
    series, skill, form = draft.label or (f"series {c}", None, None)
    return CurveKey(
        series=series,
        task=f"task {c}",
        skill=skill,
        format=form,
        condition="baseline",
        axis=setting.axis,
        metric_hard="acc",
        metric_soft=setting.soft.metric if draft.soft is not None and setting.soft else None,
        floor_source=setting.floor_source,
        seeds=tuple(str(s) for s in range(setting.seeds)),
        why_no_soft=None if draft.soft is not None else "the simulated source has none",
        token_length=draft.token_length,
    )
