"""Simulated truths are what they claim by the design's numbers, and their noise is what it claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from saltus.calibrate import Fixed, simulate
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.families import SKILLS, TOGETHER, formats
from saltus.calibrate.recipes import leap, smooth
from saltus.calibrate.sampling import measure
from saltus.calibrate.settings import draw_setting
from saltus.calibrate.shapes import SIGMOIDS, at, quanta
from saltus.calibrate.simulate import RECIPES
from saltus.records import Analysis


@pytest.fixture(scope="module")
def sample():
    return simulate(600, np.random.default_rng(5))


def test_every_sigmoid_has_its_midpoint_at_zero_and_unit_width():
    z = np.linspace(-60, 60, 240_001)
    for name, shape in SIGMOIDS.items():
        f = shape(z)
        assert np.all(np.diff(f) >= 0), name
        low, middle, high = (z[np.argmax(f >= level)] for level in (0.1, 0.5, 0.9))
        assert high - low == pytest.approx(1.0, abs=2e-3), name
        assert middle == pytest.approx(0.0, abs=1e-3), name


def test_quanta_climb_item_by_item():
    z = np.linspace(-5, 5, 5001)
    f = quanta(np.random.default_rng(2))(z)
    assert f[0] == 0.0
    assert f[-1] == 1.0
    assert 15 <= len(np.unique(f)) - 1 <= 150
    assert z[np.argmax(f >= 0.9)] - z[np.argmax(f >= 0.1)] == pytest.approx(1.0, abs=0.25)


def test_a_step_has_no_width():
    assert at(SIGMOIDS["logistic"], np.array([0.9, 1.0, 1.1]), 1.0, 0.0).tolist() == [0.0, 1.0, 1.0]


def test_all_words_occur_and_depend_on_the_generator_alone(sample):
    batch, first = simulate(60, np.random.default_rng(5))
    again, second = simulate(60, np.random.default_rng(5))
    assert first == second
    np.testing.assert_array_equal(batch.hard.value, again.hard.value)
    np.testing.assert_array_equal(batch.soft.stderr, again.soft.stderr)
    words = Counter(t.word for t in sample[1])
    assert set(words) == {
        "flat",
        "smooth",
        "artefact",
        "sharp",
        "transition",
        "split",
        "irregular",
        "unresolved",
        "defective",
    }
    _, other = simulate(60, np.random.default_rng(6))
    assert other != first


def test_widths_are_on_the_right_side_of_the_definition(sample):
    analysis = Analysis()
    for truth in sample[1]:
        limit = analysis.jump_range * truth.range
        limit = min(limit, analysis.jump_width) if truth.log_axis else limit
        if truth.word in ("sharp", "transition", "split", "artefact"):
            assert truth.width_hard is not None
            assert truth.width_hard <= limit + 0.01 * truth.range, truth
        if truth.word in ("sharp", "transition", "split") and truth.width_soft is not None:
            assert truth.width_soft <= limit + 0.01 * truth.range, truth
        if truth.word == "smooth":
            assert truth.width_hard is not None
            assert truth.width_hard >= analysis.gradual_range * truth.range
        if truth.word in ("smooth", "artefact") and truth.width_soft is not None:
            assert truth.width_soft >= analysis.gradual_range * truth.range


def test_words_keep_to_their_seeds_points_and_twins(sample):
    for truth in sample[1]:
        if truth.word in ("transition", "split"):
            assert truth.n_seeds >= 3
        if truth.word in ("transition", "artefact"):
            assert truth.soft_metric is not None
        if truth.word == "sharp":
            assert truth.n_seeds == 1 or truth.soft_metric is None
        if truth.word == "split":
            assert 1 <= truth.leapt < truth.n_seeds
        if truth.word not in ("unresolved",):
            assert truth.n_points >= 6
        assert (truth.onset is None) == (truth.word in ("flat", "irregular", "unresolved", "defective"))


def test_nulls_have_seeds_and_odd_floors_too(sample):
    batch, truths = sample
    for word in ("flat", "smooth", "artefact", "irregular"):
        assert {t.n_seeds for t in truths if t.word == word} == {1, 3, 5}
    off = np.abs(batch.hard.floor - batch.hard.nominal_floor)
    assert off.max() > 0.04
    assert {k.floor_source for k in batch.keys} == {"untrained points", "computed", "nominal"}
    assert {t.log_axis for t in truths} == {True, False}


def test_batch_keeps_the_contract(sample):
    batch, truths = sample
    for name in ("value", "stderr", "n"):
        for channel in (batch.hard, batch.soft):
            array = getattr(channel, name)
            assert array.shape == batch.shape
            assert np.all(np.isnan(array[~batch.seen])), name
    assert np.all(np.isfinite(batch.hard.value[batch.seen]))
    assert np.all((batch.hard.value[batch.seen] >= 0) & (batch.hard.value[batch.seen] <= 1))
    has_values = np.isfinite(batch.soft.value).any(axis=(1, 2))
    np.testing.assert_array_equal(has_values, batch.has_soft)
    for c, truth in enumerate(truths):
        x = batch.x[c, 0][batch.seen[c, 0]]
        assert np.all(np.diff(x) > 0)
        assert batch.seen[c].any(axis=1).sum() == truth.n_seeds == len(batch.keys[c].seeds)
        assert batch.seen[c].sum(axis=1).max() == truth.n_points
        raw = batch.raw_x[c, 0][batch.seen[c, 0]]
        np.testing.assert_allclose(x, np.log10(raw) if batch.log_axis[c] else -raw)
        if truth.onset_x is not None:
            assert x[0] <= truth.onset_x <= x[-1]
    counts = batch.hard.value * batch.hard.n
    known = np.isfinite(counts)
    np.testing.assert_allclose(counts[known], np.round(counts[known]), atol=1e-6)


def test_suspects_mark_what_is_spoiled(sample):
    batch, truths = sample
    for suspects, truth in zip(batch.suspects, truths):
        assert bool(suspects) == (truth.word == "defective")
        if suspects:
            assert suspects[0].severity == "disqualifying"
            assert 3 <= suspects[0].mask.any(axis=0).sum() <= 5


def test_fixed_circumstances_are_kept():
    batch, truths = simulate(
        40, np.random.default_rng(1), words=("flat", "smooth", "leap"), fixed=Fixed(points=12, seeds=3, items=800)
    )
    assert batch.shape == (40, 3, 12)
    assert {(t.n_points, t.n_seeds, t.n_items) for t in truths} == {(12, 3, 800)}
    with pytest.raises(ValueError, match="no clear"):
        simulate(1, np.random.default_rng(1), words=("split",), fixed=Fixed(seeds=1))


def a_draft(**changes) -> Draft:
    """A constant curve half way up, 1,000 items, 20 points, as changed in its setting."""
    rng = np.random.default_rng(0)
    setting = draw_setting(rng, Fixed(points=20, seeds=1, items=1000, grid="log", soft=True))
    setting = replace(setting, floor=0.3, rise=0.4, jitter=0.0, shared_items=0.0, persistence=0.0)
    setting = replace(setting, **changes)
    half = np.full((1, len(Canvas(setting).xs)), 0.5)
    return Draft(word="flat", kind="", family="constant", setting=setting, hard=half, soft=half)


def scatter(draft: Draft, *, local: bool = False) -> float:
    """Variance over points in units of the binomial one; `local`: from neighbours' differences."""
    rng = np.random.default_rng(1)
    values = np.concatenate([measure(rng, draft).hard for _ in range(400)])
    variance = (np.diff(values, axis=1) ** 2).mean() / 2 if local else values.var(axis=0).mean()
    return float(variance / (0.25 / draft.setting.items))


