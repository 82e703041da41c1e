"""The report: findings and their context as one self-contained HTML file, readable without a network or a script.

A content-security policy lets only the page's own small script run, whatever a model or a user wrote. Known
limit: sizes are budgets in characters of the parts (see `select.py`); a study document or a list of models is
cut where it alone would break the three megabytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from saltus._version import __version__
from saltus.errors import UserError
from saltus.page import index, select, words
from saltus.page.answer import answer, untested
from saltus.page.context import ReportContext, asked_of, flips_of
from saltus.page.glossary import glossary
from saltus.page.onsets import onsets
from saltus.page.provenance import provenance
from saltus.page.text import name, prose, safe, without_home
from saltus.page.views import view_of
from saltus.records import Finding

_HERE = Path(__file__).parent
SPECS_UP_TO = 12
"""Charts carry their Vega-Lite specification in reports of at most so many full sections."""
OPEN_UP_TO = 12
"""Evidence stands open in reports of at most so many full sections."""

Line = dict[str, Any]


def write_report(findings: Sequence[Finding], context: ReportContext, path: Path) -> Path:
    """Write the page to `path` (its folder is made), whole or not at all; returns the path.

    Raises UserError where the file cannot be written.
    """
    html = without_home(report_html(findings, context)).encode("utf-8", "backslashreplace")
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(html)
        os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"the report cannot be written: {error.strerror or error}",
            where=str(path),
            wanted="a folder that can be written to, with room for a few megabytes",
            do="give another place with --out, or free space there",
        ) from error
    return path


def report_html(findings: Sequence[Finding], context: ReportContext) -> str:
    """The page as text. The index is filled last, with what the rest leaves of the bytes."""
    script = Markup((_HERE / "report.js").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    fixed = {"css": style(), "script": script, "script_hash": Markup(f"sha256-{digest}"), "version": __version__}
    template = environment().get_template("report.html.jinja")
    page, ordered, slugs, numbered = _page(findings, context)
    room = select.MOST_BYTES - select.SPARE_BYTES - _size(template.render(page=page, **fixed))
    rows = _rows(ordered, slugs, numbered, room)
    rule = select.rule(len(slugs), len(rows), len(findings), safe(context.findings_file))
    return template.render(page=page | {"rows": rows, "rule": rule}, **fixed)


@cache
def style() -> Markup:
    """The style sheet, its line breaks and indentation left out."""
    text = (_HERE / "report.css").read_text(encoding="utf-8")
    return Markup("\n".join(line.strip() for line in text.splitlines()))


@cache
def environment() -> Environment:
    """Templates of this folder; everything is escaped, an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["prose"] = prose
    return made


def _page(
    findings: Sequence[Finding], context: ReportContext
) -> tuple[Line, list[Finding], dict[str, str], dict[str, int]]:
    """Everything but the index; with the order, the sections' ids and the notes' numbers that the index needs."""
    named = frozenset(h.finding_id for h in context.hypotheses if h.finding_id)
    ordered = select.ordered(findings, named)
    sections, slugs = _sections(ordered, named, context)
    kept, numbered, left = index.notes(findings)
    page = {
        "title": name(context.title or "Did it emerge?"),
        "question": safe(context.question),
        "created": safe(context.created),
        "answer": [safe(line) for line in answer(findings, context)],
        "locked": safe(context.locked or ""),
        "hypotheses": [_hypothesis(h, slugs) for h in context.hypotheses],
        "deviations": [safe(line) for line in context.deviations],
        "untested": [safe(line) for line in untested(findings, context)],
        "legend": index.legend(findings),
        "maps": index.maps(findings, slugs),
        "onsets": [trusted(figure) for figure in onsets(ordered, slugs)],
        "rule": "",
        "rows": [],
        "notes": [safe(note) for note in kept],
        "notes_left": index.left_over(left, context.findings_file),
        "sections": sections,
        "conditions": index.conditions(findings),
        "robustness": [_robustness(r) for r in context.robustness[: index.MOST_CONDITIONS]],
        "provenance": provenance(findings, context),
        "glossary": glossary(findings),
        "footer": f"Made by saltus {__version__}. This page needs no network and loads nothing.",
    }
    return page, ordered, slugs, numbered


def _sections(
    ordered: Sequence[Finding], named: frozenset[str], context: ReportContext
) -> tuple[list[Markup], dict[str, str]]:
    """The full sections that fit the budget, and the id of each by finding."""
    wanting = select.in_full(ordered, named)
    small = len(wanting)
    macro = environment().get_template("finding.html.jinja").module.section  # type: ignore[attr-defined]
    sections: list[Markup] = []
    slugs: dict[str, str] = {}
    used = 0
    for i, finding in enumerate(wanting, 1):
        slug = f"f{i}"
        view = view_of(
            finding,
            slug,
            flips_of(context.flips, finding),
            asked_of(context.asked, finding),
            with_spec=small <= SPECS_UP_TO,
            findings_file=context.findings_file,
        )
        html = macro(trusted(view), True, small <= OPEN_UP_TO)
        used += _size(html)
        if used > select.FULL_BYTES:
            break
        sections.append(html)
        slugs[finding.finding_id] = slug
    return sections, slugs


def trusted(view: Line) -> Line:
    """The view with what saltus drew itself marked as markup; everything else stays to be escaped."""
    return view | {"chart": Markup(view["chart"])}


def _rows(ordered: Sequence[Finding], slugs: dict[str, str], numbered: dict[str, int], room: int) -> list[Markup]:
    """Index rows in order, while they fit."""
    macro = environment().get_template("finding.html.jinja").module.row  # type: ignore[attr-defined]
    rows: list[Markup] = []
    for finding in ordered:
        line = index.row(finding, slugs, numbered)
        html = macro(line | {"spark": Markup(line["spark"])})
        room -= _size(html)
        if room < 0:
            break
        rows.append(html)
    return rows


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _hypothesis(hypothesis: Any, slugs: dict[str, str]) -> Line:
    symbol, word = words.OUTCOMES[hypothesis.outcome]
    return {
        "id": name(hypothesis.id),
        "symbol": symbol,
        "outcome": word,
        "statement": safe(hypothesis.statement),
        "why": safe(hypothesis.why).rstrip(".") + ".",
        "slug": slugs.get(hypothesis.finding_id or ""),
    }


def _robustness(r: Any) -> Line:
    return {
        "task": name(r.task),
        "series": name(r.series),
        "condition": name(r.condition),
        "model": name(r.model),
        "metric": name(r.metric),
        "baseline": index.num.tidy(r.baseline),
        "changed": index.num.tidy(r.changed),
        "difference": index.num.quantity(r.difference),
        "pairs": index.num.MISSING if r.pairs is None else f"{r.pairs:,}",
        "passed": r.passed,
        "why": safe(r.why),
    }
