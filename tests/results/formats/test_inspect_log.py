"""Inspect's logs: JSON and the zstd archive, items and twins, other versions and damaged files."""

import json
import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from saltus.errors import UserError
from saltus.results.formats import detect
from saltus.results.formats.inspect_log import read, zipfile
from saltus.results.read import read as read_all

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER / "published" / "inspect"
ARC, SUMS = DATA / "arc_qwen.json", DATA / "sums.eval"


def changed(tmp_path: Path, **changes) -> Path:
    """The published log with other keys; a dict changes inside."""
    log = json.loads(ARC.read_text())
    for key, value in changes.items():
        log[key] = {**log[key], **value} if isinstance(value, dict) else value
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    return path


def values(frame: pl.DataFrame, metric: str) -> list:
    return frame.filter(pl.col("metric") == metric).sort("item_id", "repeat")["value"].to_list()


def test_a_published_json_log_gives_items_with_their_chance():
    frame, notes = read(ARC)
    assert values(frame, "accuracy") == [1.0, 0.0, 0.0]
    row = frame.row(0, named=True)
    assert (row["model"], row["family"], row["params"]) == ("qwen2.5:0.5b", "qwen2.5", 5e8)
    assert (row["task"], row["format"], row["nominal_floor"]) == ("arc_easy", "letters", 0.25)
    assert frame.height == 3, "the aggregate gives way to its items"
    assert notes == []


def test_an_archive_that_inspect_wrote_is_read_without_inspect():
    assert {i.compress_type for i in zipfile.ZipFile(SUMS).infolist()} == {93}
    frame, notes = read(SUMS)
    assert values(frame, "accuracy") == [1, 1, 0, 1, 1, 1]
    assert values(frame, "acc") == [1, 1, 0, 1, 1, 1]
    assert values(frame, "choice_prob") == [0.75, 0.75, 0.125, 0.75, 0.75, 0.75]
    assert values(frame, "edit_similarity") == [1, 1, 0, 1, 1, 1]
    row = frame.row(0, named=True)
    assert (row["params"], row["tokens"], row["step"], row["seed"]) == (1e6, 1048576, 512, "3")
    assert (row["n_shot"], row["dtype"], row["family"]) == (2, "float32", "tiny")
    assert sorted(frame["repeat"].unique()) == [1, 2]
    assert notes == [], "aggregates agree with the items"


def test_the_content_decides_not_the_ending(tmp_path):
    other = tmp_path / "log.bin"
    other.write_bytes(SUMS.read_bytes())
    assert detect(other).name == "Inspect log"
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    assert detect(tmp_path / "photos.zip").name == "no results"


def test_a_run_that_never_ended_gives_what_was_scored_and_says_so(tmp_path):
    path = tmp_path / "half.eval"
    with zipfile.ZipFile(SUMS) as whole, zipfile.ZipFile(path, "w") as half:
        for name in whole.namelist():
            if name.startswith(("_journal/start", "samples/a", "samples/b")):
                half.writestr(name, whole.read(name))
    frame, notes = read(path)
    assert sorted(frame["item_id"].unique()) == ["a", "b"]
    assert any("started" in n for n in notes)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_archive_is_a_message_that_names_it(tmp_path, share):
    path = tmp_path / "cut.eval"
    path.write_bytes(SUMS.read_bytes()[: int(share * SUMS.stat().st_size)])
    with pytest.raises(UserError, match="broken archive") as caught:
        read_all([path])
    assert "cut.eval" in caught.value.where


def test_a_damaged_entry_is_found_by_its_checksum(tmp_path):
    data = bytearray(SUMS.read_bytes())
    at = zipfile.ZipFile(SUMS).getinfo("samples/b_epoch_1.json").header_offset + 600
    data[at] ^= 0xFF
    path = tmp_path / "bad.eval"
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"samples/b_epoch_1\.json"):
        read(path)


def test_no_more_is_unpacked_than_an_archive_says_there_is(tmp_path):
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", 93) as archive, archive.open("header.json", "w") as entry:
        entry.write(b" " * 2**26)
    data = bytearray(path.read_bytes())
    size_at = data.rfind(b"PK\x01\x02") + 24
    data[size_at : size_at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    tracemalloc.start()
    with pytest.raises(UserError, match="broken archive"):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize("version", [1, 3, "x"])
def test_another_version_is_named(tmp_path, version):
    with pytest.raises(UserError, match=f"version `{version}`"):
        read(changed(tmp_path, version=version))


def test_missing_fields_are_a_message(tmp_path):
    with pytest.raises(UserError, match="no task or no model"):
        read(changed(tmp_path, eval={"model": None}))
    samples = json.loads(ARC.read_text())["samples"]
    del samples[1]["id"]
    with pytest.raises(UserError, match="KeyError: 'id'"):
        read(changed(tmp_path, samples=samples))


def test_failed_and_unknown_scores_are_rows_with_a_reason(tmp_path):
    samples = json.loads(ARC.read_text())["samples"]
    samples[0] |= {"error": {"message": "timeout"}, "scores": {}}
    samples[1]["scores"]["choice"]["value"] = "maybe"
    frame, notes = read(changed(tmp_path, samples=samples))
    why = dict(zip(frame["item_id"], frame["why_missing"]))
    assert why == {"1": "the sample failed: timeout", "2": "the score `maybe` is no number", "3": None}
    assert frame["value"].null_count() == 2
    assert any("1 samples have no score" in n for n in notes)


def test_without_samples_the_aggregates_stand_with_their_error(tmp_path):
    frame, notes = read(changed(tmp_path, samples=None))
    row = frame.row(0, named=True)
    assert (row["metric"], row["n_items"]) == ("accuracy", 3)
    assert row["stderr"] == pytest.approx(1 / 3)
    older = json.loads(ARC.read_text())["results"]
    older["scores"][0].pop("scored_samples")
    again, _ = read(changed(tmp_path, samples=None, results=older))
    assert again["n_items"].to_list() == [3], "logs before that key"
    assert notes == []


def test_arguments_of_the_task_keep_runs_apart_but_shots_are_shots(tmp_path):
    args = {"subset": "hard", "fewshot": 5}
    frame, _ = read(changed(tmp_path, eval={"task_args": args, "task_args_passed": args}))
    assert frame["variant"].unique().to_list() == ["subset=hard"]
    assert frame["n_shot"].unique().to_list() == [5]


def test_two_scorers_of_one_name_stay_apart(tmp_path):
    log = json.loads(ARC.read_text())
    for sample in log["samples"]:
        sample["scores"]["match"] = {"value": "C", "history": []}
    scorer = {"name": "match", "metrics": [{"name": "inspect_ai/accuracy"}]}
    frame, _ = read(changed(tmp_path, samples=log["samples"], eval={"scorers": [*log["eval"]["scorers"], scorer]}))
    assert values(frame, "accuracy,match") == [1, 1, 1]
    assert values(frame, "accuracy,choice") == [1, 0, 0]


def test_a_sweep_of_logs_is_one_account(tmp_path):
    for i, step in enumerate((1, 2)):
        log = json.loads(ARC.read_text())
        log["eval"]["metadata"] = {"step": step}
        (tmp_path / f"{i}.json").write_text(json.dumps(log))
    reading = read_all([tmp_path])
    assert [(i.format, i.rows) for i in reading.inputs] == [("Inspect log", 3)] * 2
    assert sorted(reading.table["step"].unique()) == [1, 2]
