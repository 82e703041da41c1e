"""Guards that read a store's own records: each planted fault is found where it was planted, health raises nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.curves.guards import GUARDS
from saltus.models.base import AskPolicy, SeriesEntry
from saltus.models.local.tiny import checkpoint
from saltus.records import Answer, Item, Request, Score, Settings
from saltus.runner.loop import run
from saltus.store import Store, Writer
from saltus.store.signs import of_answers, of_prompts
from saltus.store.upkeep import compact
from saltus.tasks.base import Task
from saltus.testing import ScriptedModel, ToyTask

from helpers.small_study import SmallStudy

LATE = 30e6
"""Tokens from which on faults are planted: the last four of eight points."""


def study(*tasks: Task, points: int = 8, limit: int = 30) -> SmallStudy:
    return SmallStudy(tasks or (ToyTask(),), limit=limit, points=points)


def found(store: Store, asked: Any) -> dict[tuple[str, str], tuple[str, str, list[float]]]:
    """(guard, task) → severity, why, the suspected places on the axis tokens (or step)."""
    batch = assemble(store.item_table(asked).collect(), series=("series",)).batch
    out = {}
    for i, (key, suspects) in enumerate(zip(batch.keys, batch.suspects, strict=True)):
        for one in suspects:
            if key.axis in ("tokens", "step"):
                places = batch.raw_x[i][one.mask].tolist()
                out.setdefault((one.guard, key.task), (one.severity, one.why, places))
    return out


def late(model: ScriptedModel) -> bool:
    return float(model.ref.coords["tokens"]) > LATE


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.saltus")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """planted("_likelihood", fault): late models' answers go through fault(request, answer)."""

    def plant(method: str, fault: Callable[[Request, Answer], Answer]) -> None:
        whole = getattr(ScriptedModel, method)

        def faulty(self: ScriptedModel, request: Request, key: str) -> Answer:
            answer = whole(self, request, key)
            return fault(request, answer) if late(self) else answer

        monkeypatch.setattr(ScriptedModel, method, faulty)

    return plant


@dataclass(frozen=True, kw_only=True)
class Menu(ToyTask):
    """One of four choices, to be written."""

    name: str = "menu"
    format: str = "choices"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"generate"})

    @property
    def primary(self) -> tuple[str, str | None]:
        return "exact_match", None

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        yield Request(kind="generate", prompt=item.question, settings=Settings(max_tokens=7))

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        right = float(answers[0].text.strip() == item.target)
        return [Score(metric_hard="exact_match", hard=right, why_no_soft="text alone")]


@dataclass(frozen=True, kw_only=True)
class Prose(ToyTask):
    """Choices after a sentence, with the white space a test wants."""

    name: str = "prose"
    format: str = "choices"
    before: tuple[str, str] = (" ", " ")
    end: str = "Answer:"
    generated: bool = False

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"generate" if self.generated else "loglikelihood"})

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        prompt = f"Read this with care and say what it is that is copied here: {item.question}\n{self.end}"
        if self.generated:
            yield Request(kind="generate", prompt=prompt)
            return
        for i, text in enumerate(item.choices):
            yield Request(kind="loglikelihood", prompt=prompt, continuation=self.before[i % 2] + text)

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        if self.generated:
            return [Score(metric_hard="exact_match", hard=0.0, why_no_soft="text alone")]
        return super().score(item, answers)


# health


def test_a_healthy_run_raises_nothing(store: Store) -> None:
    tasks = (ToyTask(), ToyTask(name="c", format="choices"), ToyTask(name="g", format="generate"), Prose())
    asked = study(*tasks)
    run(asked, store)
    assert found(store, asked) == {}


def test_the_tasks_that_come_with_saltus_have_sound_seams(store: Store, tmp_path: Path) -> None:
    from saltus import plugins

    rows = [
        {"question": "What is the capital of France, in the west?", "choices": ["Paris", "Rome"], "answer": "Paris"},
        {"question": "Which colour does one see in the sky?", "choices": ["red", "blue"], "answer": "blue"},
    ]
    (tmp_path / "mc.jsonl").write_text("\n".join(map(json.dumps, rows)))
    open_ended = [{"question": r["question"], "answer": r["answer"]} for r in rows]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, open_ended)))
    make = plugins.load("tasks", "jsonl")
    tasks = [
        make("mc.jsonl", tmp_path, name="cloze"),
        make("mc.jsonl", tmp_path, name="letters", format="letters"),
        make("qa.jsonl", tmp_path, name="qa"),
        *(plugins.load("tasks", name)(None, tmp_path) for name in ("addition", "copying", "modular_addition")),
    ]
    for task in tasks:
        for item in task.items(8, np.random.default_rng(0)):
            if task.name in ("cloze", "letters", "qa"):
                item = replace(item, demos=tuple(task.demos(item, 1, np.random.default_rng(1))))
            answers = [Answer(key=f"{i}", text="x") for i in range(20)]
            assert of_prompts(task, item, answers) == "", task.name


