"""What a study did not vary is what nobody declared to vary, whatever the conditions are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from saltus.analysis import provenance
from saltus.conditions.base import VARIES
from saltus.conditions.baseline import Baseline
from saltus.conditions.context import LongerContext
from saltus.conditions.style import Style
from saltus.conditions.typos import Typos

from helpers.small_study import Shout, SmallStudy


@dataclass(frozen=True)
class Plugged(Shout):
    """A stranger's condition, named after nothing that it does."""

    kind: str = "zz9"
    varies: frozenset[str] = frozenset()


def message(*conditions: Any, repeats: int = 1) -> str:
    """conditions: one, or several one after the other, beside the baseline."""
    crosses = ((Baseline(),), *(c if isinstance(c, tuple) else (c,) for c in conditions))
    study: Any = SmallStudy(condition_list=crosses, repeats=repeats)
    return " ".join(provenance._not_tested(study)).lower()


def missing(text: str) -> set[str]:
    return {word for word in VARIES if word in text}


def test_with_the_baseline_alone_everything_that_can_be_varied_is_named() -> None:
    assert missing(message()) == VARIES


@pytest.mark.parametrize("word", sorted(VARIES))
def test_what_a_strangers_condition_declares_to_vary_was_varied(word: str) -> None:
    assert missing(message(Plugged(varies=frozenset({word})))) == VARIES - {word}


def test_conditions_together_vary_what_each_of_them_does() -> None:
    one, two = Plugged(varies=frozenset({"wording", "order"})), Plugged(varies=frozenset({"language"}))
    assert missing(message(one, two)) == VARIES - {"wording", "order", "language"}
    assert missing(message((one, two))) == VARIES - {"wording", "order", "language"}, "one after the other"


def test_our_own_conditions_declare_what_they_change() -> None:
    assert "wording" not in missing(message(Typos(level=0.1)))
    assert "context" not in missing(message(LongerContext(level=1.25)))
    assert missing(message(Style(level="plain"))) < VARIES


def test_a_condition_that_declares_nothing_fills_no_gap() -> None:
    assert missing(message(Plugged())) == VARIES


def test_everything_varied_leaves_nothing_of_it_to_name() -> None:
    assert missing(message(Plugged(varies=VARIES))) == set()


def test_what_was_asked_once_was_not_asked_again() -> None:
    assert "once" in message()
    assert "once" not in message(repeats=3)
