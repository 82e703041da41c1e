"""The page: whole, safe, small, readable by both of its readers, and by those who cannot see it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from saltus.errors import UserError
from saltus.page import select
from saltus.page.context import ReportContext
from saltus.page.page import report_html, write_report
from saltus.records import Finding

from helpers import report_examples as examples

VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of script and style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def small() -> str:
    return report_html(examples.small(), examples.context())


def test_nothing_is_loaded_from_anywhere(small: str) -> None:
    page = Page(small)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action"):
            target = attributes.get(name) or "#"
            assert target.startswith(("#", "data:")), (tag, target)
    assert not page.all("link")
    style = re.search(r"<style>(.*?)</style>", small, re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import|https?:", style.group(1))


def test_every_link_in_the_page_leads_somewhere(small: str) -> None:
    page = Page(small)
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids)), "ids are used twice"
    targets = {(a.get("href") or "")[1:] for a in page.all("a") if (a.get("href") or "").startswith("#")}
    targets |= {(a.get("href") or "")[1:] for a in page.all("use")}
    assert targets <= set(ids), targets - set(ids)
    for attributes in (a for _, a in page.elements if a.get("aria-labelledby")):
        assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)


def test_the_reader_who_decides_finds_answer_hypotheses_and_gaps(small: str) -> None:
    text = Page(small).text
    assert "Does copying from context appear abruptly" in text
    assert "copying in induction-2l, along tokens, replicated" in text
    for outcome in ("✓ kept", "✗ refuted", "? undecided"):
        assert outcome in text
    assert "Larger models than d = 64." in text
    assert "nothing was removed or patched" in text


def test_the_reader_who_checks_finds_evidence_flips_provenance_and_caveats(small: str) -> None:
    text = Page(small).text
    for wanted in (
        "Was the outcome foreseen from before the onset?",
        "too few points before the onset",
        "○ not judged",
        "ONE SEED: nothing here is replicated.",
        "at least 2 more points between 1\u202fM and 4\u202fM tokens".replace("\u202f", " "),
        "stale_answers",
        "Items answered differently before and after the onset",
        "k q z b f k q z b f k↵",
        "saltus.checks.presence@0.1.0",
        "out of memory",
        "12 rows: no value (such as line 40)",
        "H2 was read on loss measured every 10 steps",
        "transition becomes sharp",
        "nothing rises above the floor",
        "foreseen −3.9 [−4.20, −3.60], seen −0.41",
        "line through the points before the onset",
    ):
        assert wanted in text, wanted


def test_a_number_of_a_finding_links_to_how_it_was_computed(small: str) -> None:
    assert re.search(r'<a class="sa-n" href="#m-onset">640\u202fk\u00a0tokens</a>', small)
    assert re.search(r'id="m-onset"', small)
    assert re.search(r'<a class="sa-n" href="#m-twin">—</a>', small), "evidence links too"


def test_every_chart_has_words_and_a_table(small: str) -> None:
    charts = re.findall(r'<svg class="chart"[^>]*>(.*?)</svg>', small, re.DOTALL)
    assert len(charts) == len(examples.small()) + 1, "and one of all onsets"
    for chart in charts:
        about = re.search(r"<desc[^>]*>(.*?)</desc>", chart)
        assert about is not None
        assert "along" in about.group(1)
        assert len(about.group(1)) > 80
    assert small.count("The chart’s data as a table") == len(charts)
    assert '<svg class="chart"' in small
    assert small.count('role="img" aria-labelledby=') == len(charts)


def test_what_models_and_users_say_stays_text() -> None:
    findings, context = examples.hostile()
    html = report_html(findings, context)
    page = Page(html)
    assert len(page.all("script")) == 1, "only the page's own"
    assert not page.all("img")
    assert "alert('saltus')" in page.text, "shown, as text"
    assert html.count("</body>") == 1
    assert "\u202e" not in html, "direction marks are spelled out"
    assert "\\u202e" in html
    assert "␣␣two spaces" in html
    assert "⇥\ttab" in html


def test_the_policy_names_the_script_that_is_there(small: str) -> None:
    import base64
    import hashlib

    script = re.search(r"<script>(.*?)</script>", small, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in small


def test_unencodable_text_is_written(tmp_path: Path) -> None:
    findings, context = examples.hostile()
    path = write_report(findings, replace(context, question="lone \ud800"), tmp_path / "a" / "r.html")
    assert "lone \\ud800" in path.read_text(encoding="utf-8")
    assert not list(path.parent.glob("*.partial"))


def test_a_report_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="--out"):
        write_report([], ReportContext(), tmp_path / "file" / "report.html")


def test_no_findings_make_a_page_that_says_so() -> None:
    text = Page(report_html([], ReportContext())).text
    assert "Nothing could be judged" in text
    assert "No hypothesis was registered" in text


def test_a_finding_without_any_number_still_has_its_section() -> None:
    bare = examples.finding(
        verdict="unresolved",
        onset=None,
        onset_low=None,
        onset_high=None,
        rise=examples.UNKNOWN,
        width_hard=examples.UNKNOWN,
        width_soft=examples.UNKNOWN,
        smoothest_admissible_width=examples.UNKNOWN,
        floor=None,
        floor_source="",
        n_items=None,
        dispersion=None,
        minimum_detectable_effect=None,
        p_value=None,
        q_value=None,
        forecast=None,
        false_alarm_rate=None,
        evidence=(),
        onset_other_axes={},
        metric_soft=None,
        verdict_weights={},
        reasons={"curve": "the table has one point", "floor": "nothing to compute it from"},
    )
    text = Page(report_html([bare], ReportContext())).text
    assert "No chart: the table has one point." in text
    assert "nothing to compute it from" in text
    assert "No evidence is stored" in text


@pytest.mark.slow
def test_thousands_of_findings_stay_under_three_megabytes_and_none_is_lost_silently(tmp_path: Path) -> None:
    findings = examples.many(4000)
    path = write_report(findings, examples.context(), tmp_path / "report.html")
    assert path.stat().st_size < select.MOST_BYTES
    html = path.read_text(encoding="utf-8")
    rows = len(re.findall(r'<span class="sa-v ', html))
    assert rows > 1500
    message = re.search(r"([\d,]+) findings without a row here are in findings.jsonl", html)
    assert message is not None
    assert rows + int(message.group(1).replace(",", "")) == 4000
    full = re.search(r"(\d+) of 4,000 findings have a section", html)
    assert full is not None
    assert html.count('<article class="sa-finding"') == int(full.group(1))


def words_of(findings: list[Finding]) -> set[str]:
    return {f.verdict for f in findings}


def test_full_sections_show_every_verdict_but_flat_and_what_a_hypothesis_rests_on() -> None:
    findings = examples.many(400)
    flat = next(f for f in findings if f.verdict == "flat")
    named = frozenset({flat.finding_id})
    chosen = select.in_full(select.ordered(findings, named), named)
    assert len(chosen) == select.MOST_FULL
    assert chosen[0] is flat
    assert words_of(chosen[1:]) == words_of(findings) - {"flat"}
    assert all(f.primary for f in chosen)
