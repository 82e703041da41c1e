"""What metric names mean: roles, ranges, directions, and which pair stands for a task."""

import math

import polars as pl
import pytest

from saltus.metrics import KNOWN, PREFERENCE, base_name, lookup, rank, twin

from helpers.places import SHARED

PUBLISHED = SHARED / "data"


def test_every_known_metric_is_keyed_by_its_name_and_has_a_range():
    for name, metric in KNOWN.items():
        assert metric.name == name
        assert metric.low < metric.high
        assert metric.about
        assert metric.bottom < metric.ceiling
        assert not metric.binomial or (metric.role, metric.low, metric.high) == ("hard", 0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "raw", "oriented"),
    [
        ("ppl", math.e, -1.0),
        ("bits_per_byte", 2.0, -2.0),
        ("acc", 0.3, 0.3),
        ("error_rate(1-EM)", 0.9, 0.1),
        ("brier", 0.25, -0.25),
        ("gold_logprob", -3.0, -3.0),
        ("val_loss_nats_per_token", 2.5, -2.5),
    ],
)
def test_after_the_transform_higher_is_better(name, raw, oriented):
    assert KNOWN[name].oriented(raw) == pytest.approx(oriented)


def test_bounds_after_the_transform():
    assert (KNOWN["ppl"].bottom, KNOWN["ppl"].ceiling) == (-math.inf, 0.0)
    assert (KNOWN["bits_per_byte"].bottom, KNOWN["bits_per_byte"].ceiling) == (-math.inf, 0.0)
    assert (KNOWN["error_rate(1-acc)"].bottom, KNOWN["error_rate(1-acc)"].ceiling) == (0.0, 1.0)
    assert (KNOWN["brier_score"].bottom, KNOWN["brier_score"].ceiling) == (-2.0, 0.0)


def test_filters_of_the_harness_are_no_part_of_the_meaning():
    assert base_name("exact_match,strict-match") == "exact_match"
    assert lookup("exact_match,strict-match").binomial
    assert lookup("exact_match,strict-match").name == "exact_match,strict-match"
    assert not lookup("acc,none").guessed


def test_unknown_names_are_guessed_and_say_so():
    share = lookup("my_score", low=0.1, high=0.9)
    assert (share.role, share.guessed, share.binomial) == ("hard", True, False)
    wide = lookup("my_score", low=-3.0, high=900.0)
    assert (wide.role, wide.transform, wide.guessed) == ("soft", "identity", True)
    assert lookup("my_loss", low=0.0, high=9.0, higher_is_better=False).transform == "negate"
    assert lookup("my_error", low=0.0, high=1.0, higher_is_better=False).transform == "complement"
    assert lookup("token_perplexity_v2", low=3.0, high=1e9).transform == "neg_log"


def test_the_first_by_preference_stands_for_a_task():
    names = ["acc_norm", "acc", "em"]
    assert min((KNOWN[n] for n in names), key=rank).name == "acc"
    assert all(n in KNOWN for role in PREFERENCE.values() for n in role)
    assert all(KNOWN[n].role == role for role, names in PREFERENCE.items() for n in names)


def test_partial_credit_is_a_twin_of_exact_match_and_never_of_accuracy():
    assert twin(KNOWN["acc"], [KNOWN["f1"]]) is None
    assert twin(KNOWN["em"], [KNOWN["f1"]]) is KNOWN["f1"]
    assert twin(KNOWN["acc"], [KNOWN["f1"], KNOWN["ppl"]]) is KNOWN["ppl"]


def test_the_soft_score_of_the_same_scorer_comes_first():
    soft = [KNOWN["gold_logprob"], KNOWN["token_logprob"], KNOWN["edit_similarity"]]
    assert twin(KNOWN["acc"], soft) is KNOWN["gold_logprob"]
    assert twin(KNOWN["acc_norm"], soft) is KNOWN["token_logprob"]
    assert twin(KNOWN["exact_match"], soft) is KNOWN["token_logprob"]
    assert twin(KNOWN["exact_match_stripped"], soft) is KNOWN["edit_similarity"]


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published data lie beside the checkout, not in it")
def test_every_metric_of_the_published_data_is_known():
    names = {
        n for f in PUBLISHED.glob("*/evals.parquet") for n in pl.read_parquet(f, columns=["metric"])["metric"].unique()
    }
    assert {n for n in names if lookup(n).guessed} == {"score"}, "an arena's rating has no known range"
