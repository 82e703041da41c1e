"""A changed harness is not emergence; a change elsewhere takes no leap its word."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from saltus.curves.assemble import assemble
from saltus.curves.guards import GUARDS
from saltus.judging.judge import judge
from saltus.page.terminal import terminal_table
from saltus.page.words import in_line
from saltus.records import Analysis, Finding, Guard
from saltus.verdict import CLAIMS_LEAP

STEPS = [2.0**k for k in range(6, 19)]
LEAP = np.array([0.25] * 6 + [0.85] * 7)
QUICK = Analysis(draws=99, resamples=2)
FIRST = ("task_version", "prompt_text", "prompt_hash", "filter", "template", "dtype", "bos")
SECOND = ("harness", "transformers")
NAMES = {"prompt_hash": "mixed_prompts", "dtype": "mixed_dtype", "bos": "mixed_bos"}


def curve(level: Sequence[float], *, soft: bool = True, task: str = "t", seed: int = 0, **columns: Any) -> pl.DataFrame:
    """A hard score of 1,000 items along training, with a graded one that does the same, as a results table."""
    rng = np.random.default_rng(seed)
    hard = rng.binomial(1000, level) / 1000
    graded = np.asarray(level) * 0.9 + rng.normal(0, 0.005, len(level))
    parts = [("acc", hard, 0.25), ("choice_prob", graded, None)][: 2 if soft else 1]
    frames = [
        pl.DataFrame(
            {
                "series": "S",
                "model": "m",
                "step": STEPS[: len(level)],
                "task": task,
                "metric": metric,
                "value": value,
                "stderr": np.full(len(level), 0.014 if floor else 0.005),
                "n_items": 1000,
                "nominal_floor": floor,
                **columns,
            },
            strict=False,
        )
        for metric, value, floor in parts
    ]
    return pl.concat(frames, how="vertical_relaxed")


def judged(*rows: pl.DataFrame) -> list[Finding]:
    return judge(assemble(pl.concat(rows, how="diagonal_relaxed")).batch, QUICK, np.random.default_rng(0))


def split(at: int, count: int = 13) -> list[str]:
    """What the column says where it changes before point `at`."""
    return ["1.0"] * at + ["2.0"] * (count - at)


def named(finding: Finding, column: str) -> Guard:
    return next(g for g in finding.guards if g.name == NAMES.get(column, column))


def test_without_a_change_the_leap_has_its_word() -> None:
    (plain,) = judged(curve(LEAP))
    assert plain.verdict == "sharp"
    assert plain.integrity == "ok"
    (same,) = judged(curve(LEAP, **dict.fromkeys((*FIRST, *SECOND), "1.0")))
    assert (same.verdict, same.integrity, same.guards) == ("sharp", "ok", ())


@pytest.mark.parametrize("column", FIRST)
@pytest.mark.parametrize("soft", [True, False])
def test_a_change_of_what_is_asked_at_the_rise_is_defective(column: str, soft: bool) -> None:
    (found,) = judged(curve(LEAP, soft=soft, **{column: split(6)}))
    assert found.verdict == "defective"
    guard = named(found, column)
    assert guard.fired
    assert guard.severity == "disqualifying"
    assert "from `1.0` to `2.0` between step 2048 and step 4096" in guard.why
    assert guard.points == ("S @ 2048", "S @ 4096")


@pytest.mark.parametrize("column", FIRST)
@pytest.mark.parametrize("at", [1, 3, 9, 12])
def test_a_change_elsewhere_takes_no_word(column: str, at: int) -> None:
    (found,) = judged(curve(LEAP, **{column: split(at)}))
    assert found.verdict == "sharp"
    assert named(found, column).severity == "caution"


def test_points_that_say_nothing_are_passed_over() -> None:
    values: list[str | None] = [*split(6)]
    values[5] = values[6] = values[0] = None
    (found,) = judged(curve(LEAP, task_version=values))
    assert found.verdict == "defective"
    assert "between step 1024 and step 8192" in named(found, "task_version").why


def test_a_single_odd_point_is_two_changes() -> None:
    odd = ["1.0"] * 13
    odd[6] = "2.0"
    (at_the_rise,) = judged(curve(LEAP, task_version=odd))
    assert at_the_rise.verdict == "defective"
    odd = ["1.0"] * 13
    odd[9] = "2.0"
    (elsewhere,) = judged(curve(LEAP, task_version=odd))
    assert elsewhere.verdict == "sharp"


def test_a_slow_rise_with_a_change_in_it_keeps_its_word_and_nothing_rises_in_a_flat_curve() -> None:
    slow = np.linspace(0.25, 0.85, 13)
    (found,) = judged(curve(slow, task_version=split(6)))
    assert found.verdict == "smooth"
    (flat,) = judged(curve([0.25] * 13, task_version=split(6)))
    assert flat.verdict == "flat"
    assert flat.integrity != "defective"


@pytest.mark.parametrize("column", SECOND)
def test_software_that_changes_at_the_rise_is_said_in_the_line_of_the_word(column: str) -> None:
    (found,) = judged(curve(LEAP, **{column: split(6)}))
    assert (found.verdict, found.integrity) == ("sharp", "suspect")
    assert named(found, column).severity == "doubt"
    assert in_line(found)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal_table([found]))
    assert any("sharp (harness changed there)" in line for line in console.export_text().splitlines())


@pytest.mark.parametrize("column", SECOND)
def test_where_one_channel_alone_moves_with_the_software_the_word_is_unresolved(column: str) -> None:
    (lone,) = judged(curve(LEAP, soft=False, **{column: split(6)}))
    assert (lone.verdict, lone.integrity) == ("unresolved", "doubtful")
    rows = curve(LEAP, **{column: split(6)})
    still = pl.DataFrame({"step": STEPS, "metric": "choice_prob", "slow": np.linspace(0.2, 0.8, 13)})
    rows = rows.join(still, on=["step", "metric"], how="left", maintain_order="left")
    (apart,) = judged(rows.with_columns(value=pl.coalesce("slow", "value")).drop("slow"))
    assert apart.verdict == "unresolved"


@pytest.mark.parametrize("column", SECOND)
def test_software_that_changes_elsewhere_takes_nothing(column: str) -> None:
    (found,) = judged(curve(LEAP, **{column: split(9)}))
    assert (found.verdict, found.integrity) == ("sharp", "ok")
    assert in_line(found) == ""


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_true_leaps_keep_their_word_beside_an_innocent_change(count: int) -> None:
    """Simulated: a leap anywhere, a change of the software anywhere else; at most 2 % may lose their word."""
    rng = np.random.default_rng(11)
    plain, beside = [], []
    for k in range(count):
        leap = int(rng.integers(4, 10))
        high = rng.uniform(0.55, 0.95)
        level = np.where(np.arange(13) < leap, 0.25, high)
        at = int(rng.choice([p for p in range(1, 13) if p != leap]))
        column = str(rng.choice(SECOND))
        soft = bool(rng.random() < 0.7)
        rows = curve(level, soft=soft, task=f"t{k}", seed=k)
        plain.append(rows)
        beside.append(curve(level, soft=soft, task=f"t{k}", seed=k, **{column: split(at)}))
    before = {f.task: f.verdict for f in judged(*plain)}
    after = {f.task: f.verdict for f in judged(*beside)}
    leaps = [task for task, word in before.items() if word in CLAIMS_LEAP]
    assert len(leaps) > 0.7 * count
    lost = Counter(after[task] for task in leaps if after[task] not in CLAIMS_LEAP)
    assert lost.total() <= 0.02 * count, lost


def test_families_that_begin_otherwise_are_not_a_change() -> None:
    """Along sizes, another family has another template and BOS: that is no harness that changed."""
    rows = pl.DataFrame(
        {
            "series": "S",
            "family": ["A"] * 5 + ["B"] * 5,
            "model": [f"A-{k}" for k in range(5)] + [f"B-{k}" for k in range(5)],
            "params": [1e8 * 2**k for k in range(10)],
            "task": "t",
            "metric": "acc",
            "value": [0.25] * 5 + [0.9] * 5,
            "n_items": 1000,
            "bos": ["none"] * 5 + ["added"] * 5,
        }
    )
    names = {s.guard for several in assemble(rows, axis="params").batch.suspects for s in several}
    assert "mixed_bos" not in names


def test_every_guard_of_the_harness_is_there() -> None:
    assert {NAMES.get(c, c) for c in (*FIRST, *SECOND)} <= {g.name for g in GUARDS}
