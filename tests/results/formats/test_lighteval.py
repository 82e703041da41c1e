"""lighteval's results and details: the layout of 0.13 and the one before 0.10, twins, what is left out."""

import json
import math
import shutil
from pathlib import Path

import polars as pl
import pytest

from saltus.errors import UserError
from saltus.results.formats import detect
from saltus.results.formats.lighteval import FORMAT, read
from saltus.results.read import read as read_all

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER / "published" / "lighteval"
DATE = "2026-08-10T17-22-11.385681"
NAME = Path("results/eee-smoke/dummy-model") / f"results_{DATE}.json"
LIKELIHOODS = [[-1.0, -2.0, -3.0], [-2.0, -1.0, -3.0], [-2.0, -3.0, -1.0]]


def new(i: int, totals: list[float], gold: int, **response) -> dict:
    """One row as lighteval 0.13 writes its `DetailsLogger.Detail`."""
    best = totals.index(max(totals)) if totals else -1
    return {
        "doc": {
            "query": f"q{i}",
            "choices": ["True", "Neither", "False"],
            "gold_index": [gold],
            "id": str(i),
            "task_name": "anli:r1",
            "sampling_methods": ["LOGPROBS"] if totals else ["GENERATIVE"],
        },
        "model_response": {
            "input": f"q{i}",
            "text": [],
            "logprobs": totals,
            "argmax_logits_eq_gold": [],
            "truncated_tokens_count": 0,
            **response,
        },
        "metric": {"acc": int(best == gold)} if totals else {"em": 0.0},
    }


def details(folder: Path, task: str, rows: list[dict]) -> Path:
    path = folder / "details" / "eee-smoke/dummy-model-70m-step512" / DATE / f"details_{task}_{DATE}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    shutil.copytree(DATA, tmp_path / "out")
    return tmp_path / "out"


def test_published_results_name_model_task_shots_and_size(out):
    frame, notes = read(out / NAME)
    rows = {(r["task"], r["metric"]): r for r in frame.iter_rows(named=True)}
    acc = rows["anli:r1", "acc"]
    assert (acc["n_shot"], acc["n_items"], acc["stderr"]) == (2, 3, None), "NaN is no error"
    assert acc["nominal_floor"] == pytest.approx(1 / 3)
    assert rows["squad_v2", "em"]["stderr"] == 0.5
    assert (acc["family"], acc["step"], acc["params"]) == ("dummy-model", 512, 70e6)
    assert (acc["dtype"], acc["limit"]) == ("bfloat16", 3)
    assert FORMAT.companions(out / NAME) == []
    assert any("2 averages" in n for n in notes)


def test_a_metric_that_is_nan_is_a_row_with_a_reason(out):
    table = read_all([out]).table
    broken = table.filter(metric="broken_metric").row(0, named=True)
    assert (broken["value"], broken["why_missing"]) == (None, "value is NaN")


def test_details_give_items_and_twins(out):
    details(out, "anli:r1|2", [new(i, LIKELIHOODS[i], 0) for i in range(3)])
    frame, notes = read(out / NAME)
    acc = frame.filter(metric="acc", task="anli:r1").sort("item_id")
    assert acc["value"].to_list() == [1.0, 0.0, 0.0]
    assert acc["nominal_floor"].to_list() == pytest.approx([1 / 3] * 3)
    soft = frame.filter(metric="gold_logprob").sort("item_id")
    assert soft["value"].to_list() == [-1.0, -2.0, -2.0]
    prob = frame.filter(metric="choice_prob").sort("item_id")["value"][0]
    assert prob == pytest.approx(1 / (1 + math.exp(-1) + math.exp(-2)))
    assert len(FORMAT.companions(out / NAME)) == 1
    assert not any("in the results and" in n for n in notes)


def test_written_answers_gain_a_score_without_white_space(out):
    row = new(0, [], 2, text=[" False\n"], text_post_processed=None)
    details(out, "squad_v2|0", [row])
    frame, notes = read(out / NAME)
    found = {r["metric"]: r["value"] for r in frame.filter(task="squad_v2").iter_rows(named=True)}
    assert found == {"em": 0.0, "exact_match_stripped": 1.0, "edit_similarity": 1.0}
    assert any("`em`" in n for n in notes), "0.5 in the results, 0 over the one item"


@pytest.mark.parametrize("as_text", [False, True])
def test_details_before_0_10_give_scores_alone(out, as_text):
    row = {
        "example": "q",
        "full_prompt": "q",
        "choices": ["a", "b"],
        "gold_index": [1],
        "gold": [],
        "truncated": [0],
        "predictions": [[-1.0, False], [-2.0, True]] if as_text else [-1.0, -2.0],
        "metrics": {"acc": 0, "acc_norm": 1},
    }
    if as_text:
        row = {k: v if isinstance(v, str) else str(v) for k, v in row.items()}
    path = details(out, "anli:r1|2", [row])
    assert detect(path).name == "lighteval details"
    items = read(out / NAME)[0].filter(task="anli:r1").filter(pl.col("item_id").is_not_null())
    assert dict(zip(items["metric"], items["value"])) == {"acc": 0.0, "acc_norm": 1.0}
    assert items["nominal_floor"].to_list() == [0.5, 0.5]


def test_details_of_another_date_are_not_mixed_in(out):
    path = details(out, "anli:r1|2", [new(0, LIKELIHOODS[0], 0)])
    path.rename(path.with_name(path.name.replace("2026-08", "2025-08")))
    assert FORMAT.companions(out / NAME) == []


def test_items_that_cannot_be_understood_are_counted(out):
    rows = [new(0, LIKELIHOODS[0], 0), new(1, LIKELIHOODS[1], 7)]
    details(out, "anli:r1|2", rows)
    frame, notes = read(out / NAME)
    assert frame.filter(metric="gold_logprob").height == 1
    assert any("1 of 2 items" in n for n in notes)


def test_a_truncated_details_file_and_one_alone_are_messages(out, tmp_path):
    path = details(out, "anli:r1|2", [new(0, LIKELIHOODS[0], 0)])
    alone = tmp_path / "alone.parquet"
    alone.write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="lighteval details"):
        read_all([alone])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read(out / NAME)


def test_results_without_a_model_are_refused(out):
    document = json.loads((out / NAME).read_text())
    del document["config_general"]["model_name"], document["config_general"]["model_config"]
    (out / NAME).write_text(json.dumps(document))
    with pytest.raises(UserError, match="without a model's name"):
        read(out / NAME)


def test_a_folder_is_one_account_of_results_and_details(out):
    details(out, "anli:r1|2", [new(i, LIKELIHOODS[i], 0) for i in range(3)])
    reading = read_all([out])
    assert [i.format for i in reading.inputs] == ["lighteval results", "lighteval details"]
    assert reading.table.filter(pl.col("item_id").is_not_null()).height > 0


def test_keys_with_suite_and_shots_of_older_versions(out):
    document = json.loads((out / NAME).read_text())
    document["results"] = {"leaderboard|arc:challenge|25": {"acc_norm": 0.5, "acc_norm_stderr": 0.1}}
    (out / NAME).write_text(json.dumps(document))
    row = read(out / NAME)[0].row(0, named=True)
    assert (row["task"], row["n_shot"], row["nominal_floor"]) == ("arc:challenge", 25, 0.25)
