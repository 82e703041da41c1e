"""The demonstration, whole, from a built wheel outside the source tree: trained networks in, hypotheses kept out.

Trains four series (minutes of one core each), so it is the longest test here. The second run finds everything known.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.built import saltus


@pytest.mark.slow
@pytest.mark.xdist_group("zoo")
def test_the_demonstration_keeps_its_hypotheses(installed: Path, tmp_path: Path) -> None:
    done = saltus(installed, tmp_path, "demo", "--json")
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    outcomes = {h["id"]: (h["outcome"], h["why"]) for h in message["hypotheses"]}
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == dict.fromkeys(
        ("H1", "H2", "H3", "H4", "H5"), "kept"
    ), outcomes
    page = tmp_path / "saltus-demo" / "report.html"
    assert 50_000 < page.stat().st_size < 3_000_000
    again = json.loads(saltus(installed, tmp_path, "demo", "--json").stdout)
    assert again["asked"] == 0
    assert [f["verdict"] for f in again["findings"]] == [f["verdict"] for f in message["findings"]]
