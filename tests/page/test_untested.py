"""What a report admits not to have tested: each gap is named where it is one, once, and not where it is filled."""

from __future__ import annotations

from typing import Any

import pytest

from saltus.page.answer import untested
from saltus.page.context import ReportContext
from saltus.records import Finding

from helpers.report_examples import finding

BARE: dict[str, Any] = {"condition": "baseline", "n_seeds": 1, "axis": "tokens", "localised": None, "scope": "unknown"}
"""A finding that leaves every gap."""
GAPS = {
    "asked in one way": {"condition": "typos[rate=0.1]"},
    "Replication": {"n_seeds": 2},
    "along the loss": {"axis": "loss"},
    "part of the network": {"localised": True},
    "shortcut": {"scope": "general"},
}
"""Words of a gap → what fills it."""
STATED = {
    "asked in one way": "The wording of the questions was not varied.",
    "Replication": "Only one seed was trained.",
    "along the loss": "Nobody measured the loss.",
    "part of the network": "Nothing inside the network was changed.",
    "shortcut": "A shortcut would not have been seen.",
}


def lines(*findings: Finding, stated: tuple[str, ...] = ()) -> list[str]:
    return untested(findings, ReportContext(not_tested=stated))


def named(word: str, message: list[str]) -> int:
    return sum(word in line for line in message)


def test_a_bare_finding_leaves_every_gap_and_what_lies_beyond_its_points() -> None:
    message = lines(finding(**BARE))
    assert all(named(word, message) == 1 for word in GAPS)
    assert "beyond the last point" in message[-1]
    assert len(message) == len(GAPS) + 1


@pytest.mark.parametrize("word", GAPS)
def test_one_finding_that_fills_a_gap_fills_it_and_no_other(word: str) -> None:
    message = lines(finding(**BARE), finding(**(BARE | GAPS[word])))
    assert {w for w in GAPS if named(w, message)} == GAPS.keys() - {word}


@pytest.mark.parametrize("word", GAPS)
def test_a_gap_is_not_filled_by_a_finding_that_is_not_primary(word: str) -> None:
    assert named(word, lines(finding(**BARE), finding(**(BARE | GAPS[word] | {"primary": False})))) == 1


@pytest.mark.parametrize("word", GAPS)
def test_what_the_caller_states_stands_first_and_is_not_said_again(word: str) -> None:
    message = lines(finding(**BARE), stated=(STATED[word],))
    assert message[0] == STATED[word]
    assert named(word, message[1:]) == 0
    assert all(named(other, message[1:]) == 1 for other in GAPS.keys() - {word})


def test_a_finding_that_was_not_localised_was_looked_into_all_the_same() -> None:
    assert named("part of the network", lines(finding(**(BARE | {"localised": False})))) == 0


def test_without_findings_only_what_the_caller_states_is_said() -> None:
    assert lines(stated=("Larger models.",)) == ["Larger models."]
    assert lines(finding(**(BARE | {"primary": False}))) == []
