"""Own questions on the command line: options, what the first run shows, and folders that hold something else."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from saltus.cli import main as cli
from saltus.models.local.tiny import checkpoint

Run = Callable[..., tuple[int, str, str]]
SOURCE = "dir:out/checkpoint-{step}"
ROWS = (
    {"question": "the man  lives in", "options": ["a <b>house</b>", "the river"], "answer": 0},
    {"question": "the fox jumps over", "options": ["the dog", "the river"], "answer": "A"},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("own")
    for step in (1, 10, 100, 1000):
        checkpoint(base / f"out/checkpoint-{step}", "gpt2", seed=step)
    return base


@pytest.fixture
def saltus(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").symlink_to(trained / "out")
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["saltus", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def test_the_first_run_shows_one_prompt_and_what_was_mapped(saltus: Run, tmp_path: Path) -> None:
    code, _, err = saltus("run", SOURCE, "-t", "jsonl:items.jsonl", "--set", "style=short")
    assert code == 0
    assert "jsonl:items.jsonl[style=short]: `options` is read as `choices`" in err
    assert "prompt  Q:·the·man··lives·in⏎\n          A:\n" in err
    assert "picked" in err
    assert "choices ·a·<b>house</b>·|··the·river" in err
    _, _, err = saltus("run", "dir-out-checkpoint-step.yaml")
    assert "prompt" not in err, "only the first run does"
    page = (tmp_path / "dir-out-checkpoint-step.saltus" / "report.html").read_text()
    assert "Items as asked, at the last point (2)" in page
    assert "a &lt;b&gt;house&lt;/b&gt;" in page
    assert "<b>house" not in page
    assert "style short (" in page
    code, out, err = saltus("run", SOURCE, "-t", "jsonl:items.jsonl", "--json")
    assert "study" in json.loads(out) or "findings" in json.loads(out)
    assert err == ""


def test_a_flat_finding_says_how_it_was_asked(saltus: Run, tmp_path: Path) -> None:
    rows = [{"kind": "generate", "question": f"{i}+1=", "answer": str(i + 1)} for i in range(60)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--set", "max_tokens=2")
    saltus("run", "scripted:flat", "-t", "jsonl:sums.jsonl", *options)
    saltus(
        "run", "scripted:flat", "-t", "jsonl:sums.jsonl", *options, "--set", "style=plain", "--set", "target_delimiter="
    )
    text = (tmp_path / "scripted-flat.saltus" / "findings.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    caveats = {f["task"]: f["caveats"] for f in found if f["verdict"] == "flat"}
    assert caveats, [(f["task"], f["verdict"]) for f in found]
    for task, stated in caveats.items():
        mine, other = ("plain", "qa") if "plain" in task else ("qa", "plain")
        assert stated[0].startswith(f"asked in the style {mine} (")
        assert f"also tried: style {other} (" in stated[0]


def test_findings_of_another_study_are_not_written_over(saltus: Run, tmp_path: Path) -> None:
    saltus("run", SOURCE, "-t", "jsonl:items.jsonl")
    for _ in range(2):
        code, _, _ = saltus("analyze", "dir-out-checkpoint-step.yaml", "--out", "found")
        assert code == 0, "the same study again"
    before = (tmp_path / "found" / "findings.jsonl").read_bytes()
    table = "model,step,task,metric,value\n" + "".join(f"m,{10**k},t,acc,{k / 9}\n" for k in range(1, 8))
    (tmp_path / "scores.csv").write_text(table)
    code, _, err = saltus("analyze", "scores.csv", "--out", "found")
    assert code == 2
    assert "holds other findings" in err
    assert (tmp_path / "found" / "findings.jsonl").read_bytes() == before
    typed = shlex.split(err.partition("do:")[2].strip())
    assert typed == ["saltus", "analyze", "scores.csv", "--out", "found-2"]
    assert saltus(*typed[1:])[0] == 0
    assert saltus(*typed[1:])[0] == 0, "the same results again"
    code, _, err = saltus("analyze", "dir-out-checkpoint-step.yaml", "--out=found-2")
    assert (code, "--out found-2-2" in err) == (2, True)
