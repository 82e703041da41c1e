"""Inspect's tasks over a series: its solvers, tools, sandboxes and scorers, our store, identity and resuming."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai._util.entrypoints import clear_entry_points_state
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from saltus.errors import UserError
from saltus.models.inspect import model as models
from saltus.runner.loop import RunReport, run
from saltus.store import Store
from saltus.study import document as studies
from saltus.tasks.inspect.task import InspectTask, make
from saltus.testing import ScriptedModel, asked, forget

pytestmark = pytest.mark.usefixtures("files_allowed")

FILE = '''
import math
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, get_model
from inspect_ai.scorer import Score, accuracy, choice, exact, match, mean, model_graded_qa, pattern, scorer, stderr
from inspect_ai.solver import basic_agent, generate, multiple_choice, solver, system_message, use_tools
from inspect_ai.tool import bash, tool
from inspect_ai.util import sandbox


def numbers(n, start=100):
    return [Sample(input=f"copy: {i} =", target=str(i)) for i in range(start, start + n)]


@task
def copying(n: int = 6):
    return Task(dataset=numbers(n), solver=[system_message("Copy."), generate()], scorer=match())


@task
def twice():
    """Says what it was told, then asks again."""
    @solver
    def again():
        async def solve(state, generate):
            state = await generate(state)
            completion = state.output.completion
            state.messages.append(ChatMessageUser(content=f"copy: {completion}{completion} ="))
            return await generate(state)
        return solve

    data = [Sample(input=f"copy: {i} =", target=f"{i}{i}") for i in range(100, 106)]
    return Task(dataset=data, solver=again(), scorer=match())


@task
def vote():
    @solver
    def several():
        async def solve(state, generate):
            completions = [(await get_model().generate(state.messages)).completion for _ in range(8)]
            state.output.completion = " ".join(sorted(set(completions)))
            return state
        return solve

    @scorer(metrics=[mean()])
    def kinds():
        async def score(state, target):
            return Score(value=len(state.output.completion.split()))
        return score

    return Task(dataset=numbers(4), solver=several(), scorer=kinds())


@tool
def adder():
    async def execute(x: int, y: int):
        """Adds two numbers.

        Args:
            x: one
            y: the other
        """
        return str(x + y)

    return execute


@task
def adding():
    data = [Sample(input=f"What is {i} + 1?", target=str(i + 1)) for i in range(3)]
    return Task(dataset=data, solver=[use_tools(adder()), generate()], scorer=match())


@task
def shell():
    @scorer(metrics=[accuracy(), stderr()])
    def written():
        async def score(state, target):
            done = await sandbox().exec(["cat", "out.txt"])
            return Score(value="C" if done.stdout.strip() == target.text else "I", answer=done.stdout.strip())
        return score

    data = [Sample(input="Write the word in the file.", target="heron", files={"in.txt": "heron"})]
    return Task(dataset=data, solver=[use_tools(bash()), generate()], scorer=written(), sandbox="local")


@task
def menu():
    data = [Sample(input="Which is a bird?", choices=["heron", "pike", "adder", "moth"], target="A") for _ in range(4)]
    return Task(dataset=data, solver=multiple_choice(), scorer=choice())


@task
def judged():
    data = [Sample(input="What is a heron?", target="a bird", id="h")]
    return Task(dataset=data, solver=generate(), scorer=model_graded_qa(partial_credit=True))


@task
def picture():
    content = [ContentText(text="What is this?"), ContentImage(image="data:image/png;base64,AA==")]
    data = [Sample(input=[ChatMessageUser(content=content)], target="a dot")]
    return Task(dataset=data, solver=generate(), scorer=match())


@task
def values():
    @scorer(metrics=[mean()])
    def length():
        async def score(state, target):
            kinds = {"nan": math.nan, "partial": "P", "none": "N", "number": 0.25, "yes": True}
            return Score(value=kinds[state.sample_id])
        return score

    data = [Sample(input="copy: 1 =", target="1", id=k) for k in ("nan", "partial", "none", "number", "yes")]
    return Task(dataset=data, solver=generate(), scorer=length())


@task
def many():
    @scorer(metrics={"*": [mean()]})
    def table():
        async def score(state, target):
            return Score(value={"acc": 1, "choice_prob": 0.75, "words": 3})
        return score

    return Task(dataset=numbers(2), solver=generate(), scorer=table())


@task
def broken():
    @solver
    def odd():
        async def solve(state, generate):
            if state.sample_id == 2:
                raise RuntimeError("this solver is broken")
            return await generate(state)
        return solve

    return Task(dataset=numbers(3), solver=odd(), scorer=match())


@task
def unscored():
    return Task(dataset=numbers(1), solver=generate())


@task
def picky(n: int):
    return Task(dataset=numbers(n), scorer=match())
'''
SERIES = '{series: s, from: "scripted:leap", points: 5, ceiling: 1.0}'
MOCK = '{series: m, from: "inspect:mockllm/model"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(FILE)
    return tmp_path


def study(folder: Path, task: str, model: str = SERIES, more: str = "") -> tuple[Any, Store]:
    path = folder / "study.yaml"
    path.write_text(f"study: s\nquestion: q\nmodels: [{model}]\ntasks: [{task}]\n{more}")
    return studies.load(path), Store(folder / "study.saltus")


def done(folder: Path, task: str, model: str = SERIES, more: str = "") -> tuple[RunReport, pl.DataFrame]:
    asked_study, store = study(folder, task, model, more)
    report = run(asked_study, store)
    assert store.verify() == []
    return report, store.item_table(asked_study).collect()


def values(table: pl.DataFrame, metric: str) -> list[Any]:
    return table.filter(metric=metric)["value"].to_list()


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """mock(f): Inspect's mock model answers with f(messages, tools), text or an output; returns what it saw."""

    def use(answer: Any) -> list[Any]:
        seen: list[Any] = []

        def outputs(input: Any, tools: Any, *_: Any) -> ModelOutput:
            seen.append((input, tools))
            out = answer(input, tools)
            out = ModelOutput.from_content("mock", out) if isinstance(out, str) else out
            out.usage = ModelUsage(input_tokens=5, output_tokens=3, total_tokens=8)
            return out

        monkeypatch.setattr(models, "_opened", lambda *_: get_model("mockllm/model", custom_outputs=outputs))
        return seen

    return use


