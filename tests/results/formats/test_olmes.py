"""OLMES metrics: one task per file, all tasks in one, and what lies beside them."""

import json

import pytest

from saltus.errors import UserError
from saltus.results.formats import FORMATS, detect, olmes
from saltus.results.read import read

TASK = {
    "task_name": "arc_easy",
    "task_config": {"task_name": "arc_easy", "primary_metric": "acc_per_char", "num_shots": 5, "limit": 1000},
    "num_instances": 1000,
    "metrics": {"acc_raw": 0.4, "acc_per_char": 0.5, "logits_per_char_corr": -1.0, "primary_score": 0.5, "x": "y"},
}
MODEL = {"model": "lab/lm-1b", "revision": "step1000-tokens4B", "dtype": "bfloat16", "gantry_args": {}}


def test_a_task_is_read_without_saying_its_main_metric_twice(tmp_path):
    path = tmp_path / "task-000-arc_easy-metrics.json"
    path.write_text(json.dumps({**TASK, "model_config": MODEL}))
    assert detect(path) is olmes.FORMAT
    assert olmes.FORMAT in FORMATS
    rows = olmes.read(path).rows
    assert set(rows["metric"]) == {"acc_raw", "acc_per_char", "logits_per_char_corr"}
    first = rows.row(0, named=True)
    assert (first["step"], first["tokens"], first["params"]) == (1000, 4e9, 1e9)
    assert (first["n_shot"], first["n_items"], first["dtype"]) == (5, 1000, "bfloat16")
    assert rows.filter(metric="acc_raw")["nominal_floor"].to_list() == [0.25]


def test_a_lone_main_metric_is_read(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps({**TASK, "metrics": {"primary_score": 0.5}, "model_config": MODEL}))
    assert olmes.read(path).rows["metric"].to_list() == ["primary_score"]


def test_all_tasks_of_a_model_in_one_file(tmp_path):
    path = tmp_path / "metrics.json"
    other = {**TASK, "task_name": "piqa"}
    path.write_text(json.dumps({"all_primary_scores": ["a: 1"], "tasks": [TASK, other], "model_config": MODEL}))
    assert set(olmes.read(path).rows["task"]) == {"arc_easy", "piqa"}


def test_predictions_are_named_and_left(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({**TASK, "model_config": MODEL}))
    (tmp_path / "p.jsonl").write_text(json.dumps({"doc_id": 0, "metrics": {}, "model_output": []}) + "\n{}\n")
    assert any("OLMES predictions" in note for note in read([tmp_path]).notes)


def test_without_numbers_it_is_refused(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps({**TASK, "metrics": {}, "model_config": MODEL}))
    with pytest.raises(UserError, match="no numbers"):
        olmes.read(path)
