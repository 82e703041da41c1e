"""Study documents: what they mean, and what they say of their mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from saltus.errors import UserError
from saltus.study import document as study
from saltus.study import lock

TEXT = """
study: copying
question: Does copying appear abruptly?
models:
  - series: tiny
    from: dir:runs/seed{seed}/step-{step}
    tokens_per_step: 3072
    params: 64000
    revision_note: kept for the adapter
tasks: [copying, {addition: {digits: 3}}]
conditions: [baseline, {typos: [0.02, 0.1]}, {shots: [0, 2]}]
cross: [[shots, typos]]
limit: 500
hypotheses:
  - {id: H1, task: copying, series: tiny, axis: tokens, expect: leap}
"""


def parsed(text: str = TEXT) -> study.Study:
    return study.loads(text, base=Path("."), name="copying.yaml")


def test_entries_split_coordinates_from_options() -> None:
    (entry,) = parsed().entries()
    assert (entry.scheme, entry.source) == ("dir", "runs/seed{seed}/step-{step}")
    assert entry.coords == {"params": 64000}
    assert entry.options == {"revision_note": "kept for the adapter"}
    assert entry.tokens_per_step == 3072


def test_an_entry_may_name_the_tasks_its_models_are_asked() -> None:
    made = parsed(TEXT.replace("params: 64000", "tasks: [addition]"))
    (entry,) = made.entries()
    assert [t.name for t in made.asked(entry, made.tasks())] == ["addition[digits=3]"]
    with pytest.raises(UserError, match="did you mean `addition`"):
        parsed(TEXT.replace("params: 64000", "tasks: [additon]")).tasks()


def test_levels_and_crosses_become_conditions() -> None:
    made = parsed()
    ids = [made.condition_id(c) for c in made.conditions()]
    assert ids[0] == "baseline"
    assert "typos[rate=0.02]" in ids
    assert len(ids) == 1 + 2 + 2 + 4
    assert sum("+" in i for i in ids) == 4


def test_baseline_is_asked_even_when_left_out() -> None:
    made = parsed(TEXT.replace("baseline, ", ""))
    assert made.condition_id(made.conditions()[0]) == "baseline"


def test_identity_is_meaning_not_layout() -> None:
    same = yaml.safe_dump(yaml.safe_load(TEXT), sort_keys=True) + "\n# a comment\nseed: 17\n"
    assert parsed(same).study_id == parsed().study_id
    assert parsed(TEXT + "ask: {batch_tokens: 64}").study_id == parsed().study_id
    assert parsed(TEXT.replace("500", "501")).study_id != parsed().study_id
    assert parsed(TEXT + "analysis: {alpha: 0.01}").study_id != parsed().study_id


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("limit:", "limt:", 13, "did you mean `limit`"),
        ("expect: leap", "expect: leaps", 15, "did you mean `leap`"),
        ("limit: 500", "limit: 0", 13, "greater than or equal to 1"),
        ("limit: 500", "limit: 500\nlimit: 5", 14, "stands twice"),
        ("limit: 500", "ask: {dtype: float33}", 13, "did you mean `float32`"),
        ("study: copying", "study: [copying", 3, "not valid YAML"),
        ("limit: 500", "gates: [G1]", 13, "at most 0 items"),
        ("question: Does", "question: {a: ", 3, "not valid YAML"),
    ],
)
def test_mistakes_name_line_key_and_nearest_word(old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(UserError) as error:
        parsed(TEXT.replace(old, new))
    assert f"copying.yaml:{line}" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tasks: [copying,", "tasks: [copyin,", "did you mean `copying`"),
        ("{typos: [0.02, 0.1]}", "{typpos: [0.02]}", "did you mean `typos`"),
        ("[[shots, typos]]", "[[shots, style]]", "not among the conditions"),
        ("{addition: {digits: 3}}", "copying", "asked for twice"),
        ("{addition: {digits: 3}}", "{a: 1, b: 2}", "one task per entry"),
    ],
)
def test_unknown_parts_are_refused_by_name(old: str, new: str, says: str) -> None:
    made = parsed(TEXT.replace(old, new))
    with pytest.raises(UserError) as error:
        made.tasks()
        made.conditions()
    assert says in str(error.value)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "copying.yaml").write_text(TEXT)
    with pytest.raises(UserError, match="did you mean `copying.yaml`"):
        study.load(tmp_path / "copyin.yaml")


def test_two_hypotheses_cannot_share_an_id() -> None:
    twice = TEXT + "  - {id: H1, task: copying, series: tiny, axis: loss, expect: flat}\n"
    with pytest.raises(UserError, match="`H1` stands twice"):
        parsed(twice)


def test_the_shipped_schema_is_the_documents_own() -> None:
    shipped = json.loads((Path(study.__file__).parents[1] / "schemas" / "study.schema.json").read_text())
    assert shipped == study.json_schema()
    jsonschema.validate(yaml.safe_load(TEXT), shipped)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(TEXT), "limt": 3}, shipped)


def test_locking_keeps_the_promise_and_says_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "copying.yaml"
    path.write_text(TEXT)
    locked = lock.write_lock(study.load(path), path, answers_already=0)
    assert lock.read_lock(path) == locked
    assert lock.deviations(study.load(path), locked) == []
    path.write_text(TEXT.replace("500", "400"))
    (sentence,) = lock.deviations(study.load(path), locked)
    assert sentence.startswith("`limit` was changed")
    assert "500 became 400" in sentence
    with pytest.raises(UserError, match="another version of this study was locked"):
        lock.write_lock(study.load(path), path, answers_already=3)


def test_a_broken_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "copying.yaml"
    lock.lock_path(path).write_text("{")
    with pytest.raises(UserError, match="this is no lock file"):
        lock.read_lock(path)


def test_studies_locked_by_saltus_0_1_keep_their_id() -> None:
    """As that release computed it; analysis numbers that came later count only where they are changed."""
    text = 'study: s\nquestion: q\nmodels: [{series: s, from: "scripted:leap"}]\ntasks: [addition]\n'
    old = "sha256:8b74bc84e30d6ef398bf702db762ee6dabbb58b25f3cdc32430a915b8debca0e"
    assert study.loads(text, base=Path()).study_id == old
    assert study.loads(text + "analysis: {invariant_margin: 0.05}\n", base=Path()).study_id == old
    assert study.loads(text + "analysis: {invariant_margin: 0.1}\n", base=Path()).study_id != old
    changed = study.loads(text + "analysis: {alpha: 0.01}\nlimit: 60\n", base=Path()).study_id
    assert changed == "sha256:135e985eaa3d4a2e02a73040cffe419fd9e9b43c18f8a53683fcccdf66af58c9"
