"""From true means to what an evaluation would have published: shares of n items, soft means with errors.

Hard scores are whole numbers of right answers. A part of the items answers alike at all checkpoints (their
sampling error is common, so neighbours differ by less than binomial), and jitter in logits, shared in part with
the soft twin and with memory from point to point, makes other series scatter by more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.calibrate.draft import Draft
from saltus.calibrate.settings import Setting
from saltus.stats.batch import Bools, Floats


@dataclass(frozen=True)
class Measured:
    """(S, P) arrays of one simulated curve, NaN where a seed lacks the point."""

    hard: Floats
    hard_stderr: Floats
    n: Floats
    soft: Floats
    soft_stderr: Floats
    seen: Bools
    floor: float
    floor_stderr: float


def measure(rng: np.random.Generator, draft: Draft) -> Measured:
    """Ask the simulated series once."""
    setting = draft.setting
    shape = (setting.seeds, draft.points)
    wobble = _wobble(rng, (setting.seeds, draft.points + 1), setting.persistence)
    untrained = np.full((setting.seeds, 1), setting.floor)
    mean = np.concatenate([untrained, draft.hard_mean()], axis=1)
    mean = _jittered(mean, setting.jitter * wobble)
    shared = round(setting.items * setting.shared_items)
    right = _shared_right(rng, mean, shared, alike=rng.random() < 0.7)
    right = right + rng.binomial(setting.items - shared, mean)
    floor, floor_stderr = _floor(setting, right[:, 0])
    hard, wobble = right[:, 1:] / setting.items, wobble[:, 1:]
    seen = _kept(rng, draft)
    stderr = np.sqrt(np.maximum(hard * (1 - hard), 0.25 / setting.items) / setting.items)
    soft, soft_stderr = _soft(rng, draft, wobble)
    unknown = np.full(shape, np.nan)
    gone = np.where(seen, 0.0, np.nan)
    return Measured(
        hard=hard + gone,
        hard_stderr=(stderr if setting.stderr_known else unknown) + gone,
        n=(np.full(shape, float(setting.items)) if setting.items_known else unknown) + gone,
        soft=soft + gone,
        soft_stderr=soft_stderr + gone,
        seen=seen,
        floor=floor,
        floor_stderr=floor_stderr,
    )


def _floor(setting: Setting, right: Floats) -> tuple[float, float]:
    """What the analyst knows of the floor: the untrained networks' answers to the same items, or what was stated."""
    if setting.floor_source != "untrained points":
        return setting.floor_known, 0.0
    share, asked = float(right.mean() / setting.items), setting.items * len(right)
    return share, float(np.sqrt(max(share * (1 - share), 0.25 / asked) / asked))


def _wobble(rng: np.random.Generator, shape: tuple[int, int], persistence: float) -> Floats:
    """(S, P) standard normal noise with AR(1) memory along the points."""
    fresh = rng.normal(size=shape)
    for p in range(1, shape[1]):
        fresh[:, p] = persistence * fresh[:, p - 1] + np.sqrt(1 - persistence**2) * fresh[:, p]
    return fresh


def _jittered(mean: Floats, logits: Floats) -> Floats:
    """Shares moved by so many logits; 0 and 1 stay."""
    odds = mean * np.exp(logits)
    return odds / (odds + (1.0 - mean))


def _shared_right(rng: np.random.Generator, mean: Floats, items: int, *, alike: bool) -> Floats:
    """(S, P) right answers among items of one fixed difficulty each: correct where it lies below the mean.

    alike: all seeds find the same items hard, so their sampling error is one; otherwise each seed has its own.
    """
    if alike:
        return _below(rng, mean.ravel(), items).reshape(mean.shape)
    return np.stack([_below(rng, row, items) for row in mean])


def _below(rng: np.random.Generator, levels: Floats, items: int) -> Floats:
    """How many of `items` uniform difficulties lie below each level, all levels seeing the same items."""
    order = np.argsort(levels)
    cells = np.diff(np.concatenate([[0.0], np.clip(levels[order], 0.0, 1.0), [1.0]]))
    counts = np.empty(len(levels))
    counts[order] = np.cumsum(rng.multinomial(items, cells / cells.sum()))[:-1]
    return counts


def _soft(rng: np.random.Generator, draft: Draft, wobble: Floats) -> tuple[Floats, Floats]:
    setting, twin = draft.setting, draft.setting.soft
    shape = (setting.seeds, draft.points)
    if twin is None or draft.soft is None:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    error = np.broadcast_to(setting.soft_error(), shape)
    noise = rng.standard_t(5, size=shape) / np.sqrt(5 / 3) if twin.heavy else rng.normal(size=shape)
    common = 0.5 if setting.jitter > 0 else 0.0
    value = draft.soft_mean() + error * (np.sqrt(1 - common**2) * noise + common * wobble)
    value = np.clip(value, twin.bottom, twin.ceiling)
    stated = error / twin.noise if twin.stated else np.full(shape, np.nan)
    return value, stated


def _kept(rng: np.random.Generator, draft: Draft) -> Bools:
    """Sometimes a seed lacks a checkpoint or two; never where that would change what can be decided."""
    seen = np.ones((draft.setting.seeds, draft.points), dtype=bool)
    if draft.setting.seeds > 1 and draft.points >= 12 and rng.random() < 0.2:
        seed = int(rng.integers(draft.setting.seeds - 1))
        away = np.array([0, draft.points - 1])
        seen[seed, rng.choice(away, size=int(rng.integers(1, 3)), replace=False)] = False
    return seen
