"""Tables that are wrong, through `saltus analyze`: the message names file, column and row, what was wanted, what to do.

Nothing is dropped in silence: what a finding had to do without is counted in its caveats.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.analysis.analyze import analyze_results
from saltus.cli import main as cli
from saltus.curves.dense import PLACES

from helpers.places import ROOT

TOKENS = [0.0, *(10 ** (9 + i / 3) for i in range(9))]
VALUES = [0.25, 0.24, 0.26, 0.25, 0.3, 0.45, 0.6, 0.7, 0.72, 0.73]
GOOD = {
    "family": ["F"] * 10,
    "model": ["F-1b"] * 10,
    "train_tokens": TOKENS,
    "task": ["t"] * 10,
    "metric": ["acc"] * 10,
    "value": VALUES,
    "n_items": [1000] * 10,
    "chance_level": [0.25] * 10,
}
Analyze = Callable[..., tuple[int, dict[str, Any], str]]


def table(**changes: Any) -> pl.DataFrame:
    """Ten checkpoints of one run; a change replaces, adds or (None) removes a column."""
    columns = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return pl.DataFrame(columns, strict=False)


@pytest.fixture
def analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Analyze:
    """Writes r.csv and calls the command on it: exit code, what it says to machines (or {}), error output."""
    monkeypatch.chdir(tmp_path)

    def run(frame: pl.DataFrame, *options: str) -> tuple[int, dict[str, Any], str]:
        frame.write_csv("r.csv")
        monkeypatch.setattr("sys.argv", ["saltus", "analyze", "r.csv", "--json", *options])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), json.loads(out) if out.strip() else {}, err

    return run


# refused: nothing could be concluded, or the wrong thing

REFUSED = {
    "a missing column": ({"metric": None}, "r.csv", "no column for `metric`; the columns are family", "--metric acc"),
    "a misnamed column": ({"value": None, "vlaue": VALUES}, "r.csv", "no column for `value`", "--rename vlaue=value"),
    "a misnamed axis": (
        {"train_tokens": None, "tokns": TOKENS},
        "r.csv",
        "no model has a place",
        "--rename tokns=tokens",
    ),
    "text in a number": (
        {"value": [*map(str, VALUES[:9]), "high"]},
        "r.csv, column `value`, row 10",
        "`high` is not a number",
        "fix",
    ),
    "text under the file's own name of the column": (
        {"chance_level": ["a", *["0.25"] * 9]},
        "r.csv, column `chance_level`, row 1",
        "`a` is not a number",
        "fix",
    ),
    "half an item": (
        {"n_items": [1e3] * 4 + [3.5] + [1e3] * 5},
        "r.csv, column `n_items`, row 5",
        "not a whole number",
        "fix",
    ),
    "NaN alone": (
        {"value": [float("nan")] * 10},
        "r.csv",
        "no curve can be made of 10 row(s): value is NaN (10)",
        "column `value`, row 1: value is NaN; a number was expected",
    ),
    "no items anywhere": ({"n_items": [0] * 10}, "r.csv", "no items behind it (10)", "column `n_items`, row 1"),
    "values outside the range alone": (
        {"value": [-3.0] * 10},
        "r.csv",
        "value outside the range 0 to 1 of `acc` (10)",
        "column `value`, row 1: -3",
    ),
    "places outside the range": (
        {"train_tokens": [-1.0] * 10},
        "r.csv",
        "no model has a place on any axis",
        "column `train_tokens`, row 1: negative or infinite in 10 rows",
    ),
    "mixed scales": (
        {"value": [0.25, 0.2417, *(100 * v for v in VALUES[2:])]},
        "r.csv, column `value`, row 1",
        "mixes shares and per cent",
        "0 to 1, or 0 to 100",
    ),
    "floors on another scale": (
        {"chance_level": [25.0] * 10},
        "r.csv, column `chance_level`, row 1",
        "25 is no floor of `acc`",
        "by 100",
    ),
    "conflicting nominal floors": (
        {"chance_level": [0.25] * 6 + [0.5] * 4},
        "r.csv, column `chance_level`, row 7",
        "two floors for task `t`, metric `acc`: 0.5, and 0.25 in row 1",
        "one floor for all points",
    ),
    "conflicting declared floors": (
        {"floor": [0.2] * 9 + [0.4]},
        "r.csv, column `floor`, row 10",
        "0.4, and 0.2 in row 1",
        "fix the cells",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_with_place_and_remedy(analyze: Analyze, name: str) -> None:
    changes, where, found, do = REFUSED[name]
    code, message, err = analyze(table(**changes))
    assert (code, message) == (2, {})
    assert err.startswith(where)
    assert found in err
    assert do in err
    assert "wanted:" in err
    assert "do:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("rows", [0, 1])
def test_one_point_or_none_is_refused_with_what_is_missing(analyze: Analyze, rows: int) -> None:
    code, _, err = analyze(table()[5 : 5 + rows])
    assert code == 2
    assert f"no curve can be made of {rows} row(s)" in err
    assert "two or more places on an axis" in err
    if rows:
        assert "the only point of its series" in err


# judged without them, counted and said


@pytest.mark.parametrize(
    ("changes", "lost", "why", "note"),
    [
        (
            {"value": [float("nan")] * 2 + VALUES[2:]},
            2,
            "value is NaN",
            "r.csv, column `value`, row 1: value is NaN; a number was expected. 2 rows are left out",
        ),
        ({"value": [*VALUES[:9], None]}, 1, "no value", "r.csv, column `value`, row 10: no value; a number was"),
        ({"value": [*VALUES[:9], float("inf")]}, 1, "value is infinite", "row 10"),
        (
            {"n_items": [1000] * 4 + [0] + [1000] * 5},
            1,
            "no items behind it",
            "r.csv, column `n_items`, row 5: no items behind it; at least one item was expected",
        ),
        (
            {"value": [-0.3, *VALUES[1:]]},
            1,
            "value outside the range 0 to 1 of `acc`",
            "r.csv, column `value`, row 1: -0.3: value outside the range 0 to 1 of `acc`",
        ),
        ({"value": [*VALUES[:9], 180.0]}, 1, "value outside the range 0 to 1 of `acc`", "row 10: 180"),
    ],
)
def test_single_bad_cells_are_left_out_counted_and_named(
    analyze: Analyze, changes: dict[str, Any], lost: int, why: str, note: str
) -> None:
    code, message, _ = analyze(table(**changes))
    assert code == 0
    (finding,) = message["findings"]
    assert f"{lost} rows left out: {why}" in finding["caveats"]
    assert message["left_out"] == {why: lost}
    assert any(note in n for n in message["notes"])


def test_negative_errors_and_unknown_columns_are_said(analyze: Analyze) -> None:
    frame = table(stderr=[-0.01, *[0.01] * 9], n_itmes=[5] * 10, colour=["red"] * 10)
    code, message, _ = analyze(frame.drop("n_items"))
    assert code == 0
    assert any("column `stderr`, row 1: negative or infinite in 1 row" in n for n in message["notes"])
    (unread,) = [n for n in message["notes"] if "not read" in n]
    assert "`n_itmes` (--rename n_itmes=n_items, if it is that)" in unread
    assert "`colour`" in unread


def test_duplicated_points_count_once_and_contradicting_ones_are_named(analyze: Analyze) -> None:
    code, once, _ = analyze(table())
    _, twice, _ = analyze(pl.concat([table(), table()]))
    assert code == 0
    assert once["findings"] == twice["findings"]
    assert any("10 rows repeat another row exactly and count once" in n for n in twice["notes"])
    other = table().with_columns(pl.col("value") + 0.05)
    _, both, _ = analyze(pl.concat([table(), other]))
    finding = next(iter(pl.read_ndjson(Path(both["findings_file"])).to_dicts()))
    assert any(g["name"] == "contradicting_rows" for g in finding["guards"])


def test_a_slight_difference_between_floors_is_averaged_and_said(analyze: Analyze) -> None:
    code, message, _ = analyze(table(floor=[0.25] * 5 + [0.27] * 5))
    assert code == 0
    assert any("differ by 0.02" in c for c in message["findings"][0]["caveats"])


def test_items_may_have_floors_of_their_own() -> None:
    """Two choices here, four there: the curve's floor is their mean, and no contradiction."""
    from saltus.results.left_out import Place, refuse_floors
    from saltus.results.table import normalise

    frame = table(item_id=[str(i) for i in range(10)], chance_level=[0.25, 0.5] * 5)
    refuse_floors(normalise(frame, "r.csv")[0], {}, Place("r.csv"))