# likelihoods


def zeros(request: Request, answer: Answer) -> Answer:
    return replace(answer, token_logprobs=(0.0,) * len(answer.token_ids), greedy=False)


def equal(request: Request, answer: Answer) -> Answer:
    return replace(answer, token_logprobs=(-1.5,) * len(answer.token_ids))


def test_choices_that_are_all_as_likely_are_disqualified(store: Store, planted: Callable[..., None]) -> None:
    planted("_likelihood", equal)
    asked = study(ToyTask(name="c", format="choices"))
    run(asked, store)
    severity, why, places = found(store, asked)["tied_choices", "c"]
    assert severity == "disqualifying"
    assert "all choices are exactly as likely" in why
    assert len(places) == 4
    assert min(places) > LATE


@pytest.mark.parametrize("kind", ["choices", "cloze"])
def test_log_probabilities_of_exactly_zero_are_disqualified(
    kind: str, store: Store, planted: Callable[..., None]
) -> None:
    planted("_likelihood", zeros)
    asked = study(ToyTask(name="z", format=kind))
    run(asked, store)
    severity, _, places = found(store, asked)["zero_likelihoods", "z"]
    assert (severity, len(places)) == ("disqualifying", 4)


def test_a_model_that_is_sure_of_what_is_right_is_no_fault(store: Store, planted: Callable[..., None]) -> None:
    planted("_likelihood", lambda _, a: replace(zeros(_, a), greedy=True))
    asked = study()
    run(asked, store)
    assert found(store, asked) == {}


# generated answers


def test_answers_cut_with_the_right_one_in_them_are_a_caution(store: Store, planted: Callable[..., None]) -> None:
    def ran_on(request: Request, answer: Answer) -> Answer:
        right = request.prompt.split("copy: ")[-1].removesuffix(" =")
        return replace(answer, text=f"{right} and what else could be said", finish="length")

    planted("_text", ran_on)
    asked = study(ToyTask(name="g", format="generate"))
    run(asked, store)
    severity, why, places = found(store, asked)["cut_answers", "g"]
    assert (severity, len(places)) == ("caution", 4)
    assert why.startswith("1.0 of the answers")


def test_a_model_that_rambles_wrongly_to_the_limit_is_no_fault(store: Store, planted: Callable[..., None]) -> None:
    planted("_text", lambda _, a: replace(a, text="and so and so and", finish="length"))
    asked = study(ToyTask(name="g", format="generate"))
    run(asked, store)
    assert "cut_answers" not in {guard for guard, _ in found(store, asked)}


def test_answers_that_are_none_of_the_choices_are_a_caution(store: Store, planted: Callable[..., None]) -> None:
    planted("_text", lambda _, a: replace(a, text="I cannot say."))
    asked = study(Menu())
    run(asked, store)
    severity, _, places = found(store, asked)["off_menu", "menu"]
    assert severity == "caution"
    assert len([x for x in places if x > LATE]) == 4


ITEM = Item(id="i", question="q", choices=("Paris", "Rome", "12"), gold=(0,), target="Paris")


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("Paris", False),
        (" it is ROME, of course", False),
        ("(B)", False),
        ("Answer: C.", False),
        ("b", True),
        ("Berlin", True),
        ("", True),
        ("D", True),
    ],
)
def test_the_menu_is_read_kindly(text: str, off: bool) -> None:
    message = Answer(key="k", text=text, finish="eos")
    assert of_answers(ITEM, [message], False)[1] is off
    assert of_answers(ITEM, [message], True)[1] is False, "what the scorer took is on the menu"


def test_a_number_within_a_number_is_not_the_answer() -> None:
    item = Item(id="i", target="12")
    for text, cut in (("it is 512 then", False), ("it is 12 then", True), ("  ", True)):
        assert of_answers(item, [Answer(key="k", text=text, finish="length")], False)[0] is cut
        assert of_answers(item, [Answer(key="k", text=text, finish="eos")], False)[0] is False


def test_signs_that_do_not_apply_are_null() -> None:
    likely = Answer(key="k", token_ids=(1,), token_logprobs=(-1.0,), greedy=True)
    assert of_answers(ITEM, [likely], False) == (None, None, None, False)
    outcome = Answer(key="k", text="…", finish="outcome")
    assert of_answers(ITEM, [outcome], False) == (None, None, None, None)


