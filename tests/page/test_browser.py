"""The page in a browser: axe-core finds no serious fault, light and dark; the index works; no answer runs."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from saltus.page.page import report_html

from helpers import report_examples as examples
from helpers.places import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), "")
ROOT = ROOT
AXE = Path(os.environ.get("SALTUS_AXE", ROOT / "node_modules/axe-core/axe.min.js"))
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="no chromium or chrome on this machine")]


def in_browser(page: str, script: str, folder: Path, *flags: str) -> Any:
    """What `script` (an expression, or a promise of one) gives on the loaded page."""
    given = f"""Promise.resolve({script}).then((value) => {{
        const out = document.createElement("pre");
        out.id = "result"; out.textContent = JSON.stringify(value); document.body.append(out); }})"""
    file = folder / "page.html"
    page = POLICY.sub("", page).replace("</body>", f"<script>{given}</script></body>")
    file.write_bytes(page.encode("utf-8", "backslashreplace"))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'user'}",
        "--virtual-time-budget=30000",
        *flags,
        "--dump-dom",
        file.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, dom[-2000:]
    return json.loads(html.unescape(found.group(1)))


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install")
@pytest.mark.parametrize("flags", [(), (DARK,), ("--window-size=400,800",)])
def test_axe_finds_no_serious_fault(flags: tuple[str, ...], tmp_path: Path) -> None:
    page = report_html(examples.small(), examples.context())
    page = page.replace("</body>", f"<script>{AXE.read_text(encoding='utf-8')}</script></body>")
    run = """axe.run(document, {resultTypes: ["violations"]})
        .then((r) => r.violations.map((v) => [v.id, v.impact, v.nodes[0].html]))"""
    faults = in_browser(page, run, tmp_path, *flags)
    assert [f for f in faults if f[1] in ("serious", "critical")] == []


def test_the_index_sorts_filters_and_nothing_breaks(tmp_path: Path) -> None:
    page = report_html(examples.many(60), examples.context())
    script = """(() => {
        const faults = []; addEventListener("error", (e) => faults.push(e.message));
        const body = document.querySelector("#sa-index tbody");
        const column = (n) => [...body.rows].filter((r) => !r.hidden).map((r) => r.cells[n].textContent.trim());
        const heads = [...document.querySelectorAll("#sa-index thead th")];
        heads[7].querySelector("button").click();
        const onsets = column(7);
        heads[7].querySelector("button").click();
        const down = heads[7].getAttribute("aria-sort");
        const toggle = [...document.querySelectorAll(".sa-filter button")].find((b) => b.textContent === "flat");
        toggle.click();
        const words = [...new Set(column(1))];
        const input = document.querySelector(".sa-filter input");
        input.value = "pythia/70m"; input.dispatchEvent(new Event("input"));
        const series = [...new Set(column(3))];
        return {faults, onsets, down, words, series, pressed: toggle.getAttribute("aria-pressed"),
                status: document.querySelector(".sa-filter [role=status]").textContent};
    })()"""
    seen = in_browser(page, script, tmp_path)
    assert seen["faults"] == []
    assert seen["onsets"][0].startswith("10")
    assert seen["onsets"][-1] == "—", "missing ones last"
    assert seen["down"] == "descending"
    assert "flat" not in seen["words"]
    assert seen["pressed"] == "false"
    assert seen["series"] == ["pythia/70m"]
    assert re.fullmatch(r"\d+ of 60 shown", seen["status"])


def test_a_script_in_an_answer_does_not_run(tmp_path: Path) -> None:
    findings, context = examples.hostile()
    page = report_html(findings, context).replace("alert(", "document.title=String(")
    assert "saltus" in in_browser(page, "document.title", tmp_path)
    assert in_browser(page, "document.querySelectorAll('main img, main script').length", tmp_path) == 0