def test_a_series_is_scored_item_by_item_as_inspect_scores_it(folder):
    report, table = done(folder, '"inspect:tasks.py@copying"')
    assert report.failures == []
    assert report.asked == 30
    by_point = table.filter(metric="accuracy").group_by("tokens").agg(pl.col("value").mean())
    assert by_point.sort("tokens")["value"].to_list() == [0, 0, pytest.approx(0.5, abs=0.5), 1, 1]
    assert set(table["metric"]) == {"accuracy", "edit_similarity", "exact_match_stripped"}
    last = table.filter(pl.col("tokens") == table["tokens"].max())
    assert values(last, "edit_similarity") == [1.0] * 6


def test_a_finished_study_starts_nothing_again_and_rescoring_asks_nobody(folder, monkeypatch):
    done(folder, '"inspect:tasks.py@copying"')
    forget()
    monkeypatch.setattr(InspectTask, "conduct", lambda *_: pytest.fail("Inspect was started"))
    report, table = done(folder, '"inspect:tasks.py@copying"')
    assert (report.asked, report.known, asked()) == (0, 30, 0)
    asked_study, store = study(folder, '"inspect:tasks.py@copying"')
    again = store.item_table(asked_study, rescore=True).collect()
    assert again.sort(again.columns[:8])["value"].to_list() == table.sort(table.columns[:8])["value"].to_list()


def test_another_scorer_in_the_file_scores_stored_answers_anew(folder):
    done(folder, '"inspect:tasks.py@copying"')
    forget()
    (folder / "tasks.py").write_text(FILE.replace("scorer=match())", 'scorer=pattern("(.)"))', 1))
    report, table = done(folder, '"inspect:tasks.py@copying"')
    assert (report.asked, asked(), report.known) == (0, 0, 0)
    assert set(values(table, "accuracy")) == {0.0}, "one character is never the whole number"


