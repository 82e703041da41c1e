"""From table to curves: series and axes, twins, floors, seeds, and an account of what is in no curve."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.errors import UserError
from saltus.results.read import read

from helpers.places import DATA_FOLDER

SAMPLE = DATA_FOLDER / "pythia_sample.parquet"
TOKENS = [0.0, 1e9, 2e9, 4e9, 8e9, 16e9, 32e9]


def numbers(values, *, metric="acc", task="t", tokens=TOKENS, **columns) -> pl.DataFrame:
    """Rows of one run, one per value."""
    k = len(values)
    base = {
        "series": ["S"] * k,
        "model": ["m"] * k,
        "tokens": tokens[:k],
        "task": [task] * k,
        "metric": [metric] * k,
        "value": values,
        "n_items": [1000] * k,
    }
    given = {c: v if isinstance(v, list) else [v] * k for c, v in columns.items()}
    return pl.DataFrame({**base, **given}, strict=False)


def table(*frames: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(frames, how="diagonal_relaxed")


def curve(assembled, **where):
    """The index of the one curve that fits."""
    hits = [i for i, key in enumerate(assembled.batch.keys) if all(getattr(key, k) == v for k, v in where.items())]
    assert len(hits) == 1, [assembled.batch.keys[i] for i in hits]
    return hits[0]


@pytest.fixture(scope="module")
def pythia():
    return assemble(read([SAMPLE]).table)


RISE = [0.26, 0.25, 0.3, 0.5, 0.7, 0.8, 0.85]


# series and axes


def test_runs_are_series_of_their_own_and_families_are_judged_across_models(pythia):
    keys = {(k.series, k.axis) for k in pythia.batch.keys}
    assert ("Pythia/v1/0/pythia-12b", "tokens") in keys
    assert ("Pythia/v1/0", "flops") in keys
    assert ("Pythia/v1/0", "params") not in keys, "tokens are equal, so flops and params are one test"
    i = curve(pythia, series="Pythia/v1/0", task="sciq", metric_hard="acc")
    assert pythia.batch.seen[i].sum() == 7, "each model's last point"
    assert np.nanmax(pythia.batch.raw_x[i]) == pytest.approx(6 * 11846072320 * 299892736000, rel=0.1)


def test_a_lone_family_keeps_its_name_and_constant_keys_are_left_out():
    rows = table(*(numbers(RISE, family="F", model=m, variant="v").drop("series") for m in ("a", "b")))
    assert {k.series for k in assemble(rows.with_columns(series=pl.lit("F"))).batch.keys} == {"F/a", "F/b"}


def test_a_study_names_its_series_and_a_lone_run_takes_that_name():
    rows = numbers(RISE, model=[f"m-step{i}" for i in range(7)])
    assembled = assemble(rows, series=("series",))
    assert [k.series for k in assembled.batch.keys] == ["S"]
    assert assembled.batch.seen.sum() == 6


def test_series_can_be_told_apart_by_other_columns_under_their_published_names():
    rows = table(numbers(RISE, variant="a"), numbers(RISE, variant="b"))
    assert {k.series for k in assemble(rows, series=["family", "variant"]).batch.keys} >= set()
    assert {k.series for k in assemble(rows, series=["variant"]).batch.keys} == {"a", "b"}
    with pytest.raises(UserError, match="did you mean `variant`"):
        assemble(rows, series=["varient"])


def test_shots_that_belong_to_the_task_do_not_split_series():
    rows = table(numbers(RISE, task="t", n_shot=0), numbers(RISE, task="u", n_shot=5))
    assert {k.series for k in assemble(rows).batch.keys} == {"S"}
    rows = table(numbers(RISE, n_shot=0), numbers(RISE, n_shot=5))
    assert {k.series for k in assemble(rows).batch.keys} == {"S/0", "S/5"}


def test_x_is_log10_and_the_untrained_point_feeds_the_floor_not_the_range():
    assembled = assemble(numbers(RISE))
    batch = assembled.batch
    assert batch.raw_x[0, 0].tolist() == TOKENS[1:]
    assert batch.x[0, 0] == pytest.approx(np.log10(TOKENS[1:]))
    assert batch.log_axis[0]
    assert batch.hard.floor[0] == 0.26
    assert batch.hard.floor_stderr[0] == pytest.approx(np.sqrt(0.26 * 0.74 / 1000), rel=0.02)
    assert batch.keys[0].floor_source == "untrained points"


def test_step_and_flops_of_a_run_are_onset_units_not_tests():
    rows = numbers(RISE, step=[int(t / 1e6) for t in TOKENS], params=1e9)
    batch = assemble(rows).batch
    assert [k.axis for k in batch.keys] == ["tokens"]
    assert batch.other_axes["step"][0, 0].tolist() == [t / 1e6 for t in TOKENS[1:]]
    assert batch.other_axes["flops"][0, 0].tolist() == [6 * 1e9 * t for t in TOKENS[1:]]


def test_loss_is_a_test_of_its_own_along_minus_loss():
    losses = [11.0, 6.0, 5.0, 4.0, 3.5, 3.2, 3.0]
    assembled = assemble(numbers(RISE, loss=losses))
    i = curve(assembled, axis="loss")
    assert assembled.batch.x[i, 0].tolist() == [-x for x in losses[1:]]
    assert not assembled.batch.log_axis[i]
    assert assembled.batch.other_axes["loss"][curve(assembled, axis="tokens"), 0].tolist() == losses[1:]


def test_axis_restricts_and_unknown_axes_are_refused():
    rows = numbers(RISE, loss=[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], step=list(range(7)))
    assert {k.axis for k in assemble(rows, axis="loss").batch.keys} == {"loss"}
    assert {k.axis for k in assemble(rows, axis="step").batch.keys} == {"step"}
    with pytest.raises(UserError, match="no axis `token`"):
        assemble(rows, axis="token")


def family(values, *, params, tokens=1e9, **columns) -> pl.DataFrame:
    sizes = [f"F-{p:g}" for p in params]
    return numbers(
        values, model=sizes, params=params, tokens=[tokens] * len(values) if np.isscalar(tokens) else tokens, **columns
    )


def test_flops_and_params_are_two_tests_where_tokens_are_unequal_and_say_so():
    params = [1e6, 1e7, 1e8, 1e9, 1e10, 1e11]
    given = [6e9 * p for p in params]
    assert [k.axis for k in assemble(family(RISE[:6], params=params, flops=given)).batch.keys] == ["flops"]
    assert [k.axis for k in assemble(family(RISE[:6], params=params)).batch.keys] == ["params"]
    uneven = assemble(family(RISE[:6], params=params, tokens=[1e9, 9e9, 1e9, 9e9, 1e9, 9e9]))
    assert {k.axis for k in uneven.batch.keys} == {"flops", "params"}
    assert all(any("unequal" in c for c in k.caveats) for k in uneven.batch.keys)
    chinchilla = assemble(family(RISE[:6], params=params, tokens=[20 * p for p in params], flops=given))
    assert [k.axis for k in chinchilla.batch.keys] == ["flops"], "tokens in proportion: one test"


def test_an_axis_that_a_hypothesis_names_is_judged():
    params = [1e6, 1e7, 1e8, 1e9, 1e10, 1e11]
    rows = family(RISE[:6], params=params, flops=[6e9 * p for p in params])
    wish = SimpleNamespace(task="t", series="S", axis="params")
    keys = assemble(rows, registered=[wish]).batch.keys
    assert {(k.axis, k.family) for k in keys} == {("flops", "exploration"), ("params", "registered")}


def test_models_without_tokens_are_judged_along_params():
    rows = family(RISE[:6], params=[1e6, 1e7, 1e8, 1e9, 1e10, 1e11]).with_columns(tokens=None)
    assert [k.axis for k in assemble(rows).batch.keys] == ["params"]


def test_earlier_points_of_short_runs_are_counted_as_left_out():
    parts = [numbers(RISE[4:], model=m, params=p, tokens=[1e9, 2e9, 4e9]) for m, p in (("a", 1e6), ("b", 1e7))]
    assembled = assemble(table(*parts))
    assert sum(n for why, n in assembled.left_out.items() if "earlier point" in why) == 4
    assert assembled.batch.seen.sum() == 2


# channels


def test_twins_are_paired_on_the_same_points_and_higher_is_better():
    ppl = [1e6, 1e5, 1e3, 100.0, 10.0, 5.0, 4.0]
    rows = table(numbers(RISE), numbers(ppl, metric="ppl", stderr=[v / 10 for v in ppl]))
    batch = assemble(rows).batch
    assert [(k.metric_hard, k.metric_soft) for k in batch.keys] == [("acc", "ppl")]
    assert batch.soft.value[0, 0] == pytest.approx(-np.log(ppl[1:]))
    assert batch.soft.stderr[0, 0] == pytest.approx(0.1)
    assert batch.soft.floor[0] == pytest.approx(-np.log(1e6))
    assert batch.soft.ceiling[0] == 0.0
    assert (batch.hard.bottom[0], batch.hard.ceiling[0]) == (0.0, 1.0)
    assert batch.hard.binomial[0]
    assert not batch.soft.binomial[0]


def test_one_pair_is_primary_and_the_study_may_choose_it():
    rows = table(numbers(RISE), numbers(RISE, metric="acc_norm"), numbers([-r for r in RISE], metric="gold_logprob"))
    keys = assemble(rows).batch.keys
    assert [(k.metric_hard, k.primary) for k in keys] == [("acc", True), ("acc_norm", False)]
    chosen = assemble(rows, primary=("acc_norm", "gold_logprob")).batch.keys
    assert [(k.metric_hard, k.primary) for k in chosen] == [("acc_norm", True), ("acc", False)]
    by_task = assemble(rows, primary={"t": ("acc_norm", None)}).batch.keys
    assert by_task[0].metric_hard == "acc_norm"


def test_a_wished_twin_wins_and_an_unknown_one_is_refused():
    soft = [-r for r in RISE]
    rows = table(numbers(RISE), numbers(soft, metric="gold_logprob"), numbers([9.0] * 7, metric="ppl"))
    assert assemble(rows).batch.keys[0].metric_soft == "gold_logprob"
    assert assemble(rows, twin={"acc": "ppl"}).batch.keys[0].metric_soft == "ppl"
    with pytest.raises(UserError, match="no metric `perplexity`"):
        assemble(rows, twin={"acc": "perplexity"})


def test_a_task_with_graded_scores_alone_makes_one_curve_and_counts_the_rest():
    rows = table(numbers([3.0] * 7, metric="bits_per_byte"), numbers([9.0] * 7, metric="word_perplexity"))
    assembled = assemble(rows)
    assert [(k.metric_hard, k.metric_soft) for k in assembled.batch.keys] == [(None, "bits_per_byte")]
    assert np.isnan(assembled.batch.hard.value).all()
    assert assembled.batch.has_soft[0]
    assert any("word_perplexity" in why for why in assembled.left_out)


def test_without_a_twin_the_curve_says_why():
    key = assemble(numbers(RISE)).batch.keys[0]
    assert key.metric_soft is None
    assert "acc" in (key.why_no_soft or "")


def test_what_is_no_score_is_counted():
    rows = table(numbers(RISE, metric="pct_stereotype"), numbers([5.0] * 7, metric="likelihood_difference"))
    assembled = assemble(rows)
    assert assembled.left_out == {"`likelihood_difference` is not a score of right answers": 7}
    assert assembled.batch.hard.nominal_floor[0] == 0.5


# floors


def test_floor_is_empirical_else_declared_else_nominal():
    trained = numbers(RISE[1:], tokens=TOKENS[1:], nominal_floor=0.25)
    assert assemble(trained).batch.hard.floor[0] == 0.25
    assert assemble(trained).batch.keys[0].floor_source == "nominal"
    declared = assemble(trained.with_columns(floor=0.2)).batch
    assert (declared.hard.floor[0], declared.keys[0].floor_source) == (0.2, "declared")
    computed = assemble(trained.with_columns(floor=0.2, floor_source=pl.lit("best guesser"))).batch
    assert computed.keys[0].floor_source == "computed: best guesser"
    assert np.isnan(assemble(trained.drop("nominal_floor")).batch.hard.floor[0])


def test_a_guesser_that_beats_the_untrained_network_is_the_floor():
    rows = numbers([0.02, *RISE[1:]], floor=0.1, floor_source="counts tokens")
    batch = assemble(rows).batch
    assert (batch.hard.floor[0], batch.keys[0].floor_source) == (pytest.approx(0.1), "computed: counts tokens")


def test_conflicting_floors_are_said_in_the_curve():
    rows = numbers(RISE[1:], tokens=TOKENS[1:], floor=[0.2, 0.2, 0.3, 0.2, 0.2, 0.2])
    assert any("floors of this curve differ" in c for c in assemble(rows).batch.keys[0].caveats)


def test_pythia_untrained_floor_is_not_one_over_k(pythia):
    i = curve(pythia, series="Pythia/v1/0/pythia-12b", task="sciq", metric_hard="acc")
    assert pythia.batch.hard.floor[i] == pytest.approx(0.2, abs=0.03)
    assert pythia.batch.hard.nominal_floor[i] == 0.25


# seeds, items, slices, factors


def test_seeds_of_a_series_belong_to_one_curve():
    parts = [numbers(RISE, seed=s, model=f"m-seed{s}") for s in ("0", "1", "2")]
    batch = assemble(table(*parts), series=("series",)).batch
    assert batch.keys[0].seeds == ("0", "1", "2")
    assert batch.shape == (1, 3, 6)
    assert batch.seen.all()


def items(correct: np.ndarray, metric: str = "acc", **columns) -> pl.DataFrame:
    """Item-level rows from (points, items) answers."""
    frames = [
        numbers(
            row.astype(float).tolist(),
            metric=metric,
            tokens=[TOKENS[p + 1]] * len(row),
            n_items=None,
            item_id=[f"i{j}" for j in range(len(row))],
            **columns,
        )
        for p, row in enumerate(correct)
    ]
    return table(*frames)


def test_items_give_value_error_count_and_paired_steps():
    rng = np.random.default_rng(3)
    answers = rng.random((6, 400)) < 0.5
    answers[3, :300] = answers[2, :300]
    batch = assemble(items(answers)).batch
    assert batch.hard.value[0, 0] == pytest.approx(answers.mean(axis=1))
    assert batch.hard.n[0, 0].tolist() == [400] * 6
    assert batch.hard.stderr[0, 0] == pytest.approx(answers.std(axis=1, ddof=1) / 20)
    assert batch.hard.step_stderr is not None
    steps = np.diff(answers.astype(float), axis=0)
    assert batch.hard.step_stderr[0, 0, 1:] == pytest.approx(steps.std(axis=1, ddof=1) / 20)
    assert np.isnan(batch.hard.step_stderr[0, 0, 0])


def test_items_that_share_a_group_give_clustered_errors():
    rng = np.random.default_rng(5)
    answers = np.repeat(rng.random((6, 40)) < 0.5, 10, axis=1)
    groups = [f"g{j // 10}" for j in range(400)]
    batch = assemble(items(answers, group=groups)).batch
    assert batch.hard.stderr[0, 0] == pytest.approx(answers[:, ::10].std(axis=1, ddof=1) / np.sqrt(40), rel=1e-6)


def test_slices_by_difficulty_and_group_are_curves_beside_the_primary_one():
    answers = np.random.default_rng(7).random((6, 30)) < 0.5
    rows = items(answers, difficulty=[float(j) for j in range(30)], group=[f"g{j % 2}" for j in range(30)])
    assembled = assemble(rows, slices=("difficulty", "group"))
    assert {k.slice for k in assembled.batch.keys} == {
        None,
        "difficulty=low",
        "difficulty=middle",
        "difficulty=high",
        "group=g0",
        "group=g1",
    }
    assert [k.slice for k in assembled.batch.keys if k.primary] == [None]
    i = curve(assembled, slice="difficulty=low")
    assert assembled.batch.hard.value[i, 0] == pytest.approx(answers[:, :10].mean(axis=1))


def test_factors_split_skill_from_format():
    rows = table(numbers(RISE, task="arc_mc"), numbers(RISE, task="arc_rc"), numbers(RISE, task="other"))
    keys = assemble(rows, factor="task=(?P<skill>.*)_(?P<format>mc|rc)").batch.keys
    assert {(k.task, k.skill, k.format) for k in keys} == {
        ("arc_mc", "arc", "mc"),
        ("arc_rc", "arc", "rc"),
        ("other", None, None),
    }


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ("taks=(?P<skill>.*)", "did you mean `task`"),
        ("task=(?P<kind>.*)", "named groups"),
        ("task=(", "fix"),
        ("task=(?P<skill>zzz)", "matches none"),
    ],
)
def test_bad_factors_are_refused(factor, message):
    with pytest.raises(UserError, match=message):
        assemble(numbers(RISE), factor=factor)


def test_conditions_are_curves_of_their_own():
    rows = table(numbers(RISE), numbers(RISE, condition="typos", condition_level="0.1"))
    assert {k.condition for k in assemble(rows).batch.keys} == {"baseline", "typos[0.1]"}


def test_registered_hypotheses_form_a_family():
    rows = table(numbers(RISE), numbers(RISE, task="u"))
    wish = SimpleNamespace(task="t", series="S", axis="tokens")
    keys = assemble(rows, registered=[wish]).batch.keys
    assert {(k.task, k.family) for k in keys} == {("t", "registered"), ("u", "exploration")}


# what must not matter, and what must be said


def test_order_units_and_repetition_of_rows_change_nothing():
    rows = read([SAMPLE]).table
    one = assemble(rows)
    two = assemble(pl.concat([rows, rows.head(500)]).sample(fraction=1.0, shuffle=True, seed=1))
    assert one.batch.keys == two.batch.keys
    for name in ("value", "stderr", "n", "floor"):
        np.testing.assert_allclose(getattr(one.batch.hard, name), getattr(two.batch.hard, name))
    np.testing.assert_allclose(one.batch.x, two.batch.x)


def test_rows_that_could_not_be_used_are_counted_in_the_curve():
    rows = numbers([*RISE[:6], None], why_missing=[None] * 6 + ["value is NaN"])
    assembled = assemble(rows)
    assert assembled.left_out == {"value is NaN": 1}
    assert assembled.batch.keys[0].caveats == ("1 rows left out: value is NaN",)


def test_every_row_of_the_sample_is_in_a_curve_or_counted(pythia):
    rows = read([SAMPLE]).table.height
    in_curves = (
        pythia.points.unique("pid")
        .filter(pl.col("metric").is_in({m for k in pythia.batch.keys for m in (k.metric_hard, k.metric_soft)}))["rows"]
        .sum()
    )
    assert in_curves + sum(pythia.left_out.values()) == rows


def test_an_unknown_metric_is_kept_and_the_curve_says_it_was_guessed():
    assembled = assemble(numbers(RISE, metric="my_score"))
    assert assembled.batch.keys[0].metric_hard == "my_score"
    assert any("unknown" in c for c in assembled.batch.keys[0].caveats)
    assert assembled.notes


def test_points_carry_the_model_behind_them(pythia):
    i = curve(pythia, series="Pythia/v1/0", task="sciq", metric_hard="acc")
    assert pythia.batch.point_names[i][0][0] == "pythia-70m"
    assert pythia.batch.point_names[i][0][-1] == "pythia-12b"


def test_a_table_without_usable_rows_makes_no_curves():
    rows = numbers([None] * 7, why_missing="value is NaN")
    assembled = assemble(rows)
    assert len(assembled.batch) == 0
    assert assembled.left_out == {"value is NaN": 7}


@pytest.mark.parametrize("drop", [["tokens"], ["params"], []])
def test_rows_without_a_place_are_counted_by_reason(drop):
    params = [1e6, 1e7, 1e8, 1e9, 1e10, 1e11]
    lost = family([0.9], params=[1e12]).with_columns(**dict.fromkeys(("params", "tokens")))
    rows = table(family(RISE[:6], params=params).drop(drop), lost)
    if drop == ["params"]:
        rows = rows.with_columns(flops=pl.Series([*params, None]))
    assembled = assemble(rows)
    assert sum(assembled.left_out.values()) == 1
    assert assembled.batch.seen[0].sum() == 6


def test_one_task_asked_in_two_formats_makes_two_series_and_one_primary_curve_each():
    rows = table(numbers(RISE, format="cloze"), numbers(RISE, format="letters"))
    for series in (None, ["series"]):
        keys = assemble(rows, series=series).batch.keys
        assert {(k.series, k.format, k.primary) for k in keys} == {
            ("S/cloze", "cloze", True),
            ("S/letters", "letters", True),
        }
