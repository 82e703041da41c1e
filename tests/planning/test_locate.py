"""`run --locate` over scripted series of known truth: few checkpoints, the ordinary verdict, resumable."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from saltus.analysis.analyze import analyze_study
from saltus.cli.show_planning import located
from saltus.errors import UserError
from saltus.planning.locate import locate_study, sweeps
from saltus.records import ModelRef

STUDY = """\
study: locating
models:
  - {{from: "scripted:{curve}", points: {points}, midpoint: 0.63, seeds: {seeds}, untrained: true}}
tasks: [{{addition: {{digits: 2}}}}]
limit: {limit}
analysis: {{resamples: 0, draws: 100}}
"""


def study(folder: Path, curve: str = "leap", points: int = 120, seeds: int = 2, limit: int = 40) -> Path:
    path = folder / "locating.yaml"
    path.write_text(STUDY.format(curve=curve, points=points, seeds=seeds, limit=limit))
    return path


def test_the_onset_of_a_leap_is_found_and_judged(tmp_path: Path) -> None:
    document = study(tmp_path)
    report = locate_study(document)
    (found,) = report.located
    truth = 10 ** (6 + 0.63 * 3)
    assert found.onset_low is not None
    assert found.onset_high is not None
    assert found.onset_low <= truth <= found.onset_high
    assert report.of == 2 * 121
    assert report.asked <= 0.2 * report.of
    assert report.answers == 40 * report.asked
    assert report.full_answers == 40 * report.of
    (finding,) = (f for f in analyze_study(document).findings if f.axis == "tokens")
    assert finding.verdict == "sharp"
    # Profiles are in single precision: in other company a crossing moves by about 1e-4 of a decade.
    assert (finding.onset_low, finding.onset_high) == pytest.approx((found.onset_low, found.onset_high), rel=1e-3)


def test_a_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    document = study(tmp_path)
    first = locate_study(document, interval=0.5)
    again = locate_study(document, interval=0.5)
    finer = locate_study(document)
    assert again.answers == 0
    assert again.asked == first.asked
    assert finer.asked > first.asked
    assert finer.answers == 40 * (finer.asked - first.asked)


def test_a_flat_sweep_is_flat_and_has_no_onset(tmp_path: Path) -> None:
    document = study(tmp_path, curve="flat", limit=150, seeds=1)
    report = locate_study(document)
    assert [one.onset for one in report.located] == [None]
    assert report.located[0].why == "nothing rises"
    (finding,) = (f for f in analyze_study(document).findings if f.axis == "tokens")
    assert finding.verdict == "flat"


def test_few_checkpoints_are_refused_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="saltus run"):
        locate_study(study(tmp_path, points=8))


def test_an_impossible_interval_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--interval"):
        locate_study(study(tmp_path), interval=0.0)


def test_seeds_of_a_run_share_checkpoints_and_models_without_steps_stand_apart() -> None:
    refs = [
        ModelRef(
            adapter="x",
            location=f"{model}-{seed}-{step}",
            series="s",
            coords={"model": model, "step": step, "seed": seed},
        )
        for model in ("small", "large")
        for seed in (0, 1)
        for step in (0, 10, 20)
    ] + [ModelRef(adapter="x", location="lone", series="t", coords={"params": 1e6})]
    found = sweeps(refs)
    assert [(s.run, s.axis, s.raw.tolist()) for s in found] == [
        ("small", "step", [0, 10, 20]),
        ("large", "step", [0, 10, 20]),
    ]
    assert found[0].members == ((0, 3), (1, 4), (2, 5))


def test_the_report_names_tasks_whole(tmp_path: Path) -> None:
    from rich.console import Console

    report = locate_study(study(tmp_path))
    console = Console(width=200, file=io.StringIO())
    for part in located(report):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "addition[digits=2]" in text
    assert f"of {report.of:,} checkpoints" in text
