"""BIG-bench scores: the stated range of a score, its subtasks, the size of its model."""

import json

import pytest

from saltus.results.formats import bigbench, detect
from saltus.results.read import read

SCORE = {
    "score_dict": {"multiple_choice_grade": 0.29, "calibration_brier": 0.3},
    "preferred_score": "multiple_choice_grade",
    "subtask_description": "arithmetic",
    "number_of_shots": 2,
    "low_score": 0.25,
    "high_score": 1.0,
}
WRITTEN = {
    "score_dict": {"exact_str_match": 40.0},
    "preferred_score": "exact_str_match",
    "subtask_description": "arithmetic:3_digits",
    "number_of_shots": 0,
    "low_score": 0,
    "high_score": 100,
}


def scores(tmp_path, size, *entries):
    document = {
        "bigbench_version": "0.0",
        "task": {"task_name": "arithmetic"},
        "model": {"model_name": size, "model_family": "BIG-G T=0", "total_params": float(size[:-1]) * 1e6},
        "scores": list(entries),
    }
    path = tmp_path / f"scores_{size}.json"
    path.write_text(json.dumps(document))
    return path


def test_scores_are_read_in_the_range_they_state(tmp_path):
    path = scores(tmp_path, "128m", SCORE, WRITTEN)
    assert detect(path) is bigbench.FORMAT
    rows = bigbench.read(path).rows
    assert rows["params"].unique().to_list() == [128e6]
    assert set(rows["task"]) == {"arithmetic", "arithmetic:arithmetic:3_digits"}
    grade = rows.filter(metric="multiple_choice_grade").row(0, named=True)
    assert (grade["n_shot"], grade["nominal_floor"], grade["value"]) == (2, 0.25, 0.29)


def test_per_cent_is_a_share_once_read(tmp_path):
    for size in ("2m", "16m", "128m"):
        scores(tmp_path, size, WRITTEN)
    table = read([tmp_path]).table
    assert table["value"].unique().to_list() == pytest.approx([0.4])