def test_a_task_of_an_installed_package_is_found(folder, monkeypatch):
    package = folder / "site-packages"
    (package / "herons").mkdir(parents=True)
    (package / "herons" / "__init__.py").write_text("from herons.tasks import flying\n")
    (package / "herons" / "tasks.py").write_text(FILE.replace("def copying", "def flying"))
    facts = package / "herons-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: herons\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[inspect_ai]\nherons = herons\n")
    monkeypatch.syspath_prepend(package)
    clear_entry_points_state()  # Inspect looks for packages once per process
    task = make("herons/flying", folder, args={"n": 2})
    assert (task.name, len(task.loaded.samples)) == ("inspect:herons/flying[n=2]", 2)
    assert task.loaded.sha256 is None


def test_our_scores_equal_those_of_inspect_with_the_same_model(folder):
    one = '{series: s, from: "scripted:leap", points: 2, ceiling: 0.5, midpoint: 0.0}'
    _, table = done(folder, '"inspect:tasks.py@copying"', one)
    mine = table.filter(pl.col("tokens") == table["tokens"].max(), metric="accuracy").sort(
        pl.col("item_id").cast(pl.Int64)
    )
    args = {"points": 2, "ceiling": 0.5, "midpoint": 0.0}
    from saltus.models.inspect import provider as inspect_provider
    from saltus.testing import adapter

    provider = inspect_provider._opened
    refs = adapter.series(_entry(args), studies.AskPolicy(), folder)
    inspect_provider._opened = lambda *_: adapter.open(refs[-1], studies.AskPolicy())
    try:
        (log,) = inspect_eval(
            f"{folder}/tasks.py@copying",
            model="saltus/scripted:leap",
            display="none",
            log_dir=str(folder / "logs"),
            temperature=0,
        )
    finally:
        inspect_provider._opened = provider
    theirs = [{"C": 1.0, "I": 0.0}[s.scores["match"].value] for s in log.samples]
    assert mine["value"].to_list() == theirs
    assert 0 < sum(theirs) < 6, "the comparison has something to compare"


def _entry(options: dict[str, Any]) -> Any:
    from saltus.records import SeriesEntry

    return SeriesEntry(scheme="scripted", source="leap", options=options)


def test_the_provider_answers_inspect_alone_and_refuses_what_is_several(folder):
    sure = {"points": 1, "ceiling": 1.0, "midpoint": -9.0}
    model = get_model("saltus/scripted:leap", memoize=False, **sure)
    (log,) = inspect_eval(f"{folder}/tasks.py@copying", model=model, display="none", log_dir=str(folder / "logs"))
    assert log.status == "success"
    assert [s.scores["match"].value for s in log.samples] == ["C"] * 6
    with pytest.raises(PrerequisiteError, match="3 models are behind"):
        get_model("saltus/scripted:leap", memoize=False, points=3)
    with pytest.raises(PrerequisiteError, match="names no model"):
        get_model("saltus/nothing", memoize=False)


def test_later_turns_depend_on_earlier_answers_and_are_stored(folder):
    report, table = done(folder, '"inspect:tasks.py@twice"')
    last = table.filter(pl.col("tokens") == table["tokens"].max())
    assert values(last, "accuracy") == [1.0] * 6
    _, store = study(folder, '"inspect:tasks.py@twice"')
    keys = store.asks().collect()["keys"].list.len()
    assert set(keys) == {3}, "two answers and the outcome"
    assert report.asked == 60


def test_a_run_cut_short_goes_on_where_it_stopped_and_gives_the_same_table(folder, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "tasks.py").write_text(FILE)
    _, wanted = done(whole, '"inspect:tasks.py@twice"')
    faulty = SERIES.replace("}", ", faults: {raise_at: 9}}")
    forget()
    first, cut = done(folder, '"inspect:tasks.py@twice"', faulty)
    assert first.failed > 0
    assert cut["value"].null_count() > 0
    given = asked()
    report, table = done(folder, '"inspect:tasks.py@twice"')
    assert report.failures == []
    assert asked() == 60, f"{given} before; no answer is asked for twice"
    order = ["tokens", "item_id", "metric"]
    assert table.sort(order)["value"].to_list() == wanted.sort(order)["value"].to_list()


