"""Both ways at once: lm-eval run with our engine answers as with its own model, and a study asks lm-eval's tasks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.cli import main as cli
from saltus.errors import UserError
from saltus.models.base import ModelError
from saltus.models.local.tiny import checkpoint
from saltus.store import Store
from saltus.study.document import loads

from helpers.harness_tasks import offline, write
from helpers.places import ROOT

ROOT = ROOT
TASKS = ("shots", "contexts", "mutual", "continuation", "rolling", "generate", "filtered")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("tasks")
    with offline(base / "cache"):
        yield write(base)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("model") / "step-0", "gpt_neox")


def benchmark() -> Any:
    path = ROOT / "benchmarks" / "lm_eval_parity.py"
    spec = importlib.util.spec_from_file_location("lm_eval_parity", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("add_bos_token", [True, False, None])
@pytest.mark.parametrize("bos", ["has", "prepends", "none"])
def test_tokens_are_those_of_the_harnesss_own_model(bos: Any, add_bos_token: bool | None, tmp_path: Path) -> None:
    from lm_eval.models.huggingface import HFLM

    from saltus.lm_eval import SaltusLM

    folder = checkpoint(tmp_path / "m", "llama", bos=bos)
    ours = SaltusLM(folder, add_bos_token=add_bos_token)
    theirs = HFLM(str(folder), device="cpu", dtype="float32", add_bos_token=add_bos_token)
    for text in ("the quick fox", " a dog", "<bos>the fox", "", "\n"):
        assert ours.tok_encode(text) == theirs.tok_encode(text)
        assert ours.tok_encode(text, add_special_tokens=False) == theirs.tok_encode(text, add_special_tokens=False)
    for context, shown in (("what is 12", "34"), ("the answer is ", "red"), ("x\n\n", " y")):
        assert ours._encode_pair(context, shown) == theirs._encode_pair(context, shown)
    assert ours.prefix_token_id == theirs.prefix_token_id
    assert ours.max_length == theirs.max_length
    ids = list(range(5, 5 + 3 * ours.max_length + 7))
    assert sum(len(shown) for _, shown in ours._windows(ids)) == len(ids)


def test_the_benchmark_holds_on_a_small_scale(tmp_path: Path) -> None:
    """All output types, prompts cut from the left, texts beyond the window."""
    parity = benchmark()
    (tmp_path / "tasks").mkdir()
    parity.write_tasks(tmp_path / "tasks", 4)
    with offline(tmp_path / "cache"):
        one = parity.compare(checkpoint(tmp_path / "mistral", "mistral"), tmp_path / "tasks")
    assert parity.kept(one), one
    assert one["over_window"] > 0
    assert one["log_likelihoods"] == 20


def evaluated(lm: Any, folder: Path, names: tuple[str, ...] = TASKS) -> Any:
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return lm_eval.simple_evaluate(model=lm, tasks=list(names), task_manager=manager, bootstrap_iters=0)


def test_results_of_every_kind_of_task_are_those_of_hf(tasks: Path, model: Path) -> None:
    from lm_eval.models.huggingface import HFLM

    from saltus.lm_eval import SaltusLM

    given: dict[str, Any] = {"dtype": "float32", "add_bos_token": True}
    ours = evaluated(SaltusLM(model, **given), tasks)
    theirs = evaluated(HFLM(str(model), device="cpu", **given), tasks)
    assert set(ours["results"]) == set(TASKS)
    for name, metrics in theirs["results"].items():
        for metric, value in metrics.items():
            if isinstance(value, float):
                assert ours["results"][name][metric] == pytest.approx(value, rel=1e-5), name
        for mine, one in zip(ours["samples"][name], theirs["samples"][name], strict=True):
            assert mine["prompt_hash"] == one["prompt_hash"]
            for got, wanted in zip(mine["resps"], one["resps"], strict=True):
                assert (
                    np.allclose(got[0], wanted[0], atol=1e-4)
                    if name != "generate" and (name != "filtered")
                    else got == wanted
                )
    assert ours["config"]["saltus_weights_hash"].startswith("sha256:")


def test_long_prompts_are_cut_from_the_left_and_counted(model: Path) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from saltus.lm_eval import SaltusLM

    lm = SaltusLM(model)
    context = "the quick brown fox " * 60
    pair = Instance("loglikelihood", {}, (context, " dog"), 0)
    text = Instance("generate_until", {}, (context, {"until": ["\n"], "max_gen_toks": 4}), 0)
    other = HFLM(str(model), device="cpu", dtype="float32", add_bos_token=True)
    assert lm.loglikelihood([pair])[0][0] == pytest.approx(other.loglikelihood([pair])[0][0], abs=1e-4)
    assert lm.truncated == 1
    assert lm.generate_until([text]) == other.generate_until([text])
    assert lm.truncated == 2


def test_the_harness_finds_the_model_by_name_and_keeps_its_own() -> None:
    from lm_eval.api.registry import get_model

    import saltus.lm_eval

    assert get_model("saltus") is saltus.lm_eval.SaltusLM
    assert get_model("hf").__name__ == "HFLM"


def test_arguments_are_checked(model: Path, tmp_path: Path) -> None:
    from saltus.lm_eval import SaltusLM

    with pytest.raises(UserError, match="there is no folder"):
        SaltusLM(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no argument batchsize"):
        SaltusLM(model, batchsize=8)
    with pytest.raises(UserError, match="`dtype` of `SaltusLM` is 'fp32'"):
        SaltusLM(model, dtype="fp32")  # type: ignore[arg-type]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError):
        SaltusLM(tmp_path / "empty")
    made = SaltusLM.create_from_arg_string(f"path={model},add_bos_token=False", {"batch_size": 8, "device": "cpu"})
    assert made.add_bos_token is False


@pytest.mark.slow
def test_the_harnesss_command_line_runs_it(tasks: Path, model: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "saltus.lm_eval",
            "run",
            "--model",
            "saltus",
            "--model_args",
            f"path={model}",
            "--tasks",
            "cloze.yaml",
            "--limit",
            "3",
            "--output_path",
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tasks,
        timeout=240,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (written,) = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(written.read_text())["results"]["cloze"]["acc,none"] >= 0


# studies of saltus on tasks of lm-eval


@pytest.fixture
def saltus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["saltus", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def test_a_run_asks_them_and_the_table_holds_both_twins(saltus: Any, tasks: Path, model: Path, tmp_path: Path) -> None:
    names = [x for name in ("shots", "continuation", "rolling", "filtered") for x in ("--task", f"lm_eval:{name}")]
    code, out, err = saltus(
        "run", f"dir:{model.parent}/step-{{step}}", *names, "--include-path", str(tasks), "--limit", "3", "--json"
    )
    assert code == 0, err + out
    (store,) = tmp_path.glob("*.saltus")
    (document,) = tmp_path.glob("*.yaml")
    study = loads(document.read_text(), base=tmp_path)
    rows = Store(store).table(study).collect().filter(pl.col("value").is_not_null())
    metrics = {name: set(part["metric"]) for (name,), part in rows.group_by("task")}
    assert metrics["lm_eval:shots"] >= {"acc", "gold_logprob", "acc_norm", "choice_prob"}
    assert metrics["lm_eval:continuation"] >= {"greedy_match", "token_logprob"}
    assert "bits_per_byte" in metrics["lm_eval:rolling"]
    assert "greedy_match" not in metrics["lm_eval:rolling"]
    assert metrics["lm_eval:filtered"] >= {"exact_match,strict", "token_logprob", "edit_similarity"}
    shots = rows.filter((pl.col("task") == "lm_eval:shots") & (pl.col("metric") == "acc"))
    assert shots["n_shot"].to_list() == [3]
    assert shots["n_items"].to_list() == [3]


def test_a_studys_answers_are_those_the_harness_gets(tasks: Path, model: Path, tmp_path: Path, saltus: Any) -> None:
    """The same likelihoods by both ways, where neither cuts nor doubles anything."""
    from saltus.lm_eval import SaltusLM

    document = (
        f"study: s\nmodels: [{{from: 'dir:{model.parent}/step-{{step}}'}}]\nask: {{bos: always}}\n"
        f"tasks: [{{'lm_eval:continuation': {{include_path: '{tasks}', num_fewshot: 1}}}}]\n"
    )
    (tmp_path / "s.yaml").write_text(document)
    assert saltus("run", "s.yaml", "--json")[0] == 0
    study = loads(document, base=tmp_path)
    table = Store(tmp_path / "s.saltus").item_table(study).collect()
    shown = table.filter(pl.col("metric") == "gold_logprob")
    mine = {row["item_id"]: row["value"] for row in shown.iter_rows(named=True)}
    import lm_eval
    from lm_eval.tasks import TaskManager

    theirs = lm_eval.simple_evaluate(
        model=SaltusLM(model),
        tasks=["continuation"],
        num_fewshot=1,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
    )
    assert theirs is not None
    samples = theirs["samples"]["continuation"]
    wanted = {f"doc-{s['doc_id']}": s["resps"][0][0][0] for s in samples}
    assert mine == pytest.approx(wanted, abs=1e-4)


def test_the_doctor_shows_a_prompt(saltus: Any, tasks: Path, model: Path) -> None:
    code, out, err = saltus("doctor", f"dir:{model}", "--task", "lm_eval:shots", "--include-path", str(tasks), "--json")
    assert code == 0, err
    asked = json.loads(out)["asked"]
    assert len(asked) == 4
    assert asked[0]["prompt"].startswith("About foxs.")


def test_an_include_path_without_a_task_of_lm_eval_is_a_mistake(saltus: Any, tasks: Path) -> None:
    code, _, err = saltus("run", "scripted:leap", "--task", "addition", "--include-path", str(tasks))
    assert code == 2
    assert "none is asked" in err
