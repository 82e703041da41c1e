"""`dir:` finds the checkpoints, their coordinates and their faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saltus.errors import UserError
from saltus.models.base import ModelError
from saltus.models.folders import adapter
from saltus.records import AskPolicy, ModelRef, Request, SeriesEntry

Tiny = Callable[..., Path]
ASK = AskPolicy()


def listed(base: Path, source: str, **entry: Any) -> list[ModelRef]:
    return list(adapter.series(SeriesEntry(scheme="dir", source=source, **entry), ASK, base))


def touch(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")


def test_captures_become_coordinates_sorted_as_numbers(tmp_path: Path) -> None:
    touch(*(tmp_path / f"runs/seed{s}/step-{n}" for s in (1, 0) for n in (1000, 90, 0)))
    refs = listed(tmp_path, "runs/seed{seed}/step-{step}", tokens_per_step=10.0)
    assert [(r.coords["seed"], r.coords["step"], r.coords["tokens"]) for r in refs] == [
        (0, 0, 0),
        (0, 90, 900),
        (0, 1000, 10_000),
        (1, 0, 0),
        (1, 90, 900),
        (1, 1000, 10_000),
    ]
    assert {r.series for r in refs} == {"runs"}
    assert refs[1].recipe["derived"] == {"tokens": "step × 10 tokens per step"}


def test_words_and_sizes_are_read_as_what_they_are(tmp_path: Path) -> None:
    touch(tmp_path / "fam-70m/adam/step10", tmp_path / "fam-1.4b/sgd/step2e3")
    small, large = listed(tmp_path, "fam-{params}/{optimizer}/step{step}")
    assert (small.coords["params"], small.coords["optimizer"], small.coords["step"]) == (70e6, "adam", 10)
    assert (large.coords["params"], large.coords["step"]) == (1.4e9, 2000)
    assert small.series == large.series == "fam"
    assert small.coords["model"] != large.coords["model"]


def test_folders_that_only_look_alike_do_not_match(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("checkpoint-10", "checkpoint-last", "tmp-checkpoint-20", "runs")))
    assert [r.coords["step"] for r in listed(tmp_path, "checkpoint-{step}")] == [10]


def test_a_plain_folder_is_its_checkpoints_or_itself(tmp_path: Path, tiny: Tiny) -> None:
    touch(tmp_path / "out/checkpoint-5", tmp_path / "out/checkpoint-50", tmp_path / "out/runs")
    assert [r.coords["step"] for r in listed(tmp_path, "out")] == [5, 50]
    (alone,) = listed(tmp_path, str(tiny("llama")))
    assert alone.coords["params"] == 39_072
    assert "step" not in alone.coords
    assert alone.series == "llama"
    shutil.copytree(tiny("llama"), tmp_path / "run/checkpoint-5")
    (one,) = listed(tmp_path, "run/checkpoint-5")
    assert (one.coords["step"], one.series) == (5, "run")
    assert listed(tmp_path, "run")[0].coords == one.coords


def test_a_new_checkpoint_is_simply_one_more(tmp_path: Path) -> None:
    touch(tmp_path / "out/checkpoint-5")
    before = listed(tmp_path, "out/checkpoint-{step}")
    touch(tmp_path / "out/checkpoint-6")
    assert listed(tmp_path, "out/checkpoint-{step}")[:1] == before


def test_only_listed_values_of_a_capture_are_taken(tmp_path: Path) -> None:
    touch(*(tmp_path / f"step-{n}" for n in (0, 1, 2, 512, 1000)))
    refs = listed(tmp_path, "step-{step}", options={"step": [0, 512]})
    assert [r.coords["step"] for r in refs] == [0, 512]


def test_trainer_state_gives_step_tokens_flops_and_loss(tmp_path: Path) -> None:
    touch(tmp_path / "a", tmp_path / "b")
    history = [
        {"loss": 3.0, "step": 50},
        {"loss": 2.5, "step": 100},
        {"eval_loss": 2.75, "step": 100},
        {"loss": 1.0, "step": 200},
    ]
    state = {"global_step": 100, "num_input_tokens_seen": 4096, "total_flos": 7.5e9, "log_history": history}
    (tmp_path / "a/trainer_state.json").write_text(json.dumps(state))
    (ref,) = listed(tmp_path, "a", tokens_per_step=99.0)
    assert {k: ref.coords[k] for k in ("step", "tokens", "flops", "loss")} == {
        "step": 100,
        "tokens": 4096,
        "flops": 7.5e9,
        "loss": 2.75,
    }
    assert ref.recipe["derived"]["loss"] == "evaluation loss in trainer_state.json"
    uncounted = {**state, "num_input_tokens_seen": 0, "total_flos": 0, "log_history": history[:2]}
    (tmp_path / "b/trainer_state.json").write_text(json.dumps(uncounted))
    (ref,) = listed(tmp_path, "b", tokens_per_step=2.0)
    assert (ref.coords["tokens"], ref.coords["loss"]) == (200, 2.5)
    assert "flops" not in ref.coords


def test_params_are_counted_and_flops_marked_as_derived(tmp_path: Path, tiny: Tiny) -> None:
    shutil.copytree(tiny("gpt2"), tmp_path / "step-7")
    (ref,) = listed(tmp_path, "step-{step}", tokens_per_step=100.0)
    assert ref.coords["params"] == 39_808
    assert ref.coords["flops"] == 6 * 39_808 * 700
    model = adapter.open(ref, ASK)
    assert model.describe().detail["derived"]["flops"] == "6 · params · tokens"
    (stated,) = listed(tmp_path, "step-{step}", coords={"params": 5.0}, tokens_per_step=1.0)
    assert stated.coords["flops"] == 6 * 5 * 7
    assert "params" not in stated.recipe["derived"]


def test_series_yaml_states_what_names_do_not(tmp_path: Path) -> None:
    touch(tmp_path / "run/first", tmp_path / "run/second", tmp_path / "run/notes")
    (tmp_path / "run/series.yaml").write_text(
        "series: mine\ntokens_per_step: 8\nrecipe: {optimizer: adam, lr: 0.1}\npoints:\n"
        "  - {path: second, step: 20, loss: 2.5, recipe: {lr: 0.2}}\n"
        "  - {path: first, step: 10, params: 1.0e+6}\n"
    )
    first, second = listed(tmp_path, "run")
    assert first.series == "mine"
    assert first.coords["tokens"] == 80
    assert first.coords["flops"] == 6e6 * 80
    assert second.coords["loss"] == 2.5
    assert second.recipe["lr"] == 0.2
    assert second.recipe["optimizer"] == "adam"
    (renamed, _) = listed(tmp_path, "run", series="yours")
    assert renamed.series == "yours"


def test_series_yaml_adds_to_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "run/step-1", tmp_path / "run/step-2")
    (tmp_path / "run/series.yaml").write_text("points: [{path: step-2, loss: 1.5}]")
    first, second = listed(tmp_path, "run/step-{step}")
    assert "loss" not in first.coords
    assert second.coords["loss"] == 1.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("points: [{path: a, steps: 3}]", r"series.yaml:1.*steps.*`step`"),
        ("points:\n  - {path: a}\n  - {path: a}", "twice"),
        ("points:\n  - {path: a, step: x}", r"series.yaml:2"),
        ("points: [", "not valid YAML"),
    ],
)
def test_mistakes_in_series_yaml_are_named(text: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path / "a")
    (tmp_path / "series.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        listed(tmp_path, ".")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("run/step-{step}", "did you mean `.*runs`"),
        ("runs/step{step}", "holds step-1, step-2"),
        ("runs/step-{step", "braces"),
        ("empty", "no folders"),
        ("nowhere/at/all", "no folder .*nowhere"),
    ],
)
def test_no_match_says_what_is_there(source: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path / "runs/step-1", tmp_path / "runs/step-2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        listed(tmp_path, source)


def test_an_unknown_key_of_an_entry_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "step-1")
    with pytest.raises(UserError, match="`tokenizer`"):
        listed(tmp_path, "step-{step}", options={"tokeniser": "x"})


def test_half_written_checkpoints_are_listed_and_fail_on_opening(tmp_path: Path, tiny: Tiny) -> None:
    for name in ("step-1", "step-2", "step-3", "step-4", "step-5"):
        shutil.copytree(tiny("llama"), tmp_path / name)
    (tmp_path / "step-1/config.json").unlink()
    whole = (tmp_path / "step-2/model.safetensors").read_bytes()
    (tmp_path / "step-2/model.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "step-3/model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (tmp_path / "step-4/model.safetensors.index.json").write_text(json.dumps(index))
    refs = listed(tmp_path, "step-{step}")
    assert [r.coords["step"] for r in refs] == [1, 2, 3, 4, 5]
    message = ("no config.json", "model.safetensors: .* bytes", "no model.safetensors", "model-00001-of-00002")
    for ref, words in zip(refs, message, strict=False):
        with pytest.raises(ModelError, match=words):
            adapter.open(ref, ASK)
    model = adapter.open(refs[4], ASK)
    request = model.encode(Request(kind="loglikelihood", prompt="the", continuation=" fox"))
    assert next(model.loglikelihood([request])).error is None


def test_a_tokenizer_may_live_above_or_elsewhere(tmp_path: Path, tiny: Tiny) -> None:
    shutil.copytree(tiny("llama"), tmp_path / "out/step-1")
    shutil.copytree(tiny("llama"), tmp_path / "words")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "out/step-1" / name).unlink()
    (ref,) = listed(tmp_path, "out/step-{step}")
    with pytest.raises(ModelError, match="no tokenizer"):
        adapter.open(ref, ASK)
    (named,) = listed(tmp_path, "out/step-{step}", options={"tokenizer": "words"})
    elsewhere = adapter.open(named, ASK)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tmp_path / "words" / name, tmp_path / "out")
    assert adapter.open(ref, ASK).identity == elsewhere.identity
    with pytest.raises(UserError, match="no tokenizer"):
        listed(tmp_path, "out/step-{step}", options={"tokenizer": "nowhere"})
