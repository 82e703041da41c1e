"""A study goes out as Inspect logs, which Inspect reads, and comes in again with the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_samples

from saltus.errors import UserError
from saltus.export.table import export_records
from saltus.hashing import file_hash
from saltus.results.read import read
from saltus.runner.open import load_with_store, run_study

STUDY = """
study: small
question: Does the scripted behaviour leap?
models:
  - {series: s, from: "scripted:leap", points: 2, seeds: 2}
tasks: [{addition: {digits: 1}}, "jsonl:birds.jsonl"]
conditions: [baseline, {typos: [0.5]}]
repeats: 2
limit: 8
"""
BIRDS = [
    {"id": "a", "question": "Which flies?", "choices": ["heron", "pike"], "answer": "heron"},
    {"id": "b", "question": "Which swims?", "choices": ["heron", "pike"], "answer": "pike"},
    {"id": "c", "question": "?", "choices": ["yes", "no"], "answer": "no"},
]
FORMS = [("inspect", "eval"), ("inspect-json", "json")]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "birds.jsonl").write_text("".join(json.dumps(b) + "\n" for b in BIRDS))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def exported(document: Path, form: str = "inspect") -> Path:
    to = document.parent / form
    export_records(document, to, form, by="a lab", developer="us", items=True)
    return to


@pytest.mark.parametrize(("form", "ending"), FORMS)
def test_inspects_own_reader_gives_our_scores(document, form, ending):
    run_study(document)
    to = exported(document, form)
    assert {p.suffix for p in to.iterdir()} == {f".{ending}"}
    study, store = load_with_store(document)
    ours = store.item_table(study).collect().filter(pl.col("state") != "refused")
    theirs = []
    for info in list_eval_logs(str(to)):
        log = read_eval_log(info)
        assert log.status == "success"
        facts = [log.eval.metadata[name] for name in ("model_identity", "task", "condition")]
        for sample in log.samples:
            numbers = sample.scores["saltus"].value.items()
            theirs += [(*facts, sample.id, sample.epoch - 1, *number) for number in numbers]
    at = ["model_identity", "task", "condition", "item_id", "repeat", "metric", "value"]
    assert len(theirs) == ours.height > 100
    assert sorted(map(str, theirs)) == sorted(map(str, ours.select(at).rows()))


def test_our_own_reader_gives_the_same_values_and_aggregates_agree(document):
    run_study(document)
    found = read([exported(document)])
    study, store = load_with_store(document)
    ours = store.item_table(study).collect().drop_nulls("value")
    theirs = found.table.drop_nulls("value").with_columns(repeat=pl.col("repeat") - 1)
    at = ["tokens", "seed", "metric", "repeat", "item_id", "value"]
    assert theirs.height == ours.height
    assert theirs.select(at).sort(at).rows() == ours.select(at).sort(at).rows()
    assert not [note for note in found.notes if "over its" in note]


def test_a_sample_shows_what_was_asked_and_how_likely_each_choice_was(document):
    run_study(document)
    logs = [read_eval_log(i) for i in list_eval_logs(str(exported(document)))]
    (birds, *_) = [x for x in logs if "birds" in x.eval.task and x.eval.metadata["condition"] == "baseline"]
    sample = birds.samples[0]
    assert (sample.target, sample.choices) == ("A", ["heron", "pike"])
    assert "Which flies?" in sample.input
    given = sample.metadata["loglikelihoods"]
    assert [t["continuation"].strip() for t in given] == ["heron", "pike"]
    value = sample.scores["saltus"].value
    assert value["gold_logprob"] == pytest.approx(given[0]["logprob"])
    assert value["acc"] == float(given[0]["logprob"] > given[1]["logprob"])
    assert birds.eval.config.epochs == 2
    assert birds.eval.metadata["tokens"] in (1e6, 1e9)
    digest = file_hash(document.parent / "birds.jsonl")
    assert birds.eval.metadata["dataset"] == {"source": "birds.jsonl", "sha256": digest}
    assert birds.eval.dataset.location == "birds.jsonl"


def test_what_a_condition_refused_is_counted_and_left_out(document):
    run_study(document)
    done = export_records(document, document.parent / "out", "inspect", by="us", developer="us", items=True)
    assert done.left_out["there are no letters in the question"] == 8, "4 models, 2 repeats of `?`"


def test_failures_are_errors_in_the_log_and_never_scores(document):
    document.write_text(STUDY.replace("seeds: 2}", "seeds: 1, faults: {fail_at: [0, 3]}}"))
    run_study(document)
    found = [s for i in list_eval_logs(str(exported(document))) for s in read_eval_log(i).samples]
    failed = [s for s in found if s.error]
    assert failed
    assert all(s.scores is None and "scripted to fail" in s.error.message for s in failed)
    table = read([document.parent / "inspect"]).table
    assert table.filter(pl.col("why_missing").str.contains("scripted to fail")).height > 0


def test_exporting_twice_gives_the_same_files(document):
    run_study(document)
    first = {p.name for p in exported(document).iterdir()}
    assert {p.name for p in exported(document).iterdir()} == first


def test_a_log_streams_its_samples(document):
    run_study(document)
    (info, *_) = list_eval_logs(str(exported(document)))
    header = read_eval_log(info, header_only=True)
    assert len(list(read_eval_log_samples(info))) == header.results.completed_samples


@pytest.mark.usefixtures("files_allowed")
def test_a_task_of_inspects_own_goes_out_with_its_answers(tmp_path):
    (tmp_path / "tasks.py").write_text(
        "from inspect_ai import Task, task\nfrom inspect_ai.dataset import Sample\n"
        "from inspect_ai.scorer import match\n"
        "@task\ndef copying():\n"
        "    return Task(dataset=[Sample(input='copy: 42 =', target='42')], scorer=match())\n"
    )
    document = tmp_path / "study.yaml"
    document.write_text(
        'study: s\nquestion: q\nmodels: [{series: s, from: "scripted:leap", points: 1, midpoint: -9.0, ceiling: 1.0}]\n'
        'tasks: ["inspect:tasks.py@copying"]\n'
    )
    run_study(document)
    (info,) = list_eval_logs(str(exported(document)))
    (sample,) = read_eval_log(info).samples
    assert sample.input == "copy: 42 ="
    assert [m.text for m in sample.messages] == ["copy: 42 =", "42"]
    assert sample.output.completion == "42"
    assert sample.scores["saltus"].value["accuracy"] == 1.0


def test_what_cannot_be_exported_is_a_message(document, monkeypatch):
    with pytest.raises(UserError, match="saltus run"):
        exported(document)
    with pytest.raises(UserError, match="did you mean `inspect`"):
        export_records(document, document.parent, "inspct", by="", developer="", items=False)
    run_study(document)
    (document.parent / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        export_records(document, document.parent / "file" / "x", "inspect", by="", developer="", items=True)
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.log", None)
    with pytest.raises(UserError, match=r"saltus\[inspect\]"):
        exported(document)
