"""A study goes out as Every Eval Ever records and comes in again with the same numbers."""

import json
from pathlib import Path

import jsonschema
import polars as pl
import pytest

from saltus.errors import UserError
from saltus.export.every_eval_ever import export_every_eval_ever
from saltus.results.formats.every_eval_ever_record import Provenance
from saltus.results.read import read
from saltus.runner.open import load_with_store, run_study

from helpers.places import DATA_FOLDER

SCHEMAS = DATA_FOLDER / "published" / "every_eval_ever"
BY = Provenance(organization="a lab", developer="us", retrieved=1)
STUDY = """
study: small
question: Does the scripted behaviour leap?
models:
  - {series: s, from: "scripted:leap", points: 3, seeds: 2}
tasks: [{addition: {digits: 1}}]
limit: 8
"""


@pytest.fixture
def document(tmp_path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def test_a_study_goes_out_and_comes_in_again(document, tmp_path):
    run_study(document)
    done = export_every_eval_ever(document, tmp_path / "out", BY, items=True)
    aggregate, instance = (
        jsonschema.Draft7Validator(json.loads((SCHEMAS / f"{n}.schema.json").read_text()))
        for n in ("eval", "instance_level_eval")
    )
    for file in done.files:
        if file.suffix == ".json":
            aggregate.validate(json.loads(file.read_text()))
        else:
            for line in file.read_text().splitlines():
                instance.validate(json.loads(line))
    records = [json.loads(f.read_text()) for f in done.files if f.suffix == ".json"]
    origins = [r["source_data"]["additional_details"] for record in records for r in record["evaluation_results"]]
    assert {(o["source"], o["licence"]) for o in origins} == {("saltus.tasks.addition@1", "Apache-2.0")}
    study, store = load_with_store(document)
    ours = store.table(study).collect().drop_nulls("value")
    at = ["tokens", "seed", "metric", "condition", "repeat", "n_shot", "skill", "floor"]
    theirs = read([tmp_path / "out"]).table.drop_nulls("value")
    theirs = theirs.group_by(at).agg(again=pl.col("value").mean(), n=pl.len())
    both = ours.join(theirs, on=at, nulls_equal=True)
    assert both.height == ours.height == done.results
    assert both["again"].to_list() == pytest.approx(both["value"].to_list())
    assert set(both["n"]) == {8}


def test_a_study_that_never_ran_is_a_message(document, tmp_path):
    with pytest.raises(UserError, match="store|never"):
        export_every_eval_ever(document, tmp_path / "out", BY)
