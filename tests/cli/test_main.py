"""The commands as a user types them: what is printed, what is written, which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from saltus import testing
from saltus.cli import main as cli

STUDY = """
study: toy
question: Does the scripted behaviour leap?
models:
  - {series: leaping, from: "scripted:leap", points: 12, seeds: 3}
tasks: [addition]
limit: 60
hypotheses:
  - {id: H1, task: addition, series: leaping, axis: tokens, expect: leap}
  - {id: H2, task: addition, series: leaping, axis: tokens, expect: flat}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def saltus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls the command line in a folder of its own; gives exit code, output, error output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["saltus", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def test_a_study_runs_from_document_to_report(saltus: Run, tmp_path: Path) -> None:
    code, out, _ = saltus("run", "study.yaml")
    assert code == 0, "a refuted hypothesis is a result"
    assert "transition" in out
    assert "refuted" in out
    assert (tmp_path / "study.saltus" / "report.html").stat().st_size < 3_000_000
    before = testing.asked()
    code, out, _ = saltus("run", "study.yaml", "--strict")
    assert code == 1, "a refuted hypothesis fails under --strict"
    assert testing.asked() == before, "nothing is asked twice"


def test_machines_get_one_json_document(saltus: Run) -> None:
    code, out, _ = saltus("run", "study.yaml", "--json")
    message = json.loads(out)
    assert code == 0
    assert {h["id"]: h["outcome"] for h in message["hypotheses"]} == {"H1": "kept", "H2": "refuted"}
    assert Path(message["findings_file"]).exists()


def test_a_dry_run_asks_nothing(saltus: Run, tmp_path: Path) -> None:
    before = testing.asked()
    code, out, _ = saltus("run", "study.yaml", "--dry-run")
    assert code == 0
    assert "36 models, 2,160 answers to ask, 0 known" in out
    assert testing.asked() == before
    assert not (tmp_path / "study.saltus").exists()


def test_no_document_is_needed_and_one_is_written(saltus: Run, tmp_path: Path) -> None:
    code, _, err = saltus("run", "scripted:leap", "--task", "addition", "--limit", "10", "--json")
    assert code == 0, err
    assert "limit: 10" in (tmp_path / "scripted-leap.yaml").read_text()
    (tmp_path / "scripted-leap.yaml").write_text("study: mine now\n")
    code, _, err = saltus("run", "scripted:leap", "--task", "addition")
    assert code == 2
    assert "exists already" in err


def test_a_new_study_is_ready_to_run(saltus: Run, tmp_path: Path) -> None:
    assert saltus("new", "mine")[0] == 0
    code, _, err = saltus("new", "mine")
    assert code == 2
    assert "exists already" in err
    assert "zoo:induction-2l" in (tmp_path / "mine.yaml").read_text()


def test_locking_before_looking_and_after(saltus: Run) -> None:
    assert "No answers existed." in saltus("lock", "study.yaml")[1]
    saltus("run", "study.yaml", "--json")
    Path("study.yaml").write_text(STUDY.replace("limit: 60", "limit: 50"))
    code, _, err = saltus("run", "study.yaml")
    assert code == 0
    assert "Deviation from the lock: `limit` was changed" in err
    assert "limit" in Path("study.saltus/report.html").read_text()
    assert saltus("lock", "study.yaml")[0] == 2


def test_verify_finds_a_changed_byte(saltus: Run) -> None:
    saltus("run", "study.yaml", "--json")
    assert "answers are as they were written" in saltus("verify", "study.yaml")[1]
    segment = max(Path("study.saltus/segments").rglob("*answers*.parquet"), key=lambda p: p.stat().st_size)
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 2] ^= 1
    segment.write_bytes(raw)
    code, out, _ = saltus("verify", "study.yaml")
    assert code == 1
    assert segment.name in out


def test_the_table_goes_out_and_comes_in_again(saltus: Run) -> None:
    saltus("run", "study.yaml", "--json")
    assert saltus("export", "study.yaml", "--to", "table.parquet")[0] == 0
    table = pl.read_parquet("table.parquet")
    assert {"series", "tokens", "metric", "value", "floor"} <= set(table.columns)
    code, out, err = saltus("analyze", "table.parquet", "--out", "again", "--axis", "tokens", "--json")
    assert code == 0, err
    (finding,) = [f for f in json.loads(out)["findings"] if f["primary"]]
    assert finding["verdict"] == "transition"
    assert json.loads(Path("again/inputs.json").read_text())["inputs"][0]["sha256"].startswith("sha256:")


