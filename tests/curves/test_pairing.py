"""Twins and primary pairs: who goes with whom, and whose wish wins."""

from __future__ import annotations

from typing import Any

import pytest

from saltus.curves.pairing import Curve, Pairing
from saltus.errors import UserError
from saltus.metrics import Metric, lookup


def pairing(
    names: str, *, twins: dict[str, str] | None = None, primary: Any = None, roles: dict[str, str] | None = None
) -> Pairing:
    metrics: dict[str, Metric] = {n: lookup(n) for n in names.split()}
    return Pairing(metrics, roles or {}, twins or {}, primary)


def pairs(names: str, **wishes: Any) -> list[Curve]:
    return pairing(names, **wishes).curves("t", names.split())


def test_every_hard_metric_makes_a_curve_with_one_twin_and_the_first_is_primary() -> None:
    found = pairs("acc acc_norm gold_logprob")
    assert [(c.hard, c.soft, c.primary) for c in found] == [
        ("acc", "gold_logprob", True),
        ("acc_norm", "gold_logprob", False),
    ]


def test_the_order_in_which_metrics_are_named_changes_nothing() -> None:
    assert pairs("gold_logprob acc_norm acc") == pairs("acc acc_norm gold_logprob")


def test_graded_scores_alone_make_one_curve_and_nothing_makes_none() -> None:
    assert pairs("gold_logprob ppl") == [Curve(None, "gold_logprob", True)]
    assert pairs("gold_logprob ppl", primary=("acc", "ppl")) == [Curve(None, "ppl", True)]
    assert pairing("acc").curves("t", []) == []


def test_a_hard_score_without_a_graded_one_stands_alone() -> None:
    assert pairs("acc") == [Curve("acc", None, True)]


def test_the_studys_pair_is_primary_and_comes_first() -> None:
    found = pairs("acc acc_norm gold_logprob ppl", primary=("acc_norm", "ppl"))
    assert found == [Curve("acc_norm", "ppl", True), Curve("acc", "gold_logprob", False)]
    unknown = pairs("acc acc_norm", primary=("f1", None))
    assert [c.hard for c in unknown if c.primary] == ["acc"], "a task without that metric keeps its own"


def test_tasks_may_have_pairs_of_their_own() -> None:
    both = pairing("acc acc_norm", primary={"t": ("acc_norm", None)})
    assert both.curves("t", ["acc", "acc_norm"])[0].hard == "acc_norm"
    assert both.curves("u", ["acc", "acc_norm"])[0].hard == "acc"


def test_a_wished_twin_wins_over_the_studys_pair_and_goes_by_the_short_name_too() -> None:
    names = "acc gold_logprob ppl"
    assert pairs(names, twins={"acc": "ppl"})[0].soft == "ppl"
    assert pairs(names, primary=("acc", "gold_logprob"), twins={"acc": "ppl"})[0].soft == "ppl"
    assert pairs("acc,none ppl,none gold_logprob", twins={"acc": "ppl"})[0].soft == "ppl,none"


def test_the_studys_twin_is_for_its_own_hard_metric_only() -> None:
    found = pairs("acc acc_norm gold_logprob ppl", primary=("acc", "ppl"))
    assert [(c.hard, c.soft) for c in found] == [("acc", "ppl"), ("acc_norm", "gold_logprob")]


def test_a_wished_twin_that_a_task_lacks_gives_way_to_the_usual_one() -> None:
    both = pairing("acc gold_logprob ppl", twins={"acc": "ppl"})
    assert both.curves("t", ["acc", "gold_logprob"])[0].soft == "gold_logprob"


def test_a_role_that_the_table_states_wins() -> None:
    assert pairs("acc acc_norm", roles={"acc_norm": "soft"}) == [Curve("acc", "acc_norm", True)]


@pytest.mark.parametrize("twins", [{"acc": "pll"}, {"akk": "ppl"}])
def test_a_twin_that_nobody_measured_is_refused_with_the_nearest_name(twins: dict[str, str]) -> None:
    with pytest.raises(UserError, match="no metric"):
        pairing("acc ppl", twins=twins)
