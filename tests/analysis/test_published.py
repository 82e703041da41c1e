"""Published verdicts on committed extracts, in small; `benchmarks/published_verdicts.py` has them all."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from types import ModuleType
from typing import get_args

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Verdict
from saltus.results.read import read
from saltus.verdict import CLAIMS_LEAP

from helpers.places import ROOT

ROOT = ROOT
DATA = ROOT / "tests" / "data"


def script(name: str) -> ModuleType:
    """A benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


published = script("published_verdicts")
nulls = script("natural_nulls")
ANALYSES = {a["id"]: a for a in published.known()["analyses"]}


def outcomes(name: str, sample: str):
    """Claim id → outcome of one analysis on an extract, for the claims whose rows the extract has."""
    analysis = ANALYSES[name]
    table = published.select(pl.read_parquet(DATA / sample), analysis)
    findings = published.judged(table, analysis["choices"])
    found = {}
    for claim in analysis["claims"]:
        if any(all(re.fullmatch(p, str(getattr(f, c))) for c, p in claim["of"].items()) for f in findings):
            found[claim["id"]] = published.compare(claim, findings)
    return found


@pytest.fixture(scope="module")
def lambada():
    return outcomes("pythia-lambada", "pythia_sample.parquet")


@pytest.fixture(scope="module")
def olmo():
    return outcomes("olmo2-letters", "olmo2_sample.parquet")


# the document


def test_every_claim_is_complete_and_uses_our_words():
    claims = [c for a in ANALYSES.values() for c in a["claims"]]
    assert len({c["id"] for c in claims}) == len(claims) >= 25
    for claim in claims:
        assert {"of", "by", "source", "published", "expect", "because"} <= set(claim)
        assert set(claim["expect"]) <= set(get_args(Verdict)), claim["id"]
        assert claim["by"] in ("P", "D")
        for pattern in claim["of"].values():
            re.compile(pattern)


def test_a_claim_that_matches_nothing_is_an_error_not_a_gap():
    with pytest.raises(ValueError, match="matches no finding"):
        published.about({"id": "x", "of": {"task": "no such task"}}, [])


# the curves


def test_lambada_runs_tell_one_story(lambada):
    outcome = lambada["LAMBADA, 15 runs"]
    assert len(outcome.findings) == 7
    assert outcome.failed == [], "presence, surprise, twin and onsets are the same in all"
    assert len({f.verdict for f in outcome.findings}) == 1
    assert not set(outcome.words) & {"flat", "irregular", "artefact", "defective"}


def test_no_leap_on_subjects_that_were_never_learnt():
    outcome = outcomes("pythia-nulls", "pythia_nulls.parquet")["57 MMLU subjects and LogiQA"]
    assert len(outcome.findings) == 32
    assert not set(outcome.words) & CLAIMS_LEAP
    assert outcome.words["flat"] >= 26


def test_leaps_in_the_noise_of_natural_nulls_are_found():
    rows = read([DATA / "pythia_nulls.parquet"]).table
    batch = assemble(rows, axis="tokens").batch
    rng = np.random.default_rng(5)
    leap = nulls.draw(batch, rng)
    found = judge(nulls.injected(batch, leap, 0.5, rng), Analysis(), np.random.default_rng(5))
    hits = sum(f.verdict in CLAIMS_LEAP for f in found)
    inside, have = nulls.covered(found, leap)
    assert hits >= 0.75 * len(found)
    assert have == len(found)
    assert inside >= 0.9 * have


def test_five_shot_files_that_hold_zero_shot_numbers_are_named_by_a_guard():
    outcome = outcomes("pythia-mislabelled", "pythia_sample.parquet")
    wrong = outcome["five-shot files that hold zero-shot numbers"].findings
    right = outcome["the same tasks, honest shots"].findings
    assert wrong
    assert all("shots" in {g.name for g in f.guards} for f in wrong)
    assert all(f.integrity == "ok" for f in right)


def test_letter_formats_leave_chance_together_and_cloze_does_not_leap(olmo):
    for run in ("7B", "13B"):
        letters = olmo[f"letters, {run}"].findings
        assert len(letters) == 4
        places = [f.onset for f in letters]
        assert max(places) <= 2 * min(places), "within a third of a decade, of two that the series spans"
    assert not set(olmo["cloze"].words) & CLAIMS_LEAP
    assert olmo["two options, letters"].state == "agrees"


@pytest.mark.parametrize(
    ("name", "sample"), [("pythia-lambada", "pythia_sample.parquet"), ("olmo2-letters", "olmo2_sample.parquet")]
)
def test_thinned_grids_do_not_contradict(name, sample):
    analysis = ANALYSES[name]
    table = published.select(pl.read_parquet(DATA / sample), analysis)
    whole = published.judged(table, analysis["choices"])
    counts, broken = published.thinning(analysis, table, whole)
    assert broken == []
    assert counts["same"] >= counts["undecided"]


# what is said


def test_a_disagreement_is_explained_by_the_finding_itself(tmp_path):
    rows = pl.DataFrame(
        {
            "family": "F",
            "model": ["a", "b", "c", "d"],
            "n_params": [1e8, 1e9, 1e10, 1e11],
            "task": "sums",
            "metric": "accuracy",
            "value": [0.0, 0.0, 0.01, 0.9],
        }
    )
    (finding,) = published.judged(rows, {})
    message = published.explain(finding)
    assert finding.verdict == "unresolved"
    assert "4 points cannot settle it" in message
    assert any("n unknown" in s for s in message)
    assert any("twin" in s for s in message)
    assert any("2 more points" in s for s in message)


def test_one_leap_where_none_is_published_is_not_outvoted(lambada):
    claim = {"expect": ["unresolved", "smooth"], "published": "no leap"}
    findings = lambada["LAMBADA, 15 runs"].findings
    leapt = [replace(findings[0], verdict="sharp"), *findings[1:]]
    agree = [f.verdict in claim["expect"] for f in leapt]
    assert published.Outcome(claim, leapt, agree, []).state == "differs"
    assert published.Outcome(claim, leapt[1:], agree[1:], []).state == "agrees"


@pytest.mark.parametrize("module", [published, nulls])
def test_without_the_data_it_says_what_it_needs(module, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "none")])
    assert module.main() == 2
    assert "evals.parquet" in capsys.readouterr().out
