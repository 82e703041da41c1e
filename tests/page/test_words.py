"""Numbers and sentences: sensible digits, grammar that holds for one and many, nothing said twice."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from saltus.page import numbers as num
from saltus.page.answer import answer, untested
from saltus.page.context import ReportContext
from saltus.page.glossary import TERMS, anchor, glossary
from saltus.page.index import conditions, maps, natural, notes
from saltus.page.notebook import finding_html, findings_html
from saltus.page.terminal import terminal_table
from saltus.page.text import name, safe, visible
from saltus.page.words import WORDS, described, listed
from saltus.records import Quantity

from helpers import report_examples as examples


@pytest.mark.parametrize(
    ("value", "axis", "message"),
    [
        (2_300_000, "tokens", "2.3 M tokens"),
        (300e9, "tokens", "300 B tokens"),
        (999_999, "tokens", "1 M tokens"),
        (152, "step", "152 steps"),
        (0, "tokens", "0 tokens"),
        (3.14e21, "flops", "3.1 × 10²¹ FLOP"),
        (9.99e21, "flops", "10²² FLOP"),
        (2.3149, "loss", "2.31 nats"),
        (2023.48, "date", "2023.5"),
        (None, "tokens", "—"),
    ],
)
def test_axis_values(value: float | None, axis: str, message: str) -> None:
    given = num.on_axis(value, axis, unit=True)
    assert given.replace(num.NARROW, " ").replace(num.NBSP, " ") == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.8123, "0.812"),
        (-3.9, "−3.90"),
        (0, "0"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (None, "—"),
        (float("nan"), "—"),
        (0.00001, "10⁻⁵"),
        (0.0999, "0.0999"),
    ],
)
def test_plain_numbers(value: float | None, message: str) -> None:
    assert num.plain(value) == message


def test_small_probabilities_are_bounds() -> None:
    assert num.chance(0.0004) == f"<{num.NARROW}0.001"
    assert num.chance(0.034) == "0.034"
    assert num.percent(0.004) == f"<{num.NARROW}1{num.NARROW}%"


def test_an_interval_says_which_end_is_unknown() -> None:
    assert num.interval(0.1, None) == "[0.10, unknown]"
    assert num.interval(0.0859, 0.1421) == "[0.086, 0.142]", "as its width asks"
    assert num.interval(-4.231, -4.071) == "[−4.23, −4.07]"
    assert num.interval(3.0, 3.0) == "[3.0, 3.0]"
    assert num.interval(float("-inf"), 0.2) == "[—, 0.20]"
    assert num.quantity(Quantity(value=None, why="x")) == num.MISSING
    close = num.span(1.01e6, 1.02e6, "tokens").replace(num.NARROW, " ")
    assert close == "1.01 M – 1.02 M", "more digits where two ends would read alike"


def test_white_space_that_decides_an_exact_match_is_seen() -> None:
    assert visible(" 12 \n 3") == "␣12␣↵\n␣3"
    assert visible("a  b\t") == "a ␣b⇥\t"
    assert visible("") == "(empty)"
    long = visible("x" * 5000)
    assert "3,400 characters left out" in long
    assert len(long) < 1700


def test_control_and_direction_characters_are_spelled_out() -> None:
    assert safe("a\x1b[31m\u202eb\ud800") == "a\\x1b[31m\\u202eb\\ud800"
    assert name("two\nlines   of it") == "two lines of it"


def test_the_answer_is_three_sentences_about_what_was_found() -> None:
    message = answer(examples.small(), examples.context())
    assert len(message) == 3
    assert message[0].startswith("2 of the 10 curves judged leap (")
    assert "1 only seems to leap, because of its metric (addition[digits=3] in addition" in message[0]
    assert message[1] == (
        "Of the 4 hypotheses registered in advance, 2 are kept (H1, H2), 1 is refuted (H3) and 1 is undecided (H4)."
    )
    assert "about 1\u202f% of curves like these" in message[2]
    assert "asked in other ways, 1 of 1 curves get another verdict" in message[2]


def test_the_answer_for_one_none_and_many() -> None:
    rng = np.random.default_rng(5)
    assert answer([examples.one_layer(rng)], ReportContext())[0] == (
        "The one curve judged stays where no skill scores: copying in induction-1l, along tokens."
    )
    flats = [replace(examples.one_layer(rng), finding_id=str(i)) for i in range(3)]
    assert answer(flats, ReportContext())[0].startswith("None of the 3 curves judged leaps: 3 stay")
    many = answer(examples.many(100), ReportContext())[0]
    assert "none of them replicated" in many


def test_a_gap_that_the_caller_states_is_not_stated_again() -> None:
    findings = examples.many(20)
    alone = untested(findings, ReportContext())
    assert any("Replication" in line for line in alone)
    stated = untested(findings, ReportContext(not_tested=("Only one seed was trained.",)))
    assert not any("Replication" in line for line in stated)
    assert stated[0] == "Only one seed was trained."


def test_the_text_alternative_holds_the_numbers() -> None:
    given = described(examples.copying(np.random.default_rng(5)))
    given = given.replace(num.NARROW, " ").replace(num.NBSP, " ")
    assert "copying in induction-2l, along tokens" in given
    assert "half of it by 640 k tokens (between 467 k and 860 k)" in given
    assert "token_logprob jumps as the hard one does" in given
    loss = described(examples.copying_on_loss(np.random.default_rng(5)))
    assert "There is no soft score: the loss table holds accuracies only." in loss


def test_lists_in_words() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b, c"], "; ") == "a; and b, c"


def test_every_evidence_has_an_entry_and_strangers_explain_themselves() -> None:
    own = examples.finding(
        evidence=(*examples.EVIDENCE, examples.evidence("my check", "Is it mine?", 1.0, True, "it is"))
    )
    entries = {f"m-{t.key}": t for t in glossary([own])}
    for e in own.evidence:
        assert anchor(e.name) in entries
        assert e.code in entries[anchor(e.name)].code
    assert entries[anchor("my check")].how == "Is it mine?"
    assert anchor("width hard") == anchor("width_hard") == "m-width"
    assert set(TERMS) >= {"onset", "width", "floor", "p", "q", "twin"}


def test_models_sort_as_people_count() -> None:
    sizes = ["pythia/1b", "pythia/70m", "pythia/6.9b", "pythia/160m", "gpt"]
    assert sorted(sizes, key=natural) == ["gpt", "pythia/70m", "pythia/160m", "pythia/1b", "pythia/6.9b"]


def test_the_map_holds_primary_baseline_findings_only() -> None:
    (tokens,) = maps(examples.small(), {})
    cells = [cell for row in tokens["rows"] for cell in row["cells"] if cell]
    assert tokens["axis"] == "tokens"
    assert len(cells) == 9
    assert maps(examples.small()[:2], {}) == [], "too little to compare"


def test_conditions_stand_against_their_baseline() -> None:
    lines = conditions(examples.small())
    assert [line["condition"] for line in lines] == ["baseline", "typos[rate=0.1]"]
    assert lines[1]["against"] == ("transition becomes sharp; onset at 1.4 times the baseline’s, within the intervals")


def test_notes_are_the_commonest_caveats() -> None:
    findings = [examples.finding(caveats=("often", f"rare {i}")) for i in range(100)]
    kept, numbered, left = notes(findings)
    assert kept[0] == "often"
    assert numbered["often"] == 1
    assert len(kept) + left == 101


def test_the_terminal_table_has_a_line_each_and_notes() -> None:
    console = Console(width=140, record=True, file=StringIO())
    console.print(terminal_table(examples.small()))
    text = console.export_text().replace(num.NARROW, " ")
    assert "640 k [467 k – 860 k]" in text
    assert "≈ artefact" in text
    assert "1  ONE SEED" in text or "2  ONE SEED" in text or "3  ONE SEED" in text
    assert "11 findings: 1 transition, 2 sharp" in text


def test_a_markup_like_name_does_not_style_the_terminal() -> None:
    console = Console(width=140, record=True, file=StringIO())
    console.print(terminal_table([examples.finding(task="[red]addition[/red]")]))
    assert "[red]" in console.export_text()


def test_findings_show_themselves_in_a_notebook() -> None:
    one = finding_html(examples.small()[0])
    assert one.count('<svg class="chart"') == 1
    assert 'href="#m-' not in one, "no links to a glossary that is not there"
    assert examples.small()[0]._repr_html_() == one
    several = findings_html(examples.many(250))
    assert "50 more findings are not shown" in several


def test_every_verdict_has_words() -> None:
    from typing import get_args

    from saltus.records import Verdict

    assert set(WORDS) == set(get_args(Verdict))
    assert len({word.symbol for word in WORDS.values()}) == len(WORDS)


def test_every_module_the_glossary_names_is_there() -> None:
    from importlib.util import find_spec

    missing = [term.module for term in TERMS.values() if term.module and not find_spec(term.module)]
    assert missing == []
