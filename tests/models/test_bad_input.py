"""One bad checkpoint or question: it is named with what to do, the rest is asked, the same command asks it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from saltus import plugins
from saltus.cli.main import main
from saltus.models.local import tiny as tiny_models
from saltus.models.local.tiny import checkpoint
from saltus.runner.loop import RunReport, run
from saltus.store import Store
from saltus.study.document import load

from helpers.gguf_files import write_gguf
from helpers.openai_server import FakeServer

STEPS = (1, 10, 100, 1000)
BAD = "step-100"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("four")
    for seed, step in enumerate(STEPS):
        checkpoint(folder / f"step-{step}", seed=seed, bos="prepends")
    return folder


@pytest.fixture
def runs(four: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(four, tmp_path / "runs"))


def items(folder: Path, questions: list[str]) -> None:
    rows = [{"id": str(i), "question": q, "choices": ["one", "two"], "gold": i % 2} for i, q in enumerate(questions)]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))


def study(folder: Path, *entries: dict[str, Any], **ask: Any) -> tuple[RunReport, Store]:
    document = folder / "study.yaml"
    parts = {"study": "s", "models": list(entries), "tasks": ["jsonl:items.jsonl"], "ask": ask}
    document.write_text(json.dumps(parts))
    store = Store(folder / "study.saltus")
    return run(load(document), store), store


# checkpoints


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def no_shard(folder: Path) -> None:
    weights = weights_of(folder)
    shard = "model-00002-of-00002.safetensors"
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def nan_weight(folder: Path) -> None:
    weights = weights_of(folder)
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def half_written(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def other_words(folder: Path) -> None:
    path = folder / "tokenizer.json"
    words = json.loads(path.read_text())
    words["model"]["merges"] = words["model"]["merges"][:-20]
    path.write_text(json.dumps(words))


def torn_words(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": {"vo')


def in_pickle_form(folder: Path) -> None:
    torch.save(weights_of(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def missing_weight(folder: Path) -> None:
    weights = weights_of(folder)
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def another_config(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "intermediate_size": 96}))


def torn_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures": [')


@pytest.mark.parametrize(
    ("damage", "named", "do"),
    [
        (no_shard, "model-00002-of-00002.safetensors", "copy the missing shard"),
        (nan_weight, "model.layers.1.mlp.up_proj.weight", "restore the file, or take this checkpoint out"),
        (half_written, "model.safetensors: ", "let its writer finish, or remove it"),
        (other_words, "its tokenizer splits text in another way", "give this checkpoint an entry of its own"),
        (torn_words, "the tokenizer cannot be read", "put a whole one beside the model"),
        (in_pickle_form, "pytorch_model.bin", "add --allow pickle-weights:"),
        (missing_weight, "model.layers.0.self_attn.q_proj.weight", "save it again with all of them"),
        (another_config, "the model cannot be loaded", "or take this checkpoint out"),
        (torn_config, "config.json: not readable as JSON", "let its writer finish, or remove it"),
    ],
)
def test_a_bad_checkpoint_is_named_the_rest_is_asked_and_mended_it_is_asked_alone(
    damage: Callable[[Path], None], named: str, do: str, runs: Path, four: Path, tmp_path: Path
) -> None:
    items(tmp_path, ["what is it", "who is she", "where"])
    damage(runs / BAD)
    entry = {"from": "dir:runs/step-{step}", "series": "S"}
    report, store = study(tmp_path, entry)
    (message,) = [line for line in report.failures if not line.split(": ")[1][:1].isdigit()]
    assert str(runs / BAD) in message
    assert named in message
    assert do in message
    assert [m.error is None for m in report.models] == [True, True, False, True]
    table = store.item_table(load(tmp_path / "study.yaml")).collect()
    healthy = table.filter(~pl.col("location").str.ends_with(BAD))
    assert healthy["value"].null_count() == 0
    gaps = store.table(load(tmp_path / "study.yaml")).filter(pl.col("value").is_null()).collect()
    assert gaps["location"].unique().to_list() == [str(runs / BAD)]
    assert all(named in f"{row['why_missing']} {row.get('missing')}" for row in gaps.to_dicts())
    shutil.rmtree(runs / BAD)
    shutil.copytree(four / BAD, runs / BAD)
    again, store = study(tmp_path, entry)
    assert (again.failed, again.asked, again.known) == (0, 6, 9)
    assert store.table(load(tmp_path / "study.yaml")).collect()["value"].null_count() == 0


@pytest.mark.slow
def test_the_command_lists_failures_at_the_end_and_retries_them(
    runs: Path, four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    items(tmp_path, ["what is it", "who is she"])
    nan_weight(runs / BAD)
    (tmp_path / "s.yaml").write_text(
        "study: s\nmodels: [{from: 'dir:runs/step-{step}'}]\ntasks: ['jsonl:items.jsonl']\n"
    )
    monkeypatch.chdir(tmp_path)

    def command() -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["saltus", "run", "s.yaml"])
        with pytest.raises(SystemExit) as end:
            main()
        out = capsys.readouterr()
        return int(end.value.code or 0), out.out + out.err

    code, message = command()
    assert code == 3
    assert "up_proj.weight" in message.replace("\n", "")
    shutil.copy(four / BAD / "model.safetensors", runs / BAD)
    code, message = command()
    assert code == 0
    assert "up_proj" not in message


def test_a_damaged_gguf_file_is_named_among_good_ones(four: Path, tmp_path: Path) -> None:
    items(tmp_path, ["what is it"])
    for step in STEPS:
        write_gguf(four / f"step-{step}", tmp_path / f"step-{step}.gguf")
    whole = (tmp_path / "step-10.gguf").read_bytes()
    (tmp_path / "step-10.gguf").write_bytes(whole[:-1000])
    report, _ = study(tmp_path, {"from": "dir:step-{step}.gguf", "series": "S"})
    assert [m.error is None for m in report.models] == [True, False, True, True]
    assert "step-10.gguf" in report.failures[0]
    (tmp_path / "step-10.gguf").write_bytes(whole)
    again, _ = study(tmp_path, {"from": "dir:step-{step}.gguf", "series": "S"})
    assert (again.failed, again.asked) == (0, 2)


def test_gguf_files_of_another_precision_on_one_curve_are_disqualified(four: Path, tmp_path: Path) -> None:
    from saltus.curves.assemble import assemble

    items(tmp_path, [f"what is number {i}" for i in range(4)])
    for step, kind in zip(STEPS, ("Q8_0", "Q8_0", "Q4_0", "Q8_0"), strict=True):
        write_gguf(four / f"step-{step}", tmp_path / f"step-{step}.gguf", kind)
    _, store = study(tmp_path, {"from": "dir:step-{step}.gguf", "series": "S"})
    table = store.item_table(load(tmp_path / "study.yaml")).collect()
    batch = assemble(table, series=("series",)).batch
    (one,) = {s.why for several in batch.suspects for s in several if s.guard == "mixed_dtype"}
    assert one.endswith("the series: float32 of Q4_0 here, float32 of Q8_0 elsewhere")


def test_tokenizers_that_are_saved_anew_or_in_halves_are_asked(runs: Path, tmp_path: Path) -> None:
    items(tmp_path, ["what is it"])
    for step in (10, 100):
        path = runs / f"step-{step}/tokenizer.json"
        path.write_text(json.dumps(json.loads(path.read_text()), indent=step))
    other_words(runs / "step-1")
    other_words(runs / "step-10")
    report, _ = study(tmp_path, {"from": "dir:runs/step-{step}"})
    assert report.failed == 0, "where no tokenizer is that of most, nobody can tell which is wrong"


def test_a_named_tokenizer_is_asked_with_by_all(runs: Path, tmp_path: Path) -> None:
    items(tmp_path, ["what is it"])
    other_words(runs / BAD)
    report, _ = study(tmp_path, {"from": "dir:runs/step-{step}", "tokenizer": "runs/step-1"})
    assert report.failed == 0


# servers


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    point = EntryPoint("openai", "saltus.models.server.model:adapter", "saltus.models")
    monkeypatch.setitem(plugins._found("models"), "openai", point)
    folder = tmp_path_factory.mktemp("words")
    tiny_models.tokenizer(folder, "prepends")
    with FakeServer(folder) as fake:
        yield fake


TROUBLE = {
    "HANG": "no answer within 1.5 s",
    "CRASH": "HTTP 500: out of memory",
    "TORN": "its answer is not JSON",
    "LIST": "not a JSON object",
    "LONG": "HTTP 400: maximum context length",
    "SHORT": "prompt log-probabilities for",
}


@pytest.mark.slow
def test_bad_answers_of_a_server_are_failures_by_name_and_asked_again(
    server: FakeServer, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items(tmp_path, [*TROUBLE, "FLAKY", "BUSY", *(f"number {i}" for i in range(8))])
    alive = {
        "from": f"openai:{server.url}#tiny",
        "tokenizer": str(server.folder),
        "backoff": 0.01,
        "timeout": 1.5,
        "retries": 2,
    }
    local = {"from": "dir:runs/step-{step}", "step": [1]}
    report, store = study(tmp_path, alive, local)
    message = "\n".join(report.failures)
    for words in TROUBLE.values():
        assert words in message
    assert report.failed == len(TROUBLE), "what passes by itself (FLAKY, BUSY) passed"
    assert all(server.url in line for line in report.failures)
    failed = store.item_table(load(tmp_path / "study.yaml")).filter(pl.col("state") == "failed")
    assert failed.collect()["value"].null_count() == failed.collect().height
    monkeypatch.setattr(FakeServer, "_trouble", lambda *_: None)
    again, _ = study(tmp_path, alive, local)
    assert again.failed == 1, "its log-probabilities are still too few"
    assert again.known == 16 + 16 - len(TROUBLE)
