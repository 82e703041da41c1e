"""Every Eval Ever in and out: the published example, what we write against its schemas, and the way there and back."""

import json
import shutil
from collections import Counter
from pathlib import Path

import jsonschema
import polars as pl
import pytest

from saltus.errors import UserError
from saltus.export.every_eval_ever_write import write
from saltus.records import Item
from saltus.results.formats import detect
from saltus.results.formats.every_eval_ever import FORMAT, read
from saltus.results.formats.every_eval_ever_record import Provenance
from saltus.results.read import read as read_all

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER / "published" / "every_eval_ever"
NAME = "f3a1c0de-4b2e-4c1a-9f6d-1b7e5a2c8d40.json"
SAMPLES = NAME.replace(".json", "_samples.jsonl")
BY = Provenance(organization="a lab", evaluated=1750000000, retrieved=1750000001)


@pytest.fixture
def record(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (NAME, SAMPLES):
        shutil.copy(DATA / name, folder / name)
    return folder / NAME


def change(path: Path, how) -> Path:
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))
    return path


def valid(path: Path) -> dict:
    """The record, after it and every line of its samples passed the published schemas; formulas of both are used."""
    aggregate, instance = (
        jsonschema.Draft7Validator(json.loads((DATA / n).read_text()))
        for n in ("eval.schema.json", "instance_level_eval.schema.json")
    )
    document = json.loads(path.read_text(), parse_constant=lambda c: pytest.fail(f"bare {c}"))
    aggregate.validate(document)
    given = document.get("detailed_evaluation_results")
    if given:
        lines = path.with_name(Path(given["file_path"]).name).read_text().splitlines()
        assert len(lines) == given["total_rows"]
        for line in lines:
            instance.validate(json.loads(line))
    return document


def study_table(**extra) -> pl.DataFrame:
    """Two checkpoints, a hard and a soft metric, a condition; one number is missing."""
    rows = []
    for step, acc, ll in ((0, 0.25, -9.5), (512, 0.75, -1.25)):
        base = {
            "series": "tiny",
            "model": "tiny-1m",
            "params": 1e6,
            "step": float(step),
            "tokens": step * 2048.0,
            "seed": "3",
            "task": "sums",
            "format": "cloze",
            "n_shot": 2,
            "n_items": 2,
            "nominal_floor": 0.25,
            **extra,
        }
        rows += [
            {**base, "condition": "baseline", "metric": "acc", "value": acc, "stderr": 0.1},
            {**base, "condition": "baseline", "metric": "gold_logprob", "value": ll, "nominal_floor": None},
            {**base, "condition": "typos[rate=0.1]", "condition_level": "0.1", "metric": "acc", "value": acc / 2},
        ]
    missing = {**rows[0], "task": "lost", "value": None, "why_missing": "the server stopped"}
    return pl.DataFrame([*rows, missing], infer_schema_length=None)


def study_items() -> tuple[pl.DataFrame, dict[str, Item]]:
    table = study_table().filter(condition="baseline", task="sums").drop("n_items", "stderr")
    rows = [
        {
            **row,
            "item_id": name,
            "item_hash": f"h{name}",
            "answer": "4" if row["metric"] == "acc" else None,
            "value": float(name == "a") if row["metric"] == "acc" else -1.0 - (name == "b"),
            "group": "easy",
        }
        for row in table.iter_rows(named=True)
        for name in ("a", "b")
    ]
    known = {f"h{n}": Item(id=n, question=f"{n}=", choices=("4", "5"), gold=(i,)) for i, n in enumerate("ab")}
    return pl.DataFrame(rows, infer_schema_length=None), known


def test_the_published_example_is_read_with_its_samples(record):
    valid(record)
    frame, notes = read(record)
    row = frame.row(0, named=True)
    assert (row["model"], row["task"], row["metric"]) == ("demo-model", "demo-source.demo_bench", "accuracy")
    assert (row["item_id"], row["value"]) == ("demo_0001", 1.0)
    assert set(frame["metric"]) == {"accuracy", "exact_match_stripped", "edit_similarity"}
    assert [f.name for f in FORMAT.companions(record)] == [SAMPLES]
    assert any("0.75" in n for n in notes), "the example's aggregate is not the mean of its one sample"
    assert any("reported" in n for n in notes)


def test_without_samples_the_aggregate_stands(record):
    record.with_name(SAMPLES).unlink()
    frame, notes = read(record)
    assert frame["value"].to_list() == [0.75]
    assert FORMAT.companions(record) == []
    assert any("not beside it" in n for n in notes)


def test_samples_that_were_changed_are_not_read(record):
    samples = record.with_name(SAMPLES)
    samples.write_text(samples.read_text().replace('"score": 1.0', '"score": 0.0'))
    frame, notes = read(record)
    assert frame["value"].to_list() == [0.75]
    assert any("sha256" in n for n in notes)


def test_checkpoints_uncertainty_and_shots_from_where_converters_put_them(record):
    def how(document):
        document["model_info"]["additional_details"] |= {
            "num_parameters": "93069280",
            "revision": "step3000-tokens6B",
            "dtype": "float32",
        }
        result = document["evaluation_results"][0]
        result["generation_config"] = {"additional_details": {"num_fewshot": "5"}}
        result["score_details"] |= {"score": 75.0, "uncertainty": {"standard_error": {"value": 2.0}, "num_samples": 8}}
        result["metric_config"] |= {"max_score": 100.0}
        del document["detailed_evaluation_results"]

    record.with_name(SAMPLES).unlink()
    row = read(change(record, how))[0].row(0, named=True)
    assert (row["params"], row["step"], row["tokens"]) == (93069280, 3000, 6e9)
    assert (row["value"], row["stderr"], row["n_items"], row["n_shot"]) == (0.75, 0.02, 8, 5)
    assert row["dtype"] == "float32"


