"""Published defects are convicted from the numbers alone, the words that give them away deleted, and nobody else is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.results.read import read

from helpers.places import DATA_FOLDER, SHARED

DATA = DATA_FOLDER
PUBLISHED = SHARED / "data"
QUICK = Analysis(draws=99, resamples=2)


def judged(table: pl.DataFrame, folder: Path, axis: Sequence[str] = ("tokens",)) -> list[Finding]:
    path = folder / "evals.parquet"
    table.write_parquet(path)
    return judge(assemble(read([path]).table, axis=axis).batch, QUICK, np.random.default_rng(0))


def mute(table: pl.DataFrame) -> pl.DataFrame:
    """Five-shot files that hold zero-shot numbers as they were filed, and reruns, without a word that says so."""
    wrong = pl.col("variant").str.contains("mislabelled")
    return table.with_columns(
        n_shot=pl.when(wrong).then(5).otherwise("n_shot"),
        variant=pl.col("variant").str.replace("/mislabelled-5shot", "").str.replace("/rerun", ""),
    ).drop("source_file")


def convicted(findings: Sequence[Finding]) -> Counter[tuple[str, tuple[str, ...]]]:
    """(series, disqualifying guards that fired) → findings that are defective by them."""
    return Counter(
        (f.series, tuple(g.name for g in f.guards if g.fired and g.severity == "disqualifying"))
        for f in findings
        if f.verdict == "defective"
    )


def test_mislabelled_shots_are_defective_in_every_task_and_honest_ones_in_none(tmp_path: Path) -> None:
    """Also where the word was `unresolved` before: nothing is left without the suspected points."""
    findings = judged(mute(pl.read_parquet(DATA / "pythia_sample.parquet")), tmp_path)
    guilty = "Pythia/v0/5/pythia-410m"
    assert convicted(findings) == {(guilty, ("shots",)): len([f for f in findings if f.series == guilty])}
    assert len({f.task for f in findings if f.series == guilty}) >= 3
    for f in findings:
        if f.series == guilty:
            assert f.integrity == "defective"
            assert f.guards[0].changes == "too few points are left to judge"


@pytest.mark.slow
def test_of_all_published_pythia_runs_the_six_mislabelled_ones_are_convicted_in_full(tmp_path: Path) -> None:
    """Their configuration says num_fewshot=0 in five-shot folders: v0 of 160M, 410M, 1.4B, plain and deduplicated."""
    source = PUBLISHED / "pythia_evals" / "evals.parquet"
    if not source.is_file():
        pytest.skip("the published data lie beside the checkout, not in it")
    findings = judged(mute(pl.read_parquet(source)), tmp_path)
    sizes = ("160m", "410m", "1.4b")
    guilty = {f"Pythia/v0/5/pythia-{s}{d}" for s in sizes for d in ("", "-deduped")}
    asked = Counter(f.series for f in findings)
    assert convicted(findings) == {(series, ("shots",)): asked[series] for series in guilty}
    assert sum(asked.values()) > 10_000


def test_runs_of_several_batch_sizes_under_one_name_are_named_in_every_task(tmp_path: Path) -> None:
    """Tokens and steps run apart; the finding is defective where it hangs on them, and never a leap."""
    table = pl.read_parquet(DATA / "pythia_batches.parquet")
    table = table.with_columns(variant=pl.lit("v1")).drop("source_file")
    findings = judged(table, tmp_path)
    assert len(findings) >= 4
    for f in findings:
        assert {g.name for g in f.guards} & {"mixed_tokens", "contradicting_rows"}
        assert f.verdict not in ("sharp", "transition", "split", "bound")
    assert any(f.verdict == "defective" for f in findings)


def test_honest_batch_sizes_with_their_own_names_are_not_suspected(tmp_path: Path) -> None:
    findings = judged(pl.read_parquet(DATA / "pythia_batches.parquet").drop("source_file"), tmp_path)
    assert convicted(findings) == {}
    assert not any(g.severity == "disqualifying" for f in findings for g in f.guards)


def test_a_superseded_rerun_that_says_the_same_changes_nothing_and_one_that_differs_is_named(tmp_path: Path) -> None:
    table = pl.read_parquet(DATA / "pythia_sample.parquet").filter(
        pl.col("model") == "pythia-70m", pl.col("variant").is_in(["v0", "v0/rerun"])
    )
    again = pl.col("variant") == "v0/rerun"
    assert table.filter(again).height > 20
    plain = judged(table.filter(~again).drop("source_file"), tmp_path)
    rerun = judged(mute(table), tmp_path)
    assert [(f.series, f.task, f.verdict, f.onset) for f in rerun] == [
        (f.series, f.task, f.verdict, f.onset) for f in plain
    ]
    other = mute(table.with_columns(value=pl.when(again).then(pl.col("value") * 0.9).otherwise("value")))
    named = {f.task for f in judged(other, tmp_path) if "contradicting_rows" in {g.name for g in f.guards}}
    assert named == set(table.filter(again)["task"])


def test_floors_off_nominal_chance_are_measured_and_said(tmp_path: Path) -> None:
    """Untrained, SciQ averages .206 where guessing gives .25: its floor is that, and no defect."""
    table = pl.read_parquet(DATA / "pythia_sample.parquet").filter(pl.col("variant") == "v1", pl.col("task") == "sciq")
    for f in judged(table, tmp_path):
        assert f.floor_source == "untrained points"
        assert f.floor is not None
        assert f.floor < 0.24
        assert f.integrity != "defective"
    assert any("floor_off_nominal" in {g.name for g in f.guards} for f in judged(table, tmp_path))


def test_a_heavy_tailed_perplexity_is_analysed_as_a_logarithm_and_a_nameless_one_is_a_caution(tmp_path: Path) -> None:
    """From millions to tens: raw, the whole fall would be the first point."""
    table = pl.read_parquet(DATA / "pythia_sample.parquet").filter(
        pl.col("variant") == "v1", pl.col("task") == "lambada_openai", pl.col("model") == "pythia-1.4b"
    )
    (named,) = [f for f in judged(table, tmp_path) if f.primary]
    assert named.metric_soft == "ppl"
    assert named.width_soft.value is not None
    assert named.width_soft.value > 0.5, "decades: not one step"
    assert not any(g.name == "heavy_tail" for g in named.guards)
    nameless = table.with_columns(pl.col("metric").replace({"ppl": "quantity"}))
    assert any(g.name == "heavy_tail" and g.severity == "caution" for f in judged(nameless, tmp_path) for g in f.guards)
