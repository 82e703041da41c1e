"""findings.jsonl loses nothing, complains by line, and the schema says what the records say."""

from __future__ import annotations

import dataclasses
import json
import math

import jsonschema
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saltus.errors import UserError
from saltus.judging.finding_schema import SCHEMA_FILE, check_reasons, finding_schema, nullable_fields
from saltus.judging.findings import (
    FINDING_SCHEMA_VERSION,
    Findings,
    dump_finding,
    finding_id,
    read_findings,
    write_findings,
)
from saltus.records import Evidence, Finding, Guard, Quantity, Replication
from saltus.stats.batch import CurveKey

KEY = CurveKey("pythia-1b", "copying", "baseline", "tokens", "acc", "token_logprob")


def a_finding(**changes) -> Finding:
    """A complete finding of a replicated leap, as changed."""
    fields = {
        "schema_version": FINDING_SCHEMA_VERSION,
        "finding_id": finding_id(KEY),
        "study_id": None,
        "primary": True,
        "series": "pythia-1b",
        "task": "copying",
        "condition": "baseline",
        "axis": "tokens",
        "metric_hard": "acc",
        "metric_soft": "token_logprob",
        "slice": None,
        "integrity": "ok",
        "presence": "present",
        "shape_hard": "jump",
        "shape_soft": "jump",
        "predicted": "no",
        "twin": "agrees",
        "replication": Replication(seeds=3, leapt=3, populations=1),
        "scope": "general",
        "localised": None,
        "verdict": "transition",
        "verdict_weights": {"transition": 0.9, "sharp": 0.1},
        "onset": 5.6e8,
        "onset_low": 5e8,
        "onset_high": 6.1e8,
        "onset_other_axes": {"step": Quantity(value=180.0, low=160.0, high=200.0, unit="step")},
        "width_hard": Quantity(value=0.2, low=0.1, high=0.3, unit="decades"),
        "width_soft": Quantity(value=0.25, low=0.1, high=0.4, unit="decades"),
        "smoothest_admissible_width": Quantity(value=0.4, unit="decades", why="a bound has no interval"),
        "rise": Quantity(value=0.8, low=0.78, high=0.82, unit="share"),
        "floor": 0.1,
        "floor_source": "computed",
        "n_points": 21,
        "n_items": 500,
        "n_seeds": 3,
        "dispersion": 1.2,
        "minimum_detectable_effect": 0.03,
        "p_value": 1e-5,
        "q_value": 2e-4,
        "family": "registered",
        "family_size": 4,
        "forecast": {"method": "logit-linear", "score": 0.1},
        "false_alarm_rate": 0.01,
        "guards": (Guard(name="dtype", severity="disqualifying", fired=False, why="one dtype"),),
        "caveats": ("one task",),
        "next_data": (),
        "reasons": {"study_id": "no study", "slice": "all items", "localised": "no work inside the network"},
        "evidence": (Evidence(name="presence", question="is it there?", value=0.8, passed=True, why="z = 40"),),
        "curve": {"x": [1.0, 2.5], "label": "∆"},
    }
    return Finding(**(fields | changes))


def test_round_trip_is_lossless(tmp_path):
    findings = (a_finding(), a_finding(slice="easy", metric_hard="acc_norm", primary=False))
    back = read_findings(write_findings(findings, tmp_path / "deep" / "findings.jsonl"))
    assert back.items == findings
    assert back.notices == ()
    assert dump_finding(back[0]) == dump_finding(findings[0])
    assert isinstance(back[0].guards, tuple)
    assert not list(tmp_path.rglob("*.part"))


@settings(max_examples=50, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(exclude_categories=("Cs",))))
def test_any_number_and_text_survive(tmp_path_factory, number, text):
    finding = a_finding(onset=number, task=text, caveats=(text,), curve={"x": [number]})
    path = tmp_path_factory.mktemp("f") / "findings.jsonl"
    assert read_findings(write_findings([finding], path)).items == (finding,)


def test_numpy_numbers_become_plain_and_nan_is_refused():
    plain = dump_finding(a_finding(curve={"x": [1.0, 2.0], "n": 3}))
    numpy = a_finding(curve={"x": np.array([1.0, 2.0]), "n": np.int64(3)})
    assert dump_finding(numpy) == plain
    with pytest.raises(ValueError, match="JSON"):
        dump_finding(a_finding(onset=math.nan))


