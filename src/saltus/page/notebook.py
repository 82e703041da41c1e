"""Findings in a notebook: the section of the page, by itself, with its own style and nothing to load."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from markupsafe import Markup

from saltus.page.index import row
from saltus.page.page import environment, style, trusted
from saltus.page.select import ordered
from saltus.page.views import view_of
from saltus.records import Finding

MOST_ROWS = 200


def finding_html(finding: Finding) -> str:
    """One finding in full: verdict, chart, numbers, evidence, data."""
    key = "sa" + hashlib.sha256(finding.finding_id.encode("utf-8", "replace")).hexdigest()[:10]
    template = environment().get_template("notebook.html.jinja")
    return template.render(css=style(), view=trusted(view_of(finding, key)), rows=None, left=0)


def findings_html(findings: Sequence[Finding]) -> str:
    """Many findings as one table with small curves."""
    shown = ordered(findings)[:MOST_ROWS]
    rows = [line | {"spark": Markup(line["spark"])} for line in (row(f, {}, {}) for f in shown)]
    template = environment().get_template("notebook.html.jinja")
    return template.render(css=style(), view=None, rows=rows, left=len(findings) - len(shown))
