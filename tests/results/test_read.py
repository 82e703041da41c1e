"""Tidy results in: names, types, units, and an account of every row that could not be used."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from saltus.errors import UserError
from saltus.results.read import read
from saltus.results.table import COLUMNS, IDENTITY, json_schema

from helpers.places import DATA_FOLDER, SHARED

SAMPLE = DATA_FOLDER / "pythia_sample.parquet"


def tidy(**changes) -> pl.DataFrame:
    """Six checkpoints of one model on one task; a change replaces or adds a column."""
    base = {
        "family": ["F"] * 6,
        "model": ["F-1b"] * 6,
        "train_tokens": [0.0, 1e9, 2e9, 4e9, 8e9, 16e9],
        "task": ["t"] * 6,
        "metric": ["acc"] * 6,
        "value": [0.25, 0.24, 0.3, 0.4, 0.5, 0.6],
        "n_items": [1000] * 6,
        "chance_level": [0.25] * 6,
    }
    return pl.DataFrame({**base, **changes}, strict=False)


def write(folder: Path, frame: pl.DataFrame, name: str = "r.csv") -> Path:
    path = folder / name
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
    return path


def test_published_names_become_the_tables_names():
    reading = read([SAMPLE])
    assert reading.table.columns[: len(COLUMNS)] == list(COLUMNS)
    assert reading.table["tokens"].max() == pytest.approx(299892736000.0)
    assert reading.table["nominal_floor"].drop_nulls().unique().sort().to_list() == [0.0, 0.25, 0.5]
    assert reading.inputs[0].mapping["train_tokens"] == "tokens"
    assert reading.inputs[0].sha256.startswith("sha256:")


def test_a_rerun_that_says_the_same_counts_once_and_is_counted(tmp_path):
    raw = pl.read_parquet(SAMPLE)
    reruns = raw.filter(pl.col("variant") == "v0/rerun").height
    plain = raw.with_columns(pl.col("variant").str.replace("/rerun", ""))
    reading = read([write(tmp_path, plain, "r.parquet")])
    assert reruns > 20
    assert reading.table.height == raw.height - reruns
    assert any(f"{reruns} rows repeat" in n for n in reading.notes)


@pytest.mark.parametrize("form", ["csv", "parquet", "csv.gz", "jsonl", "json", "tsv"])
def test_every_form_reads_alike(tmp_path, form):
    frame = tidy()
    path = tmp_path / f"r.{form}"
    if form == "csv.gz":
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    elif form == "json":
        path.write_text(json.dumps(frame.to_dicts()))
    elif form == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path) if form == "parquet" else frame.write_csv(
            path, separator="\t" if form == "tsv" else ","
        )
    table = read([path]).table
    assert table["value"].to_list() == frame["value"].to_list()
    assert table["tokens"].to_list() == frame["train_tokens"].to_list()


def test_the_content_decides_not_the_ending(tmp_path):
    path = tmp_path / "results.txt"
    tidy().write_parquet(path)
    assert read([path]).table.height == 6


def test_a_column_per_metric_becomes_a_row_per_number(tmp_path):
    wide = tidy().drop("metric", "value").with_columns(acc=0.5, acc_stderr=0.01, ppl=12.0)
    table = read([write(tmp_path, wide)]).table
    assert table.height == 12
    assert table.filter(metric="acc")["stderr"].unique().to_list() == [0.01]
    assert table.filter(metric="ppl")["stderr"].null_count() == 6


def test_words_for_numbers(tmp_path):
    frame = tidy(n_params=["160M"] * 6, stderr=["N/A", "", "0.01", "0.01", "0.01", "0.01"])
    table = read([write(tmp_path, frame)]).table
    assert table["params"].unique().to_list() == [160e6]
    assert table["stderr"].null_count() == 2


def test_chance_of_common_tasks_is_filled_in_and_said(tmp_path):
    frame = tidy(task=["piqa"] * 3 + ["mine"] * 3).drop("chance_level")
    reading = read([write(tmp_path, frame)])
    assert reading.table["nominal_floor"].to_list() == [0.5] * 3 + [None] * 3
    assert any("nominal chance" in n for n in reading.notes)
    other = tidy(metric=["f1"] * 6, task=["piqa"] * 6).drop("chance_level")
    assert read([write(tmp_path, other)]).table["nominal_floor"].null_count() == 6


@pytest.mark.parametrize("days", [["2023-07-02"] * 6, [2023.5] * 6, ["2023.5"] * 6])
def test_dates_become_years(tmp_path, days):
    table = read([write(tmp_path, tidy(date=days))]).table
    assert table["date"].to_list() == pytest.approx([2023.5] * 6, abs=0.01)


def test_a_word_for_a_date_is_refused(tmp_path):
    with pytest.raises(UserError, match="`soon` is not a number"):
        read([write(tmp_path, tidy(date=["2023-07-02"] * 5 + ["soon"]))])


def test_per_cent_of_a_whole_column_becomes_shares_and_says_so(tmp_path):
    frame = tidy(value=[25.0, 24.0, 0.0, 40.0, 50.0, 60.5], stderr=[1.0] * 6, chance_level=[25.0] * 6)
    reading = read([write(tmp_path, frame)])
    assert reading.table["value"].to_list() == pytest.approx([0.25, 0.24, 0.0, 0.4, 0.5, 0.605])
    assert reading.table["stderr"].unique().to_list() == [0.01]
    assert reading.table["nominal_floor"].unique().to_list() == [0.25]
    assert any("per cent" in n for n in reading.notes)


def test_small_percentages_are_whole_items(tmp_path):
    frame = tidy(value=[0.3, 0.2, 0.5, 40.0, 50.0, 60.0])  # of 1000 items: 3, 2, 5
    assert read([write(tmp_path, frame)]).table["value"][0] == pytest.approx(0.003)


def test_mixed_scales_are_refused_with_file_column_and_row(tmp_path):
    path = write(tmp_path, tidy(value=[0.25, 0.2417, 30.1, 40.0, 50.0, 60.0]))
    with pytest.raises(UserError, match=r"r\.csv, column `value`, row 1") as caught:
        read([path])
    assert caught.value.do


def test_what_cannot_be_used_keeps_its_row_and_its_reason(tmp_path):
    frame = tidy(value=[None, float("nan"), float("inf"), 0.4, -0.3, 0.6], n_items=[10, 10, 10, 0, 10, 10])
    reading = read([write(tmp_path, frame, "r.parquet")])
    assert reading.table["why_missing"].to_list() == [
        "no value",
        "value is NaN",
        "value is infinite",
        "no items behind it",
        "value outside the range 0 to 1 of `acc`",
        None,
    ]
    assert sum(reading.inputs[0].left_out.values()) == 5
    assert reading.account()["usable"] == 1


def test_a_share_above_one_that_is_no_percentage_is_left_out(tmp_path):
    reading = read([write(tmp_path, tidy(value=[0.25, 0.24, 0.3, 0.4, 0.5, 180.0]))])
    assert reading.table["why_missing"].to_list()[-1] == "value outside the range 0 to 1 of `acc`"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": ["0.2", "0.3", "high", "0.3", "0.4", "0.5"]}, r"`high` is not a number.*"),
        ({"n_items": [1000, 1000, 1000, 3.5, 1000, 1000]}, r"`3.5` is not a whole number"),
    ],
)
def test_a_cell_that_is_no_number_is_refused_with_its_row(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as caught:
        read([write(tmp_path, tidy(**change))])
    assert "row " in caught.value.where
    assert "column" in caught.value.where


def test_missing_columns_name_those_there_are_and_how_to_rename(tmp_path):
    path = write(tmp_path, tidy().rename({"value": "outcome"}))
    with pytest.raises(UserError, match="outcome") as caught:
        read([path])
    assert "--rename outcome=value" in caught.value.do
    assert read([path], rename={"outcome": "value"}).table["value"][0] == 0.25


def test_renaming_what_is_not_there_names_the_nearest_column(tmp_path):
    with pytest.raises(UserError, match="did you mean `value`"):
        read([write(tmp_path, tidy())], rename={"valeu": "value"})


def test_two_columns_for_one_thing_are_refused(tmp_path):
    with pytest.raises(UserError, match="both mean `tokens`"):
        read([write(tmp_path, tidy(tokens_seen=[1.0] * 6))])


def test_no_place_on_any_axis_is_refused(tmp_path):
    with pytest.raises(UserError, match="no model has a place"):
        read([write(tmp_path, tidy().drop("train_tokens"))])


@pytest.mark.parametrize(
    ("content", "tool"),
    [
        ({"eval": {"task": "x"}, "status": "success", "results": {}}, "Inspect"),
        ({"config_general": {}, "results": {}, "versions": {}}, "lighteval"),
        ({"evalId": "e", "results": {"results": []}}, "promptfoo"),
        ({"schema_version": "0.3.0", "evaluation_results": []}, "Every Eval Ever"),
        ({"log_history": [{"loss": 1.0, "step": 1}]}, "trainer state"),
        ([{"name": {"name": "exact_match"}, "count": 1, "sum": 1}], "HELM"),
        ({"name": "t", "examples": [], "metrics": ["x"]}, "BIG-bench"),
    ],
)
def test_results_of_another_tool_are_named_and_refused(tmp_path, content, tool):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=tool) as caught:
        read([path])
    assert caught.value.do or caught.value.wanted


def test_json_cut_short_is_refused_by_name(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{\n  "results": {"piqa": ')
    with pytest.raises(UserError, match="broken JSON"):
        read([path])


def test_a_folder_lists_what_it_does_not_read(tmp_path):
    write(tmp_path, tidy())
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "log.json").write_text(json.dumps({"log_history": []}))
    reading = read([tmp_path])
    assert reading.table.height == 6
    assert {Path(i.path).name for i in reading.inputs} == {"r.csv", "README.md", "log.json"}
    assert any("trainer state" in n for n in reading.notes)


def test_tables_of_something_else_in_a_folder_are_listed_and_refused_when_named(tmp_path):
    write(tmp_path, tidy())
    other = write(tmp_path, pl.DataFrame({"epoch": [1], "lr": [0.1]}), "log.csv")
    reading = read([tmp_path])
    assert reading.table.height == 6
    assert any("log.csv" in n for n in reading.notes)
    with pytest.raises(UserError, match="no column for"):
        read([other])


def test_globs_and_repeats_read_each_file_once(tmp_path):
    write(tmp_path, tidy())
    assert read([f"{tmp_path}/*.csv", tmp_path, tmp_path / "r.csv"]).table.height == 6


@pytest.mark.parametrize("path", ["nowhere.csv", "nowhere/*.csv"])
def test_a_path_that_is_not_there(tmp_path, path):
    with pytest.raises(UserError, match="no such file"):
        read([tmp_path / path])


def test_an_empty_folder_and_a_folder_without_results(tmp_path):
    with pytest.raises(UserError, match="empty"):
        read([tmp_path])
    (tmp_path / "README.md").write_text("words")
    with pytest.raises(UserError, match="no results"):
        read([tmp_path])


def test_identical_rows_of_two_files_count_once(tmp_path):
    write(tmp_path, tidy(), "a.csv")
    write(tmp_path, tidy(), "b.parquet")
    reading = read([tmp_path])
    assert reading.table.height == 6
    assert any("6 rows repeat" in n for n in reading.notes)


def test_order_and_repetition_of_rows_do_not_matter(tmp_path):
    frame = tidy()
    shuffled = pl.concat([frame, frame]).sample(fraction=1.0, shuffle=True, seed=3)
    one = read([write(tmp_path, frame, "a.csv")]).table.drop("source")
    two = read([write(tmp_path, shuffled, "b.csv")]).table.drop("source")
    assert one.sort("tokens").equals(two.sort("tokens"))


def test_the_schema_that_ships_is_the_one_of_the_code():
    import saltus

    shipped = Path(saltus.__file__).parent / "schemas" / "table.schema.json"
    assert json.loads(shipped.read_text()) == json_schema()


def test_rows_of_the_sample_fit_the_schema():
    import jsonschema

    validator = jsonschema.Draft202012Validator(json_schema())
    for row in read([SAMPLE]).table.head(50).to_dicts():
        validator.validate(row)


def test_identity_names_columns_of_the_schema():
    assert set(IDENTITY) <= set(COLUMNS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bigscience_checkpoints",
        "gadre_scaling",
        "obsscaling",
        "olmo_ladder",
        "pythia_evals",
        "schaeffer2023_fig3",
        "sloth_leaderboard",
        "wei2022_figures",
    ],
)
def test_every_published_data_set_reads_whole(name):
    folder = SHARED / "data" / name
    if not folder.is_dir():
        pytest.skip("the published data lie beside the checkout, not in it")
    reading = read([folder])
    assert reading.table.height == pl.read_parquet(folder / "evals.parquet").height
    assert reading.table["value"].null_count() == 0
