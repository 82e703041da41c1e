"""The entries in docs/models.md list what they say they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from saltus import plugins
from saltus.curves.guards import GUARDS
from saltus.study.document import load

from helpers.places import ROOT

DOCS = ROOT / "docs"
BLOCKS = re.findall(r"```yaml\n(.*?)```", (DOCS / "models.md").read_text(encoding="utf-8"), re.S)


def touched(folder: Path) -> None:
    for seed in (0, 1):
        for step in (1000, 2000, 3000):
            place = folder / f"runs/seed{seed}/step-{step}"
            place.mkdir(parents=True)
            (place / "config.json").write_text("{}")
    for place in (folder / "runs/tokenizer", folder / "old/step-1"):
        place.mkdir(parents=True)
        (place / "tokenizer.json").write_text("{}")
    (folder / "models").mkdir()
    (folder / "models/step-7.gguf").write_bytes(b"GGUF")


@pytest.mark.parametrize(("block", "points"), list(zip(BLOCKS, (4, 1, 1), strict=True)))
def test_every_entry_of_the_page_is_read(block: str, points: int, tmp_path: Path) -> None:
    touched(tmp_path)
    document = tmp_path / "study.yaml"
    document.write_text(f"study: s\ntasks: [copying]\n{block}")
    study = load(document)
    (entry,) = study.entries()
    refs = plugins.load("models", entry.scheme).series(entry, study.ask, tmp_path)
    assert len(refs) == points
    assert all("step" in ref.coords for ref in refs)


def test_the_guards_of_the_page_are_those_there_are() -> None:
    text = (DOCS / "concepts/guards.md").read_text(encoding="utf-8")
    severity = {guard.name: guard.severity for guard in GUARDS}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.M)
    assert len(rows) >= 12
    assert all(severity[name] == message for name, message in rows)