def test_per_cent_in_one_file_and_shares_in_another_are_one_scale(tmp_path: Path) -> None:
    shares, percent = table()[:5], table(value=[100 * v for v in VALUES])[5:]
    shares.write_csv(tmp_path / "a.csv")
    percent.write_csv(tmp_path / "b.csv")
    table().write_csv(tmp_path / "whole.csv")
    both = analyze_results([tmp_path / "a.csv", tmp_path / "b.csv"]).findings[0]
    whole = analyze_results([tmp_path / "whole.csv"]).findings[0]
    assert (both.verdict, both.onset, both.rise) == (whole.verdict, whole.onset, whole.rise)


# large


def million(rng: np.random.Generator, kind: str) -> pl.DataFrame:
    """10⁶ rows of one series: that many checkpoints, repeats of ten, readings of ten, items of a thousand."""
    n = 1_000_000
    tokens = {
        "checkpoints": np.logspace(8, 13, n),
        "repeats": np.tile(np.logspace(8, 13, 10), n // 10),
        "readings": np.tile(np.logspace(8, 13, 10), n // 10),
        "items": np.repeat(np.logspace(8, 13, 1000), 1000),
    }[kind]
    p = 0.25 + 0.5 / (1 + np.exp(-4 * (np.log10(tokens) - 11)))
    value = np.round(p, 3) if kind == "repeats" else rng.binomial(1000, p) / 1000
    frame = {"family": "F", "model": "F-1b", "tokens": tokens, "task": "t", "metric": "acc"}
    frame |= {"chance_level": 0.25}
    if kind == "items":
        items = np.tile(np.arange(1000), 1000).astype(str)
        return pl.DataFrame({**frame, "value": (rng.random(n) < p).astype(float), "item_id": items})
    return pl.DataFrame({**frame, "value": value, "n_items": 1000})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["checkpoints", "repeats", "readings", "items"])
def test_a_million_rows_of_one_series_take_bounded_time_and_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "million.parquet"
    million(np.random.default_rng(0), kind).write_parquet(path)
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    analysed = analyze_results([path])
    assert time.process_time() - began < 60
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert most <= max(4e6, before), "4 GB, in kB, unless an earlier test took more"
    (finding,) = analysed.findings
    assert finding.presence == "present"
    assert finding.n_points <= PLACES
    if kind == "checkpoints":
        assert "1,000,000 places were averaged into at most 1,000" in finding.caveats[0]


def test_averaging_dense_curves_keeps_twins_together_and_the_curve_in_its_place(tmp_path: Path) -> None:
    n = 20_000
    tokens = np.logspace(8, 13, n)
    p = 0.25 + 0.5 / (1 + np.exp(-4 * (np.log10(tokens) - 11)))
    rows = {"family": "F", "model": "F-1b", "tokens": tokens, "task": "t", "chance_level": 0.25}
    frame = pl.concat(
        [
            pl.DataFrame({**rows, "metric": "acc", "value": p, "n_items": 1000}),
            pl.DataFrame({**rows, "metric": "choice_prob", "value": p, "n_items": 1000}),
        ]
    )
    dense, thin = tmp_path / "dense.parquet", tmp_path / "thin.parquet"
    frame.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(dense)
    every = frame.filter((pl.int_range(pl.len()) % n) % 20 == 0)
    every.write_parquet(thin)
    a, b = (analyze_results([path]).findings[0] for path in (dense, thin))
    assert (a.n_points, b.n_points) == (PLACES, 1000)
    assert (a.metric_soft, a.verdict) == (b.metric_soft, b.verdict)
    assert a.onset == pytest.approx(b.onset, rel=0.02)
    assert a.rise.value == pytest.approx(b.rise.value or 0, rel=0.02)


def test_the_page_about_wrong_tables_shows_what_is_said(analyze: Analyze) -> None:
    page = ROOT / "docs" / "concepts" / "wrong-tables.md"
    shown = page.read_text("utf-8").split("$ saltus analyze scores.csv\n")[1].split("```")[0]
    _, _, err = analyze(table(chance_level=[0.25] * 6 + [0.5] * 4))
    assert err.replace("r.csv", "scores.csv").strip() == shown.strip()