# white space


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Prose(before=("", "")), "run together"),
        (Prose(before=(" ", "")), "some choices begin with a space"),
        (Prose(end="Answer: ", generated=True), "ends in a space"),
    ],
)
def test_a_seam_without_or_with_a_stray_space_is_a_caution(task: Task, message: str, store: Store) -> None:
    asked = study(task)
    run(asked, store)
    severity, why, places = found(store, asked)["white_space_seam", "prose"]
    assert severity == "caution"
    assert message in why
    assert places == [], "it is the same at every point"


@pytest.mark.parametrize(
    "task",
    [
        Prose(end="Answer:\n", before=("", "")),
        Prose(end="Answer: ", before=("", "")),
        Prose(end="Answer:\n", generated=True),
    ],
)
def test_a_sound_seam_is_no_fault(task: Task, store: Store) -> None:
    asked = study(task)
    run(asked, store)
    assert "white_space_seam" not in {guard for guard, _ in found(store, asked)}


@dataclass(frozen=True, kw_only=True)
class Stated(ToyTask):
    """Any prompt and continuation."""

    text: tuple[str, str] = ("", "")

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        yield Request(kind="loglikelihood", prompt=self.text[0], continuation=self.text[1])


@pytest.mark.parametrize(
    "text",
    [
        ("abcabcabcabcab", "c"),
        ("12+30=", "42"),
        ("这是一个很长的句子，里面没有空格。答案", "北京"),
        ("a b c d a b c", " d"),
        ("def f(x):\n    return", " x"),
        ("It is what it is: (", "B"),
    ],
)
def test_texts_that_are_written_without_spaces_are_innocent(text: tuple[str, str]) -> None:
    task = Stated(text=text)
    assert of_prompts(task, task.items(1, np.random.default_rng(0))[0], []) == ""


# one identity, two answers


def doubled(store: Store, change: Callable[[Answer], Answer]) -> None:
    """A second writer stores the same questions once more, with other answers."""
    model = store.contents().models[-1].identity
    keys = store.answers(model).select("key").collect()["key"].to_list()
    writer = Writer(store)
    writer.begin(model)
    for answer in store.fetch(model, keys[:3]).values():
        writer.add_answer(change(answer))
    writer.commit()


@pytest.mark.parametrize("merged", [False, True])
def test_two_answers_under_one_identity_are_disqualified(merged: bool, store: Store) -> None:
    asked = study()
    run(asked, store)
    doubled(store, lambda a: replace(a, token_logprobs=tuple(x - 1 for x in a.token_logprobs)))
    if merged:
        compact(store)
        compact(store)
    severity, why, places = found(store, asked)["changed_answers", "toy"]
    assert (severity, places) == ("disqualifying", [pytest.approx(1e9)])
    assert why.startswith("3 questions have two different answers")


def test_the_same_answer_twice_is_no_fault(store: Store) -> None:
    asked = study()
    run(asked, store)
    doubled(store, lambda a: replace(a, token_logprobs=tuple(x + 1e-3 for x in a.token_logprobs)))
    assert found(store, asked) == {}


# checkpoints on disk


@dataclass(frozen=True, kw_only=True)
class Folders(SmallStudy):
    """Checkpoints of a folder, asked two questions."""

    options: dict[str, Any]
    folder: Path = Path()

    def entries(self) -> list[SeriesEntry]:
        source = f"{self.folder}/step-{{step}}"
        return [SeriesEntry(scheme="dir", source=source, series="S", options=self.options)]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("four")
    for seed in range(4):
        checkpoint(folder / f"step-{10**seed}", seed=seed, bos="prepends")
    return folder


@pytest.fixture
def folder(four: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(four, tmp_path / "runs"))


def asked_of(folder: Path, **policy: Any) -> Folders:
    task = policy.pop("task", ToyTask(name="c", format="choices"))
    return Folders(task_list=(task,), limit=2, options={}, folder=folder, ask=AskPolicy(**policy))


def guards(folder: Path, store: Store, **policy: Any) -> dict[str, tuple[str, str, list[float]]]:
    asked = asked_of(folder, **policy)
    report = run(asked, store)
    assert report.failed == 0, report.failures
    return {guard: rest for (guard, _), rest in found(store, asked).items()}


def test_healthy_checkpoints_raise_nothing(folder: Path, store: Store) -> None:
    assert guards(folder, store) == {}


def test_one_checkpoint_under_two_names_is_disqualified(folder: Path, store: Store) -> None:
    shutil.copytree(folder / "step-10", folder / "step-10000")
    severity, why, places = guards(folder, store)["same_weights"]
    assert (severity, places) == ("disqualifying", [10000])
    assert "the same weights as at step 10" in why


