"""docs/lm-eval.md: what it says is typed, and does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from saltus.cli import main as cli
from saltus.models.local.tiny import checkpoint
from saltus.study.document import loads

from helpers.harness_tasks import offline
from helpers.places import ROOT

TEXT = (ROOT / "docs" / "lm-eval.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The only block of that language with these words in it."""
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", TEXT, re.S) if holding in b]
    assert len(found) == 1
    return str(found[0])


def test_the_page_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "ours.yaml").write_text(block("yaml", "task: ours"))
    (tmp_path / "harness" / "items.jsonl").write_text(block("json", "Snow"))
    checkpoint(tmp_path / "runs" / "step-0", "llama")
    commands = [c for c in re.findall(r"`(saltus [^`]*)`", TEXT) if "lm_eval:ours" in c]
    assert len(commands) == 2
    with offline(tmp_path / "cache"):
        for command in commands:
            monkeypatch.setattr("sys.argv", shlex.split(command))
            with pytest.raises(SystemExit) as stop:
                cli.main()
            assert not stop.value.code, capsys.readouterr().err
        capsys.readouterr()
        exec(block("python", "SaltusLM"), {})
        assert 0 <= float(capsys.readouterr().out.split()[-1]) <= 1
        tasks = [line for line in block("yaml", "lambada").splitlines() if "ours" in line]
        study = loads("\n".join(["study: s", "models: [{from: 'dir:runs'}]", "tasks:", *tasks]), base=tmp_path)
        assert [t.name for t in study.tasks()] == ["lm_eval:ours"]


def test_every_option_is_explained() -> None:
    from saltus.tasks.lm_eval.task import OPTIONS

    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M)) >= set(OPTIONS)