def test_tools_run_in_inspect_with_its_own_models(folder, mock):
    def answer(messages: Any, tools: Any) -> Any:
        assert [t.name for t in tools] == ["adder"]
        if messages[-1].role == "tool":
            return f"It is {messages[-1].text}"
        number = int(messages[-1].text.split()[2])
        return ModelOutput.for_tool_call("mock", "adder", {"x": number, "y": 1})

    seen = mock(answer)
    report, table = done(folder, '"inspect:tasks.py@adding"', MOCK)
    assert report.failures == []
    assert values(table, "accuracy") == [1.0, 1.0, 1.0]
    assert len(seen) == 6
    again, _ = done(folder, '"inspect:tasks.py@adding"', MOCK)
    assert (again.asked, len(seen)) == (0, 6)


def test_tools_in_words_make_agents_of_models_of_text(folder):
    leap = '{series: s, from: "scripted:leap", points: 3, ceiling: 1.0, oracle: "helpers.oracles:adds"}'
    report, table = done(folder, '{"inspect:tasks.py@adding": {tools: emulate}}', leap)
    assert report.failures == []
    by_point = table.filter(metric="accuracy").group_by("tokens").agg(pl.col("value").mean())
    first, *_, last = by_point.sort("tokens")["value"].to_list()
    assert first < last == 1.0
    again, same = done(folder, '{"inspect:tasks.py@adding": {tools: emulate}}', leap)
    assert (again.asked, same["value"].to_list()) == (0, table["value"].to_list())


def test_a_model_of_text_alone_refuses_tools_with_the_reason_and_once(folder):
    one = '{series: s, from: "scripted:leap", points: 1, last: 1.0e+6}'
    report, table = done(folder, '"inspect:tasks.py@adding"', one)
    assert report.failures == []
    (why,) = set(table.filter(metric="accuracy")["why_missing"])
    assert "tools (adder)" in why
    assert "text alone" in why
    again, _ = done(folder, '"inspect:tasks.py@adding"', one)
    assert (again.asked, again.known) == (0, 3), "a refusal is not retried"


def test_a_sandbox_is_written_to_and_its_state_scored(folder, mock):
    def answer(messages: Any, tools: Any) -> Any:
        if messages[-1].role == "tool":
            return "done"
        return ModelOutput.for_tool_call("mock", "bash", {"command": "cat in.txt > out.txt"})

    mock(answer)
    report, table = done(folder, '"inspect:tasks.py@shell"', MOCK)
    assert report.failures == []
    assert values(table, "accuracy") == [1.0]
    (folder / "tasks.py").unlink()  # the score needs no sandbox any more
    (folder / "tasks.py").write_text(FILE)
    asked_study, store = study(folder, '"inspect:tasks.py@shell"', MOCK)
    assert values(store.item_table(asked_study, rescore=True).collect(), "accuracy") == [1.0]


def test_choices_have_gold_answers_and_a_floor(folder, mock):
    mock(lambda *_: "ANSWER: A")
    report, table = done(folder, '"inspect:tasks.py@menu"', MOCK)
    assert report.failures == []
    assert values(table, "accuracy") == [1.0] * 4
    task = make("tasks.py@menu", folder)
    (item, *_) = task.items(1, np.random.default_rng(0))
    assert (item.gold, item.target, len(item.choices)) == ((0,), "heron", 4)
    assert task.floor(task.items(None, np.random.default_rng(0))).nominal == 0.25
    assert (task.format, task.primary) == ("letters", ("accuracy", None))


def test_a_judge_without_a_model_of_its_own_is_the_model_and_is_stored(folder, mock):
    def answer(messages: Any, _: Any) -> str:
        return "It is so. GRADE: P" if "assessing" in messages[-1].text else "A bird."

    mock(answer)
    report, table = done(folder, '"inspect:tasks.py@judged"', MOCK)
    assert (report.asked, report.failures) == (2, [])
    assert values(table, "accuracy") == [0.5]
    assert table.filter(metric="accuracy")["item_id"].to_list() == ["h"]


