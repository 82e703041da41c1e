"""Guards find faults from numbers alone, and convict no innocent."""

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.curves.guards import GUARDS
from saltus.results.read import read

from helpers.places import DATA_FOLDER, SHARED

SAMPLE = DATA_FOLDER / "pythia_sample.parquet"
TOKENS = [0.0, 1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 64e9]
RISE = [0.26, 0.25, 0.3, 0.5, 0.7, 0.8, 0.85, 0.86]


def numbers(values, *, metric="acc", task="t", **columns) -> pl.DataFrame:
    k = len(values)
    base = {
        "series": ["S"] * k,
        "model": ["m"] * k,
        "tokens": TOKENS[:k],
        "task": [task] * k,
        "metric": [metric] * k,
        "value": values,
        "n_items": [1000] * k,
    }
    given = {c: v if isinstance(v, list) else [v] * k for c, v in columns.items()}
    return pl.DataFrame({**base, **given}, strict=False)


def table(*frames: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(frames, how="diagonal_relaxed")


def found(rows: pl.DataFrame, **options) -> dict[tuple[str, str], np.ndarray]:
    """(guard, series) → mask of the suspected points of the first curve of the series that has the guard."""
    assembled = assemble(rows, **options)
    out: dict[tuple[str, str], np.ndarray] = {}
    for key, suspects in zip(assembled.batch.keys, assembled.batch.suspects, strict=True):
        for suspect in suspects:
            assert suspect.why
            out.setdefault((suspect.guard, key.series), suspect.mask)
    return out


def disqualifying(rows: pl.DataFrame) -> set[tuple[str, str]]:
    assembled = assemble(rows)
    return {
        (s.guard, key.series)
        for key, suspects in zip(assembled.batch.keys, assembled.batch.suspects, strict=True)
        for s in suspects
        if s.severity == "disqualifying"
    }


@pytest.fixture(scope="module")
def pythia() -> pl.DataFrame:
    return read([SAMPLE]).table


def v1(pythia: pl.DataFrame) -> pl.DataFrame:
    return pythia.filter(pl.col("variant") == "v1")


def test_guards_have_one_name_each_and_a_docstring_or_a_column():
    assert len({g.name for g in GUARDS}) == len(GUARDS)
    assert {g.severity for g in GUARDS} == {"disqualifying", "doubt", "caution"}


# shots


def relabelled(pythia: pl.DataFrame, shots: int) -> pl.DataFrame:
    """The published labelling defect with the words that give it away removed."""
    wrong = pl.col("variant").str.contains("mislabelled")
    return pythia.with_columns(
        n_shot=pl.when(wrong).then(shots).otherwise("n_shot"),
        variant=pl.col("variant").str.replace("/mislabelled-5shot", "").str.replace("/rerun", ""),
    )


def test_five_shot_numbers_that_are_zero_shot_numbers_are_caught_without_any_word(pythia):
    rows = relabelled(pythia, 5).with_columns(source=pl.lit("results"))
    caught = {s for g, s in disqualifying(rows) if g == "shots"}
    assert caught == {"Pythia/v0/5/pythia-410m", "Pythia/v0/5"}, "neither the zero-shot run nor another model"


def test_files_whose_path_names_other_shots_are_caught(pythia):
    assert ("shots", "Pythia/v0/mislabelled-5shot/0/pythia-410m") in disqualifying(pythia)


def test_of_two_readings_the_one_whose_source_agrees_is_used(pythia):
    honest = pythia.filter((pl.col("variant") == "v0") & (pl.col("model") == "pythia-410m"))
    pooled = relabelled(pythia, 0).filter((pl.col("variant") == "v0") & (pl.col("model") == "pythia-410m"))
    one, two = assemble(honest).batch, assemble(pooled).batch
    np.testing.assert_array_equal(one.hard.value, two.hard.value)


def test_few_items_that_repeat_a_score_by_chance_are_no_proof():
    rng = np.random.default_rng(1)
    zero = [rng.binomial(20, r) / 20 for r in RISE]
    five = [rng.binomial(20, r) / 20 for r in RISE]
    rows = table(numbers(zero, n_shot=0, n_items=20), numbers(five, n_shot=5, n_items=20))
    assert sum(a == b for a, b in zip(zero, five)) >= 1
    assert disqualifying(rows) == set()


# stale answers


def replaced(rows: pl.DataFrame, model: str, step: int, by: int) -> pl.DataFrame:
    """The rows with the numbers of checkpoint `step` replaced by those of checkpoint `by`: a cache keyed by name."""
    old = rows.filter(pl.col("step") == by).select("model", "task", "metric", pl.col("value").alias("old"))
    stale = (pl.col("step") == step) & (pl.col("model") == model)
    joined = rows.join(old, on=["model", "task", "metric"], how="left", maintain_order="left")
    return joined.with_columns(value=pl.when(stale).then("old").otherwise("value")).drop("old")


@pytest.mark.parametrize(("step", "by"), [(13000, 3000), (43000, 0), (43000, 23000)])
def test_a_checkpoint_that_returns_anothers_numbers_is_caught(pythia, step, by):
    caught = disqualifying(replaced(v1(pythia), "pythia-1.4b", step, by))
    assert {(g, s) for g, s in caught if s != "Pythia"} == {("stale_answers", "Pythia/pythia-1.4b")}


def test_both_channels_of_one_task_are_enough(pythia):
    rows = replaced(v1(pythia), "pythia-1.4b", 13000, 3000).filter(task="lambada_openai")
    assert disqualifying(rows) == {("stale_answers", "Pythia/pythia-1.4b")}


def test_the_first_steps_of_a_warm_up_are_innocent(pythia):
    """Steps 0 and 1 of all Pythia models give the same numbers: the learning rate starts at 0."""
    rows = v1(pythia)
    first = rows.filter(pl.col("step") <= 1, metric="acc").group_by("model", "task").agg(pl.col("value").n_unique())
    assert (first["value"] == 1).mean() > 0.9
    assert disqualifying(rows) == set()


def test_a_flat_skill_at_zero_is_a_caution_and_never_disqualified():
    rows = numbers([0.0] * 8)
    hits = found(rows)
    assert set(hits) == {("exactly_zero", "S")}
    assert not hits["exactly_zero", "S"].any()


def test_small_tasks_that_repeat_scores_are_innocent():
    rng = np.random.default_rng(2)
    frames = [numbers([rng.binomial(20, 0.3) / 20 for _ in TOKENS], task=f"t{i}", n_items=20) for i in range(40)]
    assert disqualifying(table(*frames)) == set()


# likelihoods, tokens, contradictions


def test_constant_log_likelihoods_off_the_untrained_point_are_caught():
    rows = table(numbers(RISE), numbers([-9.5, *[-3.4218] * 7], metric="gold_logprob"))
    mask = found(rows)["constant_likelihoods", "S"]
    assert mask.all()
    ends = table(numbers(RISE), numbers([-9.5, -7.1, -5.2, -4.03, -3.2, -2.22, -2.1, -2.1], metric="gold_logprob"))
    assert ("constant_likelihoods", "S") not in found(ends)


def test_items_that_all_have_one_likelihood_are_caught():
    items = [
        numbers(
            [-2.3026] * 20, metric="gold_logprob", item_id=[str(i) for i in range(20)], n_items=None, tokens=[t] * 20
        )
        for t in TOKENS[1:]
    ]
    assert ("constant_likelihoods", "S") in found(table(*items))


def test_runs_of_other_batch_sizes_on_one_axis_are_caught():
    usual = numbers(RISE, step=[t / 2e6 for t in TOKENS])
    other = numbers(RISE[2:5], step=[t / 0.5e6 for t in (1.5e9, 3e9, 6e9)]).with_columns(
        tokens=pl.Series([1.5e9, 3e9, 6e9])
    )
    mask = found(table(usual, other))["mixed_tokens", "S"]
    assert mask.sum() == 3


def test_a_batch_size_that_ramps_up_is_innocent():
    steps = [t / (0.5e6 + t / 1e5) for t in TOKENS]
    assert sorted(steps) == steps
    assert disqualifying(numbers(RISE, step=steps)) == set()


def test_two_numbers_for_one_point_are_caught_and_averaged_whatever_their_order():
    rows = table(numbers(RISE), numbers([0.6], tokens=[4e9]))
    hits = found(rows)
    assert hits["contradicting_rows", "S"].tolist() == [[False, False, True, False, False, False, False]]
    backwards = assemble(rows.reverse()).batch
    assert backwards.hard.value[0, 0, 2] == pytest.approx(0.55)


def test_items_answered_twice_with_different_answers_are_caught():
    once, again = items([range(100)] * 6), items([range(100)] * 6)
    other = again.with_columns(value=pl.when(pl.col("tokens") == 4e9).then(1 - pl.col("value")).otherwise("value"))
    assert disqualifying(table(once, again)) == set()
    assert found(table(once, other))["contradicting_rows", "S"].sum() == 1


def test_repeats_are_no_contradiction():
    rows = table(numbers(RISE, repeat=0), numbers([r + 0.01 for r in RISE], repeat=1))
    assert disqualifying(rows) == set()


# columns that say how a number was made


@pytest.mark.parametrize(
    ("column", "usual", "odd", "guard"),
    [
        ("dtype", "float32", "bfloat16", "mixed_dtype"),
        ("prompt_hash", "aa", "bb", "mixed_prompts"),
        ("item_set", "s1", "s2", "mixed_items"),
    ],
)
def test_a_series_has_to_agree_in_how_it_was_made(column, usual, odd, guard):
    rows = numbers(RISE, **{column: [usual] * 5 + [odd] + [usual] * 2})
    assert found(rows)[guard, "S"].tolist() == [[False, False, False, False, True, False, False]]
    assert disqualifying(numbers(RISE, **{column: usual})) == set()


def test_cut_prompts_are_caught():
    assert found(numbers(RISE, truncated=[0.0] * 7 + [0.5]))["truncated_prompts", "S"].sum() == 1


def items(sets: list[range]) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return table(
        *[
            numbers(
                (rng.random(len(s)) < 0.5).astype(float).tolist(),
                item_id=[f"i{j}" for j in s],
                n_items=None,
                tokens=[TOKENS[p + 1]] * len(s),
            )
            for p, s in enumerate(sets)
        ]
    )


def test_other_items_are_caught_and_a_few_failed_ones_are_not():
    same, swapped = [range(100)] * 5, [*[range(100)] * 5, range(60, 160)]
    assert ("mixed_items", "S") in disqualifying(items(swapped))
    assert disqualifying(items([*same, range(97)])) == set()
    subsets = [range(100 - 10 * p) for p in range(6)]
    assert {g for g, _ in found(items(subsets))} == {"unequal_items"}


# cautions


def test_white_space_that_decides_is_a_caution():
    rows = table(numbers([0.0] * 8, metric="exact_match"), numbers(RISE, metric="exact_match_stripped"))
    assert ("white_space", "S") in found(rows)
    rows = table(numbers(RISE, metric="exact_match"), numbers(RISE, metric="exact_match_stripped"))
    assert ("white_space", "S") not in found(rows)


def test_a_strict_filter_that_decides_is_a_caution():
    rows = table(
        numbers([0.0] * 8, metric="exact_match,strict-match"), numbers(RISE, metric="exact_match,flexible-extract")
    )
    assert ("white_space", "S") in found(rows)


def test_rates_given_as_metrics_are_read_like_columns():
    rows = table(numbers(RISE), numbers([0.0] * 7 + [0.5], metric="truncated"))
    assert found(rows)["truncated_prompts", "S"].tolist() == [[False] * 6 + [True]]


def test_off_menu_answers_and_begin_of_sequence_tokens_are_cautions():
    assert ("off_menu", "S") in found(numbers(RISE, off_menu=0.4))
    assert ("bos", "S") in found(numbers(RISE, bos="double"))
    assert ("mixed_bos", "S") in found(numbers(RISE, bos=["added"] * 7 + ["none"]))


def test_unequal_items_are_a_caution():
    assert ("unequal_items", "S") in found(numbers(RISE, n_items=[1000] * 7 + [200]))


def test_an_untrained_score_off_nominal_chance_is_a_caution(pythia):
    hits = found(v1(pythia).filter(task="sciq"))
    assert ("floor_off_nominal", "Pythia") in hits
    assert ("floor_off_nominal", "S") not in found(numbers(RISE, nominal_floor=0.25))


def test_a_raw_heavy_tail_under_an_unknown_name_is_a_caution_and_a_perplexity_is_not(pythia):
    rows = v1(pythia).filter(task="lambada_openai")
    assert not any(g == "heavy_tail" for g, _ in found(rows))
    renamed = rows.with_columns(pl.col("metric").replace({"ppl": "quantity"}))
    assert any(g == "heavy_tail" for g, _ in found(renamed))


def test_flops_that_do_not_fit_the_models_are_a_caution():
    params = [1e6, 1e7, 1e8, 1e9]
    rows = pl.DataFrame(
        {
            "series": "S",
            "model": [f"m{p}" for p in params],
            "params": params,
            "tokens": 1e9,
            "task": "t",
            "flops": [6e15, 6e16, 12e17, 6e18],
            "metric": "acc",
            "value": RISE[:4],
        }
    )
    assert found(rows)["flops_mismatch", "S"].tolist() == [[False, False, True, False]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bigscience_checkpoints",
        "gadre_scaling",
        "obsscaling",
        "olmo_ladder",
        "pythia_evals",
        "sloth_leaderboard",
        "wei2022_figures",
        "schaeffer2023_fig3",
    ],
)
def test_published_data_are_convicted_of_their_known_defect_alone(name):
    folder = SHARED / "data" / name
    if not folder.is_dir():
        pytest.skip("the published data lie beside the checkout, not in it")
    caught = disqualifying(read([folder]).table)
    assert {(g, "mislabelled" in s) for g, s in caught} == ({("shots", True)} if name == "pythia_evals" else set())
