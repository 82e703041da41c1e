"""`saltus doctor` shows the prompt as asked and warns of what is known to mislead."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from saltus.cli.show_doctor import render
from saltus.errors import UserError
from saltus.models.local.tiny import checkpoint
from saltus.records import Answer, AskPolicy, Item, Request
from saltus.runner.doctor import examine
from saltus.testing import ToyTask


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """out/checkpoint-5 and -50: a tokenizer that has BOS and does not prepend it."""
    base = tmp_path_factory.mktemp("doctor")
    for step in (5, 50):
        checkpoint(base / f"out/checkpoint-{step}", "llama", seed=step)
    checkpoint(base / "none/step-1", "gpt2", bos="none")
    checkpoint(base / "template/step-1", "llama", bos="prepends", template="{{ bos_token }}{{ messages[0].content }}")
    checkpoint(base / "alone", "gpt2")
    (base / "out/checkpoint-7").mkdir()
    return base


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking(ToyTask):
    """A toy task that asks one given request."""

    request: Request

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        yield self.request


def warned(base: Path, source: str, prompt: str, continuation: str, **policy: Any) -> str:
    request = Request(kind="loglikelihood", prompt=prompt, continuation=continuation)
    seen = examine(source, Asking(request=request), ask=AskPolicy(**policy), base=base)
    return "\n".join(seen.warnings)


def text_of(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_last_model_of_a_series_is_examined(out: Path) -> None:
    seen = examine("dir:out/checkpoint-{step}", base=out)
    assert (seen.found, seen.ref.coords["step"]) == (3, 50)
    assert seen.tokens_per_second is not None
    assert seen.tokens_per_second > 10
    assert seen.about.dtype == "float32"
    assert json.loads(json.dumps(seen.to_dict()))["identity"] == seen.identity


def test_the_prompt_is_shown_token_by_token_with_the_continuation_marked(out: Path) -> None:
    seen = examine("dir:out/checkpoint-50", ToyTask(format="choices"), base=out, ask=AskPolicy(bos="always"))
    assert len(seen.asked) == 4
    first = seen.asked[0]
    assert first.tokens[0].text == "<bos>"
    text = "".join(t.text for t in first.tokens[1:])
    assert text == first.prompt + first.continuation
    scored = [t for t in first.tokens if t.part == "continuation"]
    assert "".join(t.text for t in scored) == first.continuation
    assert all(t.logprob is not None and t.logprob < 0 and t.rank is not None for t in scored)
    shown = text_of(render(seen))
    assert "▶" in shown
    assert "<bos>▏c▏op▏" in shown or "<bos>▏c▏o▏p▏" in shown
    assert "prepended (policy always" in shown


def test_generation_shows_what_was_said(out: Path) -> None:
    seen = examine("dir:out/checkpoint-50", ToyTask(format="generate"), base=out)
    (asked,) = seen.asked
    assert asked.finish in ("eos", "length", "window")
    assert {t.part for t in asked.tokens} == {"prompt", "generated"}
    assert "ended by" in text_of(render(seen))


@pytest.mark.parametrize(
    ("source", "prompt", "continuation", "policy", "message"),
    [
        ("dir:out/checkpoint-50", "the", " fox", {}, "no BOS"),
        ("dir:out/checkpoint-50", "the ", "fox", {}, "trailing space"),
        ("dir:out/checkpoint-50", "the", "fox", {}, "run together"),
        ("dir:out/checkpoint-50", "the answ", "er", {}, "token would span"),
        ("dir:out/checkpoint-50", "", "fox", {}, "empty prompt"),
        ("dir:out/checkpoint-50", "the", " fox", {"dtype": "bfloat16"}, "bfloat16"),
        ("dir:out/checkpoint-50", "the", " fox", {"template": "auto"}, "no chat template"),
        ("dir:template/step-1", "the", " fox", {}, "chat template is there and not applied"),
        ("dir:template/step-1", "<bos>the", " fox", {"template": "auto"}, "double BOS"),
        ("dir:out/checkpoint-50", "the", " fox", {}, "tokens_per_step"),
        ("dir:alone", "the", " fox", {}, "no coordinate"),
    ],
)
def test_what_misleads_is_warned_of(
    source: str, prompt: str, continuation: str, policy: dict[str, Any], message: str, out: Path
) -> None:
    assert message in warned(out, source, prompt, continuation, **policy)


def test_a_sound_question_earns_no_warning_about_its_prompt(out: Path) -> None:
    text = warned(out, "dir:none/step-{step}", "the", " fox", bos="never")
    assert text.splitlines() == ["training tokens are unknown: state `tokens_per_step` to judge along tokens"]


def test_a_scripted_model_can_be_examined_too() -> None:
    seen = examine("scripted:leap", ToyTask())
    assert seen.found == 21
    assert "scripted" in text_of(render(seen))


@pytest.mark.parametrize(
    ("source", "task", "message"),
    [
        ("out/checkpoint-50", None, "scheme:source"),
        ("dri:out", None, "`dir`"),
        ("dir:out/checkpoint-7", None, "no model in"),
        ("dir:out/checkpoint-{step}x", None, "checkpoint-5, checkpoint-50, checkpoint-7"),
        ("dir:out/checkpoint-50", "adition", "`addition`"),
    ],
)
def test_mistakes_are_explained(source: str, task: str | None, message: str, out: Path) -> None:
    with pytest.raises(UserError, match=message):
        examine(source, task, base=out)


def test_settings_are_those_of_a_study(out: Path) -> None:
    seen = examine(
        "dir:out/checkpoint-{step}",
        base=out,
        settings=["step=[5]", "device_map=cpu", "dtype=bfloat16", "bos=always", "tokens_per_step=10"],
    )
    assert (seen.found, seen.ref.coords["step"], seen.ref.coords["tokens"]) == (1, 5, 50)
    assert (seen.about.device, seen.about.dtype) == ("cpu", "bfloat16")
    assert seen.about.bos.policy == "always"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dtype=int4", "dtype"),
        ("device_map=toaster", "device_map"),
        ("tokeniser=x", "tokenizer"),
        ("dtype", "key=value"),
        ("allow=[", "not valid YAML"),
    ],
)
def test_a_wrong_setting_is_refused_as_in_a_study(setting: str, message: str, out: Path) -> None:
    with pytest.raises(UserError, match=message):
        examine("dir:out/checkpoint-50", base=out, settings=[setting])


def test_a_sick_model_says_what_ails_it(out: Path, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "step-1", "gpt2")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.safetensors"):
        examine("dir:step-1", base=tmp_path)


def test_failed_answers_are_shown_not_hidden(out: Path) -> None:
    request = Request(kind="loglikelihood", prompt="the " * 200, continuation=" fox")
    seen = examine("dir:out/checkpoint-50", Asking(request=replace(request)), base=out)
    assert "exceeds the window" in str(seen.asked[0].error)
    assert seen.tokens_per_second is None
    shown = text_of(render(seen))
    assert "failed:" in shown
    assert "unknown: every answer failed" in shown


@pytest.fixture(scope="module")
def own(out: Path) -> Path:
    """A study of own questions beside the checkpoints."""
    (out / "items.jsonl").write_text(
        '{"question": "the man lives in", "choices": ["a house", "the river"], "answer": "a house"}\n'
    )
    (out / "study.yaml").write_text(
        "study: own\n"
        'models: [{from: "dir:out/checkpoint-{step}"}, '
        '{from: "dir:template/step-1", series: other, tasks: [copying]}]\n'
        'tasks: [{"jsonl:items.jsonl": {style: dialogue}}, "jsonl:items.jsonl", copying]\n'
        "ask: {bos: always}\n"
    )
    return out


@pytest.mark.parametrize(
    ("source", "task", "settings", "prompt"),
    [
        ("dir:out/checkpoint-50", "jsonl:items.jsonl", (), "the man lives in"),
        ("dir:out/checkpoint-50", "jsonl:items.jsonl", ("style=qa",), "Question: the man lives in\nAnswer:"),
        ("dir:out/checkpoint-50", "jsonl:items.jsonl[style=short]", (), "Q: the man lives in\nA:"),
        ("study.yaml", None, (), "User: the man lives in\nAssistant:"),
        ("study.yaml", "jsonl:items.jsonl", (), "the man lives in"),
        ("study.yaml", "jsonl:items.jsonl[style=dialogue]", (), "User: the man lives in\nAssistant:"),
        ("study.yaml", "jsonl:items.jsonl[style=short]", ("style=short", "name=a"), None),
    ],
)
def test_a_task_is_shown_as_the_study_asks_it(
    own: Path, source: str, task: str | None, settings: tuple[str, ...], prompt: str | None
) -> None:
    if prompt is None:
        with pytest.raises(UserError, match="asked for twice"):
            examine(source, task, base=own, settings=settings)
        return
    seen = examine(source, task, base=own, settings=settings)
    assert seen.asked[0].prompt == prompt
    assert seen.about.bos.policy == ("always" if source == "study.yaml" else "auto")


def test_of_a_study_the_entry_that_is_asked_the_task_is_opened(own: Path) -> None:
    assert examine("study.yaml", "copying", base=own).ref.series == "other"
    assert examine("study.yaml", base=own).ref.coords["step"] == 50
    with pytest.raises(UserError, match="not among the study's tasks"):
        examine("study.yaml", "copyin", base=own)