def test_a_study_goes_out_as_every_eval_ever(saltus: Run) -> None:
    saltus("run", "study.yaml", "--json")
    code, out, err = saltus("export", "study.yaml", "--to", "eee", "--as", "every-eval-ever", "--by", "us")
    assert code == 0, err
    assert "results" in out
    records = list(Path("eee").rglob("*.json"))
    assert json.loads(records[0].read_text())["schema_version"].startswith("0.3")
    assert saltus("export", "study.yaml", "--to", "eee", "--as", "every-eval")[0] == 2


def test_a_report_is_made_again_without_the_store(saltus: Run) -> None:
    saltus("run", "study.yaml", "--json")
    page = Path("study.saltus/report.html")
    before = page.read_text()
    page.unlink()
    assert saltus("report", "study.saltus")[0] == 0
    assert page.read_text() == before


def test_locating_asks_few_of_many_checkpoints(saltus: Run) -> None:
    many = STUDY.replace("points: 12, seeds: 3", "points: 120").replace("expect: flat", "expect: leap")
    Path("study.yaml").write_text(many.replace("limit: 60", "limit: 100"))
    before = testing.asked()
    code, out, err = saltus("run", "study.yaml", "--locate")
    assert code == 0, err
    assert "of 120 checkpoints" in out
    assert testing.asked() - before <= 100 * 120 / 4
    assert "sharp" in out


def test_a_plan_says_what_could_be_told_apart(saltus: Run) -> None:
    code, out, _ = saltus("plan", "--items", "200", "--points", "10", "--seeds", "1", "--json")
    assert code == 0
    assert json.loads(out)


def test_shards_share_one_store(saltus: Run) -> None:
    for part in ("1/2", "2/2"):
        code, out, _ = saltus("run", "study.yaml", "--shard", part)
        assert code == 0
        assert "saltus analyze study.yaml" in out
    code, out, _ = saltus("analyze", "study.yaml", "--json")
    assert code == 0
    assert "transition" in {f["verdict"] for f in json.loads(out)["findings"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nothing.yaml"), "no such file"),
        (("run", "scripted:leap"), "at least one task"),
        (("run", "script:leap", "--task", "addition"), "did you mean `scripted`"),
        (("run", "study.yaml", "--task", "copying"), "goes with a model source"),
        (("run", "study.yaml", "--shard", "3"), "wanted: i/n"),
        (("run", "study.yaml", "--shard", "3/2"), "no shard 3/2"),
        (("run", "study.yaml", "--locate", "--shard", "1/2"), "one process"),
        (("run", "study.yaml", "--locate"), "checkpoints"),
        (("forecast", "absent.json", "--at", "tokens=1e12"), "no such file"),
        (("analyze", "study.yaml"), "nothing has been asked yet"),
        (("analyze", "absent.json"), "no such file"),
        (("analyze", "study.yaml", "--axis", "token"), "did you mean `tokens`"),
        (("analyze", "study.yaml", "--twin", "acc"), "acc=ppl"),
        (("analyze", "study.yaml", "--factor", "task=(?P<x"), "named groups"),
        (("analyze", "study.yaml", "--factor", "task=(?P<kind>.*)"), "one of: "),
        (("export", "study.yaml", "--to", "x.xlsx"), ".parquet or .csv"),
        (("verify", "study.yaml"), "saltus run"),
        (("report", "."), "findings.jsonl"),
        (("frobnicate",), "saltus --help"),
        (("run",), "saltus --help"),
    ],
)
def test_a_users_mistake_is_explained_with_exit_code_2(saltus: Run, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = saltus(*arguments)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_stored_failures_end_with_exit_code_3_and_are_retried(saltus: Run) -> None:
    faulty = STUDY.replace("seeds: 3}", "seeds: 3, faults: {fail_times: 1}}")
    Path("study.yaml").write_text(faulty)
    code, out, _ = saltus("run", "study.yaml")
    assert code == 3
    assert "Failed:" in out
    code, out, _ = saltus("run", "study.yaml", "--json")
    assert code == 0, out
    assert json.loads(out)["failures"] == []