def test_a_name_that_says_another_step_is_a_caution(folder: Path, store: Store) -> None:
    for step, given in ((1, 1), (10, 10), (100, 100), (1000, 500)):
        state = {"global_step": given, "log_history": []}
        (folder / f"step-{step}/trainer_state.json").write_text(json.dumps(state))
    severity, why, places = guards(folder, store)["misplaced_checkpoint"]
    assert (severity, places) == ("caution", [1000])
    assert "its name says step 1000, its trainer_state.json 500" in why


def test_names_that_count_in_another_unit_are_no_fault(folder: Path, store: Store) -> None:
    for step in (1, 10, 100, 1000):
        state = {"global_step": step * 1000, "log_history": []}
        (folder / f"step-{step}/trainer_state.json").write_text(json.dumps(state))
    assert guards(folder, store) == {}


def test_another_tokenizer_in_a_run_is_disqualified(folder: Path, store: Store) -> None:
    path = folder / "step-100/tokenizer.json"
    words = json.loads(path.read_text())
    words["model"]["merges"].reverse()
    size = path.stat().st_size
    path.write_text(json.dumps(words, indent=2, ensure_ascii=False))
    assert path.stat().st_size == size, "files of one size are not looked at when they are listed"
    asked = asked_of(folder)
    run(asked, store)
    severity, _, places = found(store, asked)["mixed_tokenizer", "c"]
    assert (severity, places) == ("disqualifying", [100])


def test_a_tokenizer_saved_anew_is_no_fault(folder: Path, store: Store) -> None:
    path = folder / "step-100/tokenizer.json"
    words = json.loads(path.read_text())
    words["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(words, indent=3))
    assert guards(folder, store) == {}


def test_a_missing_bos_is_a_caution(folder: Path, store: Store) -> None:
    severity, why, places = guards(folder, store, bos="never")["bos"]
    assert (severity, places) == ("caution", [1, 10, 100, 1000])
    assert "missing" in why


@dataclass(frozen=True, kw_only=True)
class Marked(ToyTask):
    """A text that brings begin-of-sequence marks of its own."""

    marks: str = ""
    format: str = "choices"

    def prompt(self, item: Item) -> str:
        return f"{self.marks}{item.question}"


def test_a_doubled_bos_is_a_caution_and_one_that_the_text_brings_is_not(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    severity, why, _ = guards(folder, store, task=Marked(marks="<bos><bos>"))["bos"]
    assert (severity, why.split(": ")[1]) == ("caution", "double")
    assert guards(folder, Store(tmp_path / "o.saltus"), task=Marked(marks="<bos>")) == {}


@dataclass(frozen=True, kw_only=True)
class Longer(ToyTask):
    """Every question is longer than the one before."""

    format: str = "choices"

    def prompt(self, item: Item) -> str:
        return "the fox " * int(item.id.removeprefix("toy-")) + item.question


def test_prompts_that_do_not_fit_are_missing_with_both_lengths_and_never_cut(folder: Path, store: Store) -> None:
    path = folder / "step-100/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_position_embeddings": 40}))
    asked = replace(asked_of(folder, task=Longer()), limit=12)
    report = run(asked, store)
    assert report.failed > 0
    assert all("step-100" in line and "nothing is truncated" in line for line in report.failures)
    caught = found(store, asked)
    assert caught["unequal_items", "toy"][0] == "caution"
    assert "truncated_prompts" not in {guard for guard, _ in caught}


# published tables that carry such columns


def test_shots_that_change_within_a_series_are_disqualified() -> None:
    rows = pl.DataFrame(
        {
            "series": ["S"] * 7,
            "model": ["m"] * 7,
            "tokens": [10.0**k for k in range(6, 13)],
            "task": ["t"] * 7,
            "metric": ["acc"] * 7,
            "n_items": [1000] * 7,
            "n_shot": [0, 0, 0, 0, 5, 5, 0],
            "value": [0.25, 0.26, 0.25, 0.3, 0.7, 0.8, 0.4],
        }
    )
    batch = assemble(rows, series=("series",)).batch
    one = next(s for s in batch.suspects[0] if s.guard == "mixed_shots")
    assert one.severity == "disqualifying"
    assert np.flatnonzero(one.mask[0]).tolist() == [4, 5]
    assert one.why == "worked examples differ within the series: 5 here, 0 elsewhere"


def test_every_engine_guard_is_registered() -> None:
    from saltus.curves.guards.provenance import GUARDS as ENGINE

    assert {guard.name for guard in ENGINE} <= {guard.name for guard in GUARDS}
