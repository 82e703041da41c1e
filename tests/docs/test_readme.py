"""The README's session runs as it stands: every command, and every line it prints (`…` stands for anything)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from helpers.places import ROOT

README = ROOT / "README.md"


def session() -> list[tuple[str, str]]:
    """(command, wanted output) pairs of the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    pairs = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, wanted = part.partition("\n")
            pairs.append((command, wanted.strip()))
    return pairs


def matches(wanted: str, got: str) -> bool:
    """Runs of white space count as one; `…` stands for anything."""
    pattern = ".*?".join(re.escape(" ".join(piece.split())) for piece in wanted.split("…"))
    pattern = re.sub(r"(\\ )?\.\*\?(\\ )?", ".*?", pattern)
    return re.fullmatch(pattern, " ".join(got.split()), re.S) is not None


def test_the_session_runs_as_written(tmp_path: Path) -> None:
    pairs = session()
    assert len(pairs) >= 5
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160"}
    for command, wanted in pairs:
        words = shlex.split(command)
        assert words[0] == "saltus"
        program = [sys.executable, "-c", "from saltus.cli.main import main; main()", *words[1:]]
        done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        message = done.stdout + (done.stderr if done.returncode == 2 else "")
        assert matches(wanted, message), f"$ {command}\nwanted:\n{wanted}\ngot:\n{message}\n{done.stderr}"


def test_a_changed_line_would_be_noticed() -> None:
    assert matches("All … answers are … written.", "All 7 answers are as they were written.")
    assert not matches("All … answers are lost.", "All 7 answers are as they were written.")
    assert not matches("Wrote 48 rows", "Wrote 48 rows to table.parquet")


def test_every_link_of_the_docs_leads_somewhere() -> None:
    root = README.parent
    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in (README, root / "AGENTS.md", *root.glob("docs/**/*.md"))
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert not broken
