"""HELM's runs: items, splits, perturbations, what is bookkeeping, and what is missing."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from saltus.errors import UserError
from saltus.results.formats.helm import FORMAT, read
from saltus.results.read import read as read_all

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER / "published" / "helm"


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(DATA, folder)
    return folder


def rewrite(path: Path, change) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value) or value))


def test_items_of_a_published_run_with_their_chance():
    frame, notes = read(DATA / "run_spec.json")
    assert {f.name for f in FORMAT.companions(DATA / "run_spec.json")} == {"per_instance_stats.json", "stats.json"}
    assert set(frame["metric"]) == {"exact_match", "quasi_exact_match"}, "no tokens, no energy"
    test = frame.filter(pl.col("slice").is_null(), metric="exact_match")
    assert test.height == 9
    assert test["value"].mean() == pytest.approx(1 / 9)
    assert frame.filter(slice="split=valid", metric="exact_match").height == 1
    row = test.row(0, named=True)
    assert (row["model"], row["task"], row["n_shot"]) == ("gpt2", "mmlu:subject=philosophy", 5)
    assert (row["nominal_floor"], row["format"], row["truncated"]) == (0.25, "letters", 0.0)
    assert any("valid" in n for n in notes)
    assert not any("in the results and" in n for n in notes), "items and aggregates agree"
    assert not any("fewer" in n for n in notes)


def test_log_probabilities_of_what_the_model_wrote_are_no_twin_but_those_of_given_text_are(run):
    assert "logprob" not in set(read(run / "run_spec.json")[0]["metric"])
    rewrite(run / "run_spec.json", lambda s: s["adapter_spec"].update(method="language_modeling"))
    assert "logprob" in set(read(run / "run_spec.json")[0]["metric"])


def test_without_items_the_statistics_stand_with_their_number_of_instances(run):
    (run / "per_instance_stats.json").unlink()
    frame, notes = read(run / "run_spec.json")
    row = frame.filter(pl.col("slice").is_null(), metric="exact_match").row(0, named=True)
    assert (row["n_items"], row["item_id"]) == (9, None)
    assert row["value"] == pytest.approx(1 / 9)
    assert any("worst" in n for n in notes)


def test_perturbed_items_are_a_condition_that_pairs_with_the_originals(run):
    typo = {"name": "typos", "robustness": True, "fairness": False, "computed_on": "perturbed", "prob": 0.1}

    def perturb(instances):
        again = json.loads(json.dumps(instances))
        for instance in again:
            instance["perturbation"] = typo
            for stat in instance["stats"]:
                stat["name"]["perturbation"] = typo
        original = json.loads(json.dumps(again[0]))
        for stat in original["stats"]:
            stat["name"]["perturbation"] = typo | {"computed_on": "original"}
        original.pop("perturbation")
        return instances + again + [original]

    rewrite(run / "per_instance_stats.json", perturb)
    frame, notes = read(run / "run_spec.json")
    changed = frame.filter(condition="typos[prob=0.1]")
    plain = frame.filter(pl.col("condition").is_null(), pl.col("item_id").is_not_null())
    assert changed.height == plain.height
    assert set(changed["item_id"]) == set(plain["item_id"]) == set(changed["parent_id"])
    assert any("originals" in n for n in notes)


def test_fewer_examples_than_the_run_asked_for_are_said(run):
    def drop(instances):
        for instance in instances[:3]:
            for stat in instance["stats"]:
                if stat["name"]["name"] == "num_train_instances":
                    stat["sum"] = 2

    rewrite(run / "per_instance_stats.json", drop)
    notes = read(run / "run_spec.json")[1]
    assert any("3 of 10 items were asked with fewer than 5 examples" in n for n in notes)


def test_a_run_is_read_from_its_folder_or_from_its_statistics(run):
    rewrite(run / "run_spec.json", lambda s: s["adapter_spec"].update(model="eleutherai/pythia-1b-v0"))
    by_folder = read_all([run])
    assert by_folder.table["params"].unique().to_list() == [1e9]
    assert {i.format for i in by_folder.inputs} == {"HELM run", "HELM statistics"}
    assert read_all([run / "per_instance_stats.json"]).table.equals(by_folder.table)


def test_a_model_without_a_size_is_said_to_have_no_place(run):
    with pytest.raises(UserError, match="no model has a place on any axis"):
        read_all([run])


def test_statistics_alone_are_refused_with_what_is_wanted(run):
    (run / "run_spec.json").unlink()
    with pytest.raises(UserError, match="HELM statistics") as caught:
        read_all([run / "stats.json"])
    assert "run_spec.json" in caught.value.wanted


def test_missing_fields_and_truncated_files_name_the_file(run):
    rewrite(run / "per_instance_stats.json", lambda p: [{**p[0], "stats": [{"name": {"name": "x"}}]}])
    with pytest.raises(UserError, match=r"HELM run: KeyError"):
        read(run / "run_spec.json")
    (run / "stats.json").write_text((DATA / "stats.json").read_text()[:300])
    (run / "per_instance_stats.json").unlink()
    with pytest.raises(UserError, match=r"stats\.json: broken JSON"):
        read(run / "run_spec.json")
    rewrite(run / "run_spec.json", lambda s: s["adapter_spec"].pop("model") and None)
    with pytest.raises(UserError, match="names no model"):
        read(run / "run_spec.json")
