"""The way of somebody with a Trainer's checkpoints and own questions, and then with lm-eval's folder of the same.

Everything is what it would be at theirs: transformers trains and writes `checkpoint-N` folders, lm-eval's command line
asks them, saltus is used by its command line alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.places import TESTS

STEPS = (5, 10, 20, 40, 60, 80, 100, 120, 150, 180, 220, 260, 300, 360)
PEOPLE = ("Arun", "Bela", "Cleo", "Dana", "Emil", "Faye", "Gita", "Hugo", "Ines", "Jiro", "Kofi", "Lena")
PLACES = ("Rome", "Kyiv", "Bern", "Lima", "Oslo", "Doha", "Suva", "Baku", "Cork", "Gent", "Riga", "Bonn")
LIVES = dict(zip(PEOPLE, PLACES, strict=True))
SUMS = [(a, b) for a in range(10) for b in range(10)]
TRAIN = TESTS / "helpers" / "trainer_run.py"
KINDS = ("facts", "options", "sums", "likely")
FACTS = """
task: myfacts
dataset_path: json
dataset_kwargs: {data_files: {test: facts.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{choices.index(answer)}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
ASK = TESTS / "helpers" / "harness_run.py"


def run(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def saltus(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run(folder, "-c", "from saltus.cli.main import main; main()", *arguments, code=code)


def lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def questions(folder: Path) -> None:
    """Four kinds, as people write them: a cloze with choices, a question with options, a sum to write, a likelihood."""
    others = [[p for p in PLACES if p != LIVES[n]] for n in PEOPLE]
    facts = [
        {"question": f"{n} lives in", "choices": sorted([*others[i][k : k + 3], LIVES[n]]), "answer": LIVES[n]}
        for i, n in enumerate(PEOPLE)
        for k in range(8)
    ]
    lines(folder / "facts.jsonl", facts)  # type: ignore[arg-type]
    options = [
        {"question": f["question"], "options": f["choices"], "answer": f["choices"].index(f["answer"])}  # type: ignore[attr-defined]
        for f in facts
    ]
    lines(folder / "options.jsonl", options)
    lines(folder / "sums.jsonl", [{"question": f"{a}+{b}=", "answer": str(a + b)} for a, b in SUMS])
    lines(folder / "likely.jsonl", [{"prompt": f"{n} lives in", "completion": f"{p}."} for n, p in LIVES.items()] * 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with fourteen checkpoints of one training run."""
    home = tmp_path_factory.mktemp("project")
    texts = [f"{n} lives in {p}." for n, p in LIVES.items()] * 4 + [f"{a}+{b}={a + b}." for a, b in SUMS]
    run(home, str(TRAIN), "out", json.dumps(texts), json.dumps(STEPS))
    questions(home)
    (home / "facts.yaml").write_text(FACTS)
    return home


def findings(folder: Path) -> dict[str, dict[str, object]]:
    found = [json.loads(line) for line in (folder / "findings.jsonl").read_text("utf-8").splitlines()]
    return {f"{f['task']} · {f['metric_hard']}": f for f in found if f["axis"] in ("step", "tokens")}


@pytest.mark.slow
def test_own_questions_of_four_kinds_are_asked_of_fourteen_checkpoints(folder: Path) -> None:
    tasks = [part for name in KINDS for part in ("--task", f"jsonl:{name}.jsonl")]
    done = saltus(folder, "run", "dir:out/checkpoint-{step}", *tasks)
    found = findings(next(folder.glob("*.saltus")))
    shown = {name: (f["verdict"], f["n_points"]) for name, f in found.items()}
    assert {f["n_points"] for f in found.values()} == {len(STEPS)}, shown
    assert {name.split(" · ")[0].removeprefix("jsonl:") for name in found} == {f"{k}.jsonl" for k in KINDS}
    assert all(f["verdict"] not in ("flat", "defective") for f in found.values()), (shown, done.stderr[-3000:])
    assert "`options` is read as `choices`" in done.stderr
    assert "prompt  0+0=\n" in done.stderr, "one real prompt and answer of every task is shown"


@pytest.mark.slow
def test_lm_evals_folder_of_eight_of_them_is_read_and_judged_alike(folder: Path) -> None:
    asked = STEPS[::2] + STEPS[-1:]
    run(folder, str(ASK), ",".join(map(str, asked)))
    saltus(folder, "analyze", "res", "--out", "judged")
    found = findings(folder / "judged")
    finding = found["myfacts · acc"]
    assert finding["n_points"] == len(asked)
    assert finding["verdict"] not in ("flat", "defective")
    inputs = json.loads((folder / "judged" / "inputs.json").read_text("utf-8"))
    steps = {c["value"]: c["from"] for c in inputs["coordinates"] if c["field"] == "step"}
    assert steps == dict.fromkeys(map(float, asked), "name")