def test_sampling_is_binomial_unless_items_are_shared_or_checkpoints_jitter():
    assert scatter(a_draft()) == pytest.approx(1.0, abs=0.1)
    shared = a_draft(shared_items=0.85)
    assert scatter(shared) == pytest.approx(1.0, abs=0.15)
    assert scatter(shared, local=True) == pytest.approx(0.15, abs=0.05)
    jitter = a_draft(jitter=0.12)
    expected = 1 + 1000 * 0.25 * 0.12**2
    assert scatter(jitter) == pytest.approx(expected, rel=0.15)
    assert scatter(a_draft(jitter=0.12, persistence=0.6), local=True) < scatter(jitter, local=True)


def test_a_score_of_zero_stays_zero_under_jitter():
    draft = a_draft(floor=0.0, rise=0.5, jitter=0.2)
    none = np.zeros_like(draft.hard)
    assert measure(np.random.default_rng(0), replace(draft, hard=none)).hard.max() == 0.0


def test_stated_soft_errors_are_wrong_by_the_factor_they_were_given():
    draft = a_draft()
    twin = replace(draft.setting.soft, stated=True, noise=2.0, slant=0.0, heavy=False, bottom=-np.inf)
    twin = replace(twin, ceiling=np.inf)
    draft = replace(draft, setting=replace(draft.setting, soft=twin))
    rng = np.random.default_rng(3)
    got = [measure(rng, draft) for _ in range(300)]
    real = np.std([g.soft for g in got], axis=0).mean()
    assert real / got[0].soft_stderr.mean() == pytest.approx(2.0, rel=0.1)


def test_what_is_not_clear_is_refused():
    """A recipe never calls a noisy or half-wide curve clear."""
    rng = np.random.default_rng(4)
    few = [draw_setting(rng, Fixed(points=12, items=50, decades=4.0, grid="log")) for _ in range(60)]
    dim = [replace(s, rise=0.08, jitter=0.2) for s in few]
    for setting in dim:
        assert smooth(rng, Canvas(setting), Analysis()) is None
        assert leap(rng, Canvas(setting), Analysis()) is None


def test_shares_of_the_makers_sum_to_one():
    assert sum(share for _, share in RECIPES.values()) == pytest.approx(1.0)


def test_families_leap_together_in_one_format_or_apart():
    drafts = formats(np.random.default_rng(8), 2, Analysis())
    first, second = ([d for d in drafts if d.label[0] == f"series of formats {g}"] for g in (0, 1))
    for group, word in ((first, "bound"), (second, "sharp")):
        words = Counter((d.word, d.label[2]) for d in group)
        skills = words[word, "letters"]
        assert skills in SKILLS
        assert words == {(word, "letters"): skills, ("smooth", "cloze"): skills}
    places = [[d.onset for d in drafts if d.word == word] for word in ("bound", "sharp")]
    assert np.ptp(places[0]) <= TOGETHER < np.ptp(places[1])
    assert len({d.label[0] for d in drafts}) == 2