def test_newer_fields_are_tolerated_and_named(tmp_path):
    data = json.loads(dump_finding(a_finding()))
    data["smell"] = "fresh"
    data["width_hard"]["colour"] = "blue"
    data["evidence"][0]["sound"] = None
    path = tmp_path / "findings.jsonl"
    path.write_text(json.dumps(data) + "\n", "utf-8")
    back = read_findings(path)
    assert back.items == (a_finding(),)
    assert all(any(name in n for n in back.notices) for name in ("smell", "width_hard.colour", "evidence.sound"))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"verdict": "sharp"}', "field"),
        (dump_finding(a_finding()).replace('"transition"', '"wonder"', 1), "verdict"),
        (dump_finding(a_finding(schema_version="2.0")), "schema version 2.0"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, found):
    path = tmp_path / "findings.jsonl"
    path.write_text(dump_finding(a_finding()) + "\n" + line + "\n", "utf-8")
    with pytest.raises(UserError) as error:
        read_findings(path)
    assert error.value.where.endswith("findings.jsonl:2")
    assert found.lower() in str(error.value).lower()
    assert error.value.do


def test_no_file_and_no_place_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_findings(tmp_path / "absent.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_findings([], tmp_path / "file" / "findings.jsonl")


def test_ids_identify_the_question_and_nothing_else():
    same = dataclasses.replace(KEY, metric_soft="brier", floor_source="declared", family="registered")
    assert finding_id(same) == finding_id(KEY)
    others = [
        {"series": "b"},
        {"task": "b"},
        {"condition": "b"},
        {"axis": "loss"},
        {"metric_hard": "b"},
        {"slice": "b"},
    ]
    assert len({finding_id(dataclasses.replace(KEY, **o)) for o in others} | {finding_id(KEY)}) == 7


def test_frame_has_one_flat_row_per_finding():
    flat = a_finding(verdict="flat", onset=None, onset_other_axes={}, primary=False, verdict_weights={"flat": 1.0})
    findings = Findings((a_finding(), flat))
    frame = findings.to_frame()
    assert frame.height == 2
    assert frame["onset"].to_list() == [5.6e8, None]
    assert frame["onset_step_low"].to_list() == [160.0, None]
    assert frame["width_hard_high"].to_list() == [0.3, 0.3]
    assert frame["weight_flat"].to_list() == [0.0, 1.0]
    assert frame["caveats"].to_list() == [["one task"], ["one task"]]
    assert frame.schema["n_items"] == pl.Int64
    empty = Findings().to_frame()
    assert empty.height == 0
    assert set(empty.columns) == {c for c in frame.columns if not c.startswith("onset_step")}
    assert [f.primary for f in findings.primary()] == [True]
    assert isinstance(findings[:1], Findings)
    assert "1 transition" in repr(findings)
    assert "copying" in findings._repr_html_()


def test_every_null_needs_its_reason():
    assert check_reasons(a_finding()) == []
    nulls = dict.fromkeys(nullable_fields())
    problems = check_reasons(a_finding(**nulls, reasons={}))
    assert problems == list(nullable_fields())
    assert "onset" in problems
    assert check_reasons(a_finding(width_soft=Quantity(value=None))) == ["width_soft"]
    assert check_reasons(a_finding(rise=Quantity(value=0.5))) == ["rise: an end of its interval"]
    assert check_reasons(a_finding(replication=Replication(seeds=1, leapt=1, populations=None))) == ["replication"]
    assert check_reasons(a_finding(evidence=(Evidence(name="a", question="b"),))) == ["evidence.a"]


def test_shipped_schema_is_the_records():
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == finding_schema(), (
        "run: python -m saltus.judging.finding_schema"
    )


def test_schema_accepts_findings_and_refuses_nulls_without_reason():
    schema = finding_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = json.loads(dump_finding(a_finding()))
    validator.validate(good)
    validator.validate(good | {"newer": 1})
    assert not validator.is_valid(good | {"onset": None})
    assert not validator.is_valid(good | {"verdict": "wonder"})
    assert not validator.is_valid(good | {"rise": {"value": None}})
    described = schema["properties"]["onset"]["description"]
    assert described == "Raw units of the axis."


EXAMPLES = sorted(SCHEMA_FILE.parent.glob("examples/finding-*.json"))


def test_there_are_three_worked_examples():
    assert [path.stem for path in EXAMPLES] == ["finding-artefact", "finding-sharp", "finding-unresolved"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_worked_examples_are_findings(path, tmp_path):
    data = json.loads(path.read_text("utf-8"))
    jsonschema.Draft202012Validator(finding_schema()).validate(data)
    copy = tmp_path / "findings.jsonl"
    copy.write_text(json.dumps(data) + "\n", "utf-8")
    (finding,) = read_findings(copy)
    assert check_reasons(finding) == []
    assert finding.verdict == path.stem.removeprefix("finding-")
    assert sum(finding.verdict_weights.values()) == pytest.approx(1.0)
    assert json.loads(dump_finding(finding)) == data