def test_a_record_before_metric_names_is_read_from_the_description(record):
    def how(document):
        for key in ("metric_id", "metric_name"):
            del document["evaluation_results"][0]["metric_config"][key]
        document["evaluation_results"][0]["metric_config"]["evaluation_description"] = "exact_match (filter: strict)"
        document["schema_version"] = "0.2.1"

    frame, notes = read(change(record, how))
    assert "exact_match" in set(frame["metric"])
    assert any("0.2.1, older" in n for n in notes)


@pytest.mark.parametrize("version", ["1.0.0", "2", "next"])
def test_another_version_is_named(record, version):
    with pytest.raises(UserError, match=f"version `{version}`"):
        read(change(record, lambda d: d.update(schema_version=version)))


def test_a_newer_minor_version_is_read_with_a_note(record):
    notes = read(change(record, lambda d: d.update(schema_version="0.4.0")))[1]
    assert any("0.4.0, newer than the 0.3.0" in n for n in notes)


def test_missing_fields_and_truncated_samples_are_messages(record):
    samples = record.with_name(SAMPLES)
    samples.write_text(samples.read_text()[:200])
    change(record, lambda d: d["detailed_evaluation_results"].pop("checksum"))
    with pytest.raises(UserError, match="line 1"):
        read(record)
    samples.unlink()
    with pytest.raises(UserError, match="KeyError: 'score_details'"):
        read(change(record, lambda d: d["evaluation_results"][0].pop("score_details")))


def test_samples_named_alone_lead_to_their_record(record):
    change(record, lambda d: d["model_info"]["additional_details"].update(step="7"))
    assert detect(record.with_name(SAMPLES)).name == "Every Eval Ever samples"
    reading = read_all([record.with_name(SAMPLES)])
    assert reading.table["step"].unique().to_list() == [7]
    record.unlink()
    with pytest.raises(UserError, match="Every Eval Ever samples"):
        read_all([record.with_name(SAMPLES)])


def test_what_is_written_passes_the_schemas_and_says_what_it_left_out(tmp_path):
    items, known = study_items()
    done = write(study_table(), tmp_path, BY, items=items, known=known)
    records = [valid(p) for p in done.files if p.suffix == ".json"]
    assert len(records) == 2, "one per checkpoint"
    assert (done.results, done.samples) == (6, 8)
    assert done.left_out == {"result without a value: the server stopped": 1}
    assert len({r["evaluation_id"] for r in records}) == 2
    assert {r["model_info"]["id"] for r in records} == {"unknown/tiny-1m"}
    steps = {r["model_info"]["additional_details"]["step"] for r in records}
    assert steps == {"0", "512"}
    soft = next(r for r in records[0]["evaluation_results"] if "gold_logprob" in r["evaluation_result_id"])
    assert (soft["metric_config"]["min_score"], soft["metric_config"]["max_score"]) == ("-Infinity", 0.0)
    names = {r["evaluation_name"] for r in records[0]["evaluation_results"]}
    assert names == {"sums", "sums/typos[rate=0.1]"}


def test_there_and_back_gives_the_same_numbers(tmp_path):
    items, known = study_items()
    write(study_table(), tmp_path, BY, items=items, known=known)
    reading = read_all([tmp_path])
    table = reading.table
    assert not [n for n in reading.notes if "belong to no result" in n or "where the record says" in n]
    typos = table.filter(condition="typos[rate=0.1]").sort("step")
    assert typos["value"].to_list() == [0.125, 0.375]
    assert typos["tokens"].to_list() == [0.0, 512 * 2048.0]
    assert (typos["seed"][0], typos["n_shot"][0], typos["series"][0]) == ("3", 2, "tiny")
    assert typos["nominal_floor"].to_list() == [0.25, 0.25]
    back = table.filter(metric="gold_logprob", step=512).sort("item_id")
    assert back["value"].to_list() == [-1.0, -2.0]
    assert back["item_id"].to_list() == ["a", "b"]
    assert back["group"].to_list() == ["easy", "easy"]
    acc = table.filter(metric="acc", condition="baseline", step=512)
    assert Counter(acc["value"].to_list()) == {1.0: 1, 0.0: 1}


def test_the_same_table_gives_the_same_bytes(tmp_path):
    items, known = study_items()
    for name in ("one", "two"):
        write(study_table(), tmp_path / name, BY, items=items, known=known)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.json*")} for n in ("one", "two")
    )
    assert one == two


def test_items_alone_are_averaged(tmp_path):
    items, known = study_items()
    done = write(items, tmp_path, BY, known=known)
    record = valid(next(p for p in done.files if p.suffix == ".json"))
    acc = next(r for r in record["evaluation_results"] if r["metric_config"]["metric_name"] == "acc")
    assert acc["score_details"]["score"] == 0.5
    assert acc["score_details"]["uncertainty"]["num_samples"] == 2


def test_samples_whose_question_is_not_known_are_counted_not_written(tmp_path):
    items, _ = study_items()
    done = write(study_table(), tmp_path, BY, items=items)
    assert done.samples == 0
    assert done.left_out["sample whose question is not known"] == 8


def test_a_table_without_values_is_refused(tmp_path):
    with pytest.raises(UserError, match="no result has a value"):
        write(study_table().filter(task="lost"), tmp_path, BY)