def test_images_reach_models_that_see_and_are_refused_by_others(folder, mock):
    seen = mock(lambda *_: "a dot")
    report, table = done(folder, '"inspect:tasks.py@picture"', MOCK)
    assert values(table, "accuracy") == [1.0]
    assert [c.type for c in seen[0][0][0].content] == ["text", "image"]
    report, _ = done(folder, '"inspect:tasks.py@picture"')
    assert "images" in report.refusals[0]


def test_every_kind_of_score_is_read_and_an_unscored_sample_is_no_zero(folder):
    one = '{series: s, from: "scripted:leap", points: 1, last: 1.0e+6}'
    _, table = done(folder, '"inspect:tasks.py@values"', one)
    found = dict(table.filter(metric="length").select("item_id", "value").iter_rows())
    assert found == {"nan": None, "partial": 0.5, "none": 0.0, "number": 0.25, "yes": 1.0}
    assert "unscored" in table.filter(item_id="nan")["why_missing"][0]
    _, table = done(folder, '"inspect:tasks.py@many"', one)
    assert values(table, "acc") == [1.0, 1.0]
    assert values(table, "choice_prob") == [0.75, 0.75]
    assert values(table, "words") == [3.0, 3.0]
    roles = dict(table.select("metric", "role").iter_rows())
    assert (roles["acc"], roles["choice_prob"]) == ("hard", "soft")


def test_a_sample_that_fails_is_a_failure_and_the_rest_goes_on(folder):
    one = '{series: s, from: "scripted:leap", points: 1, last: 1.0e+6}'
    report, table = done(folder, '"inspect:tasks.py@broken"', one)
    assert report.failed == 1
    assert "this solver is broken" in report.failures[0]
    assert table.filter(metric="accuracy")["value"].null_count() == 1


def test_a_run_that_is_interrupted_ends_inspect_and_goes_on_later(folder, monkeypatch):
    before = threading.active_count()
    calls = iter(range(100))
    generate = ScriptedModel.generate

    def stop_at_third(self: Any, requests: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return generate(self, requests)

    monkeypatch.setattr(ScriptedModel, "generate", stop_at_third)
    asked_study, store = study(folder, '{"inspect:tasks.py@twice": {at_once: 2}}')
    with pytest.raises(KeyboardInterrupt):
        run(asked_study, store)
    assert threading.active_count() <= before, "Inspect's thread has ended"
    forget()
    report, table = done(folder, '{"inspect:tasks.py@twice": {at_once: 2}}')
    assert report.failures == []
    assert table["value"].null_count() == 0
    assert 0 < asked() < 60, "what was answered before is not asked again"


def test_a_failed_answer_is_named_as_the_model_named_it(folder):
    one = '{series: s, from: "scripted:leap", points: 1, last: 1.0e+6, faults: {fail_at: [2]}}'
    report, _ = done(folder, '"inspect:tasks.py@copying"', one)
    assert report.failed == 1
    assert report.failures[0].endswith("1 failed: scripted to fail")


def test_repeats_are_samples_with_seeds_of_their_own_and_greedy_ones_share_answers(folder):
    flat = '{series: s, from: "scripted:flat", points: 1, last: 1.0e+6, floor: 0.5}'
    hot = '{"inspect:tasks.py@copying": {temperature: 1.0}}'
    report, table = done(folder, hot, flat, "repeats: 4\n")
    assert report.asked == 24
    spread = table.filter(metric="accuracy").group_by("item_id").agg(pl.col("value").n_unique())
    assert spread["value"].max() == 2
    report, table = done(folder, '"inspect:tasks.py@copying"', flat, "repeats: 4\n")
    assert report.asked == 6
    assert table.filter(metric="accuracy").height == 24


def test_a_conversation_that_samples_a_question_several_times_gets_several_answers(folder):
    flat = '{series: s, from: "scripted:flat", points: 1, last: 1.0e+6, floor: 0.5}'
    hot = '{"inspect:tasks.py@vote": {temperature: 1.0}}'
    report, table = done(folder, hot, flat)
    assert report.asked == 32
    assert max(values(table, "kinds")) > 1
    (folder / "tasks.py").write_text(FILE + "\n")  # another version, so played again
    again, same = done(folder, hot, flat)
    assert (again.asked, values(same, "kinds")) == (0, values(table, "kinds"))
    report, table = done(folder, '"inspect:tasks.py@vote"', flat)
    assert (report.asked, set(values(table, "kinds"))) == (4, {1.0})


def test_the_provider_gives_every_sample_of_a_question_a_seed_of_its_own(folder):
    model = get_model("saltus/scripted:flat", memoize=False, points=1, floor=0.5)
    (log,) = inspect_eval(
        f"{folder}/tasks.py@copying",
        model=model,
        display="none",
        log_dir=str(folder / "logs"),
        epochs=6,
        temperature=1.0,
    )
    message = {s.id: set() for s in log.samples}
    for sample in log.samples:
        message[sample.id].add(sample.output.completion)
    assert max(map(len, message.values())) > 1


def test_conditions_change_the_text_that_inspect_asks(folder):
    (folder / "tasks.py").write_text(FILE.replace('input=f"copy: {i} ="', 'input=f"Please copy: {i} ="'))
    report, table = done(
        folder, '"inspect:tasks.py@copying"', more="conditions: [baseline, {typos: [0.5]}, {shots: [2]}]\n"
    )
    assert report.failures == []
    assert report.asked == 60, "typed differently, so asked again"
    assert set(table["condition"]) == {"baseline", "typos[rate=0.5]", "shots[n=2]"}
    shots = table.filter(condition="shots[n=2]")
    assert shots["value"].null_count() == shots.height
    assert "worked examples itself" in shots["why_missing"][0]


def test_arguments_make_another_task_and_limits_the_same_items(folder):
    task = make("tasks.py@copying", folder, args={"n": 3})
    assert task.name == "inspect:tasks.py@copying[n=3]"
    rng = np.random.default_rng(0)
    assert [i.id for i in task.items(None, rng)] == ["1", "2", "3"]
    assert list(task.items(2, rng)) == list(task.items(None, rng))[:2]
    assert task.version != make("tasks.py@copying", folder).version
    assert task.skill == "copying"


def test_a_task_is_made_anew_in_another_process(folder):
    task = make("tasks.py@copying", folder, args={"n": 3})
    again = pickle.loads(pickle.dumps(task))
    assert (again.name, again.version, len(again.loaded.samples)) == (task.name, task.version, 3)


def test_inspects_own_logs_are_kept_where_the_study_says(folder):
    one = '{series: s, from: "scripted:leap", points: 1, last: 1.0e+6}'
    done(folder, '{"inspect:tasks.py@copying": {logs: kept}}', one)
    from inspect_ai.log import read_eval_log

    (path,) = (folder / "kept").glob("*.eval")
    assert len(read_eval_log(str(path)).samples) == 6


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        (None, {}, "names no task"),
        ("nofile.py@x", {}, "there is no file"),
        ("empty.py", {}, "@task"),
        ("tasks.py", {}, "13 tasks"),
        ("tasks.py@copyng", {}, "did you mean `copying`"),
        ("copying", {}, "names no task"),
        ("no_such_package/copying", {}, "no such task|cannot be made"),
        ("tasks.py@unscored", {}, "no scorer"),
        ("tasks.py@picky", {}, "cannot be made"),
        ("tasks.py@copying", {"args": {"m": 3}}, "no argument `m`"),
        ("tasks.py@copying", {"args": 3}, "name: value"),
        ("tasks.py@copying", {"max_token": 3}, "did you mean `max_tokens`"),
        ("tasks.py@copying", {"at_once": 0}, "whole number"),
        ("broken.py@x", {}, "cannot be made|@task"),
    ],
)
def test_what_is_wrong_with_a_task_is_said(folder, source, given, message):
    (folder / "empty.py").write_text("x = 1\n")
    (folder / "broken.py").write_text("from inspect_ai import task\n@task\ndef x(:\n")
    with pytest.raises(UserError, match=message):
        make(source, folder, **given)


def test_without_inspect_the_extra_is_named(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    for name in ("saltus.tasks.inspect.run", "saltus.tasks.inspect.samples"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UserError, match=r"saltus\[inspect\]"):
        make("tasks.py@copying", folder)
