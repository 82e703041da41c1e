"""Models behind Inspect: what is sent and what comes back, with its mock provider and with a real server."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.tool import ToolInfo

from saltus.errors import UserError
from saltus.models.base import ModelError, answer_key
from saltus.models.inspect import model as ours
from saltus.models.inspect.messages import Call, Unaskable, answer_of, call_of, output_of, request_of
from saltus.models.inspect.model import InspectModel, adapter
from saltus.models.local import tiny
from saltus.records import Answer, AskPolicy, Request, SeriesEntry, Settings
from saltus.runner.loop import run
from saltus.store import Store
from saltus.study.document import load

from helpers.openai_server import FakeServer, logprobs

SECRET = "sk-very-secret-0123456789"
ALL = ours.CHAT_OFFERS
TEXT = frozenset({"generate"})


def entry(source: str, **options: Any) -> SeriesEntry:
    return SeriesEntry(scheme="inspect", source=source, options=options)


def stated(text: str, **usage: Any) -> ModelOutput:
    out = ModelOutput.from_content("mockllm", text)
    out.usage = ModelUsage(**{"input_tokens": 7, "output_tokens": 2, "total_tokens": 9, **usage})
    return out


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., InspectModel]]:
    """mock(outputs, **options) -> Inspect's mock model with these outputs, as our model."""
    models = []

    def make(outputs: Any, **options: Any) -> InspectModel:
        def opened(ref: Any, options: Any) -> Any:
            config = GenerateConfig(max_connections=options["concurrency"])
            return get_model("mockllm/model", custom_outputs=outputs, config=config)

        monkeypatch.setattr(ours, "_opened", opened)
        (ref,) = adapter.series(entry("mockllm/model", **options), AskPolicy(), Path())
        models.append(adapter.open(ref, AskPolicy()))
        return models[-1]

    yield make
    for model in models:
        model.close()


def ask(model: InspectModel, *requests: Request) -> list[Answer]:
    """Answers in the order of the requests."""
    encoded = [model.encode(r) for r in requests]
    by_key = {a.key: a for a in model.generate(encoded)}
    return [by_key[answer_key(model.identity, r)] for r in encoded]


def test_settings_seed_and_prompt_arrive_and_text_tokens_and_cost_come_back(mock):
    seen = []

    def outputs(input: Any, tools: Any, choice: Any, config: GenerateConfig) -> ModelOutput:
        seen.append((input, tools, config))
        return stated(" 42", input_tokens_cache_read=3)

    model = mock(outputs, price={"input": 2.0, "output": 10.0})
    settings = Settings(max_tokens=5, temperature=0.7, top_p=0.9, stop=("\n",))
    (answer,) = ask(model, Request(kind="generate", prompt="6 * 7 =", settings=settings, seed=2**40 + 3))
    assert (answer.text, answer.finish, answer.error) == (" 42", "stop", None)
    assert (answer.tokens_in, answer.tokens_out) == (10, 2), "cached tokens were read too"
    ((messages, tools, config),) = seen
    assert [(m.role, m.content) for m in messages] == [("user", "6 * 7 =")]
    assert tools == []
    assert (config.max_tokens, config.temperature, config.top_p) == (5, 0.7, 0.9)
    assert (config.stop_seqs, config.seed) == (["\n"], 3)
    assert model.spent == {"requests": 1, "tokens_in": 10, "tokens_out": 2, "cost": pytest.approx(4e-5)}


def test_questions_are_asked_at_once_up_to_the_limit(mock):
    now, most, lock = 0, 0, threading.Lock()

    async def outputs(*_: Any) -> ModelOutput:
        nonlocal now, most
        import anyio

        with lock:
            now += 1
            most = max(most, now)
        await anyio.sleep(0.05)
        now -= 1
        return stated("x")

    model = mock(outputs, concurrency=4)
    answers = ask(model, *(Request(kind="generate", prompt=str(i)) for i in range(12)))
    assert len(answers) == 12
    assert most == 4


def test_a_failure_is_an_answer_with_its_reason_and_without_the_key(mock, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", SECRET)

    def outputs(input: Any, *_: Any) -> ModelOutput:
        if "bad" in input[-1].text:
            raise RuntimeError(f"no such model for {SECRET}")
        return stated("fine")

    good, bad = ask(mock(outputs), *(Request(kind="generate", prompt=p) for p in ("good", "bad")))
    assert (good.text, good.error) == ("fine", None)
    assert bad.error == "mockllm/model: RuntimeError: no such model for …"
    assert bad.text == ""


def test_a_refusal_by_the_provider_is_a_failure_not_an_empty_answer(mock):
    refused = ModelOutput(model="m", choices=[], error="blocked", usage=ModelUsage())
    (answer,) = ask(mock([refused]), Request(kind="generate", prompt="x"))
    assert "blocked" in answer.error


def test_log_likelihoods_are_refused_with_the_way_out(mock):
    model = mock([])
    assert "loglikelihood" not in model.offers
    assert "openai:URL#name" in model.lacks["loglikelihood"]
    with pytest.raises(ModelError, match="different estimator"):
        model.encode(Request(kind="loglikelihood", prompt="a", continuation="b"))


def test_reasoning_is_kept_apart(mock):
    out = stated("")
    out.choices[0].message.content = [ContentReasoning(reasoning="six sevens"), ContentText(text="42")]
    out.completion = "42"
    (answer,) = ask(mock([out]), Request(kind="generate", prompt="x"))
    assert (answer.text, answer.trace) == ("42", "six sevens")


def test_identity_is_name_address_date_and_settings_not_how_hard_it_is_asked(mock):
    def identity(**options: Any) -> str:
        return mock([], **options).identity

    plain = identity()
    assert plain == identity(concurrency=3, price={"input": 1.0}, retries=2)
    others = [identity(base_url="http://here/v1"), identity(config={"top_k": 5}), identity(args={"a": 1})]
    assert len({plain, *others}) == 4


def test_a_pattern_names_a_series_sorted_by_size():
    refs = adapter.series(entry("mockllm/pythia-{params}", params=["160m", "70m"]), AskPolicy(), Path())
    assert [r.location for r in refs] == ["mockllm/pythia-70m", "mockllm/pythia-160m"]
    assert [r.coords["params"] for r in refs] == [70_000_000, 160_000_000]
    assert {r.series for r in refs} == {"pythia"}
    assert len({r.coords["model"] for r in refs}) == 2, "sizes are models of their own"


@pytest.mark.parametrize(
    ("source", "options", "stated"),
    [
        ("opnai/gpt-4o", {}, "did you mean `openai`"),
        ("gpt-4o", {}, "inspect:provider/model"),
        ("mockllm/m-{step}", {}, "no list fills"),
        ("mockllm/m", {"retrys": 3}, "did you mean `retries`"),
        ("mockllm/m", {"concurrency": 0}, "whole number from 1"),
        ("mockllm/m", {"args": {"api_key": "x"}}, "looks like a secret"),
        ("mockllm/m", {"key_env": "sk-1234"}, "not the name of an environment variable"),
        ("mockllm/m", {"base_url": "http://me:pw@host/v1"}, "user or password"),
        ("mockllm/m", {"config": {"temprature": 1}}, "temprature"),
        ("mockllm/m", {"price": {"in": 1}}, "for a million tokens"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(source, options, stated):
    with pytest.raises(UserError, match=stated):
        adapter.series(entry(source, **options), AskPolicy(), Path())


def test_a_missing_package_or_key_is_a_message_that_names_it(monkeypatch):
    (ref,) = adapter.series(entry("anthropic/claude"), AskPolicy(), Path())
    with pytest.raises(UserError, match=r"pip install anthropic|ANTHROPIC_API_KEY"):
        adapter.open(ref, AskPolicy())
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    (ref,) = adapter.series(entry("mockllm/m", key_env="NO_SUCH_KEY"), AskPolicy(), Path())
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        adapter.open(ref, AskPolicy())


def test_without_inspect_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.model", None)
    with pytest.raises(UserError, match=r"saltus\[inspect\]"):
        adapter.series(entry("openai/x"), AskPolicy(), Path())


# conversations, both ways


def call(*contents: Any, **more: Any) -> Call:
    return Call([ChatMessageUser(content=c) for c in contents], **more)


def test_text_becomes_chat_where_there_is_chat_and_a_prompt_where_not():
    stated = call("Be brief.", "1 + 1 =")
    chat = request_of(stated, frozenset({"generate", "chat"}), Settings())
    assert [m["content"] for m in chat.messages] == ["Be brief.", "1 + 1 ="]
    assert request_of(stated, TEXT, Settings()).prompt == "Be brief.\n\n1 + 1 ="
    turns = Call([*stated.messages, ChatMessageAssistant(content="2")])
    with pytest.raises(Unaskable, match="several turns"):
        request_of(turns, TEXT, Settings())


def test_what_a_call_says_goes_before_what_holds_otherwise():
    config = GenerateConfig(temperature=0.5, stop_seqs=["END"])
    request = request_of(call("x", config=config), TEXT, Settings(max_tokens=9, top_p=0.8))
    s = request.settings
    assert (s.max_tokens, s.temperature, s.top_p, s.stop) == (9, 0.5, 0.8, ("END",))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (call("x", tools=[ToolInfo(name="bash", description="runs")]), "bash"),
        (call([ContentImage(image="data:image/png;base64,AA==")]), "type image"),
        (call("x", config=GenerateConfig(top_k=3)), "top_k"),
    ],
)
def test_tools_images_and_other_settings_go_to_inspects_own_models_alone(asked, why):
    with pytest.raises(Unaskable, match=why):
        request_of(asked, frozenset({"generate", "chat"}), Settings())
    request = request_of(asked, ALL, Settings(max_tokens=3))
    again = call_of(request)
    assert [t.name for t in again.tools] == [t.name for t in asked.tools]
    assert again.messages[0].content == asked.messages[0].content
    assert again.config.top_k == asked.config.top_k
    assert again.config.max_tokens == 3


def test_the_same_call_has_the_same_identity_whatever_ids_its_messages_have():
    tools = [ToolInfo(name="bash", description="runs")]
    first, second = (request_of(call("x", tools=tools), ALL, Settings()) for _ in range(2))
    assert first == second
    assert first != request_of(call("y", tools=tools), ALL, Settings())


def test_a_tool_call_comes_back_as_it_was():
    tools = [ToolInfo(name="bash", description="runs")]
    request = request_of(call("x", tools=tools), ALL, Settings())
    output = ModelOutput.for_tool_call("m", "bash", {"cmd": "ls"}, content="looking")
    output.usage = ModelUsage(input_tokens=3, output_tokens=4, total_tokens=7)
    again = output_of(request, answer_of(request, "key", output), "m")
    (tool,) = again.message.tool_calls
    assert (tool.function, tool.arguments) == ("bash", {"cmd": "ls"})
    assert tool.id == output.message.tool_calls[0].id
    assert (again.message.text, again.stop_reason) == ("looking", "tool_calls")
    assert again.usage.total_tokens == 7


def test_several_choices_per_call_are_refused_and_logprobs_come_back(mock):
    with pytest.raises(Unaskable, match="several choices"):
        request_of(call("x", config=GenerateConfig(num_choices=3)), ALL, Settings())
    request = request_of(call("x", config=GenerateConfig(logprobs=True)), ALL, Settings())
    output = stated("y")
    output.choices[0].logprobs = Logprobs(content=[Logprob(token="y", logprob=-0.5)])
    again = output_of(request, answer_of(request, "k", output), "m")
    assert again.choices[0].logprobs.content[0].logprob == -0.5
    assert again.completion == "y"


def test_a_failed_answer_is_never_an_output():
    request = Request(kind="generate", prompt="x")
    with pytest.raises(ValueError, match="out of memory"):
        output_of(request, Answer(key="k", error="out of memory"), "m")


# a real server, reached by Inspect's provider for OpenAI-compatible ones


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tiny.tokenizer(folder, "prepends")
    return folder


class Server(FakeServer):
    """Says what OpenAI's own client takes for granted, too."""

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        payload = super().answer(path, body)
        if "usage" in payload:
            payload["usage"]["total_tokens"] = sum(payload["usage"].values())
        return {"id": "1", "object": "chat.completion", "created": 1, **payload}


def served(server: FakeServer, **options: Any) -> InspectModel:
    source = entry("openai-api/local/tiny", base_url=server.url, key_env="LOCAL_KEY", **options)
    (ref,) = adapter.series(source, AskPolicy(), Path())
    return adapter.open(ref, AskPolicy())


def test_a_real_server_answers_and_never_gives_away_the_key(words, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    with Server(words, key=SECRET) as server:
        model = served(server, retries=0)
        settings = Settings(max_tokens=6)
        asked = [Request(kind="generate", prompt=p, settings=settings) for p in ("the cat", "CRASH")]
        fine, crashed = ask(model, *asked)
        (twice,) = ask(model, asked[0])
        bodies = [b for b in server.seen if b["path"].endswith("chat/completions")]
        model.close()
    assert fine.text == twice.text != ""
    assert (fine.finish, fine.tokens_out) == ("length", 6)
    (body, *_) = [b for b in bodies if b["messages"] == [{"role": "user", "content": "the cat"}]]
    assert (body["model"], body["temperature"]) == ("tiny", 0.0)
    assert "500" in crashed.error
    assert SECRET not in str([model.describe(), model.ref, fine, crashed])


def test_a_server_that_is_not_there_is_a_failure_per_question(words, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    with FakeServer(words) as server:
        pass
    model = served(server, retries=0, timeout=5)
    (answer,) = ask(model, Request(kind="generate", prompt="x"))
    model.close()
    assert "onnect" in answer.error


def completing(server: FakeServer) -> InspectModel:
    source = entry("openai-api-completions/local/tiny", base_url=server.url, key_env="LOCAL_KEY", retries=0)
    (ref,) = adapter.series(source, AskPolicy(), Path())
    return adapter.open(ref, AskPolicy())


def test_raw_completions_give_the_log_probabilities_of_a_continuation(words, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    with Server(words) as server:
        model = completing(server)
        assert model.offers == {"generate", "loglikelihood"}
        request = model.encode(Request(kind="loglikelihood", prompt="the cat sat on", continuation=" the mat"))
        (answer,) = model.loglikelihood([request])
        before = server.ids("the cat sat on")
        ids = server.ids("the cat sat on the mat")
        truth = [logprobs(tuple(ids[:i]), server.size)[ids[i]] for i in range(len(before), len(ids))]
        (text,) = ask(model, Request(kind="generate", prompt="the cat", settings=Settings(max_tokens=4)))
        model.close()
    assert answer.token_logprobs == pytest.approx(truth)
    assert answer.greedy is not None
    assert text.tokens_out == 4
    assert server.seen[-1]["prompt"] == "the cat", "as it stands, without a template"
    assert model.spent["requests"] == 2, "the probe is not counted"


@pytest.mark.parametrize(
    ("bad", "stated"),
    [
        ("no-prompt-logprobs", "tells no log-probabilities"),
        ("constant", "does not depend|log-probability"),
        ("unstable", "the same question gave"),
    ],
)
def test_a_server_without_true_log_probabilities_only_generates(words, monkeypatch, bad, stated):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    with Server(words, bad={bad}) as server:
        model = completing(server)
        assert model.offers == {"generate"}
        assert re.search(stated, model.lacks["loglikelihood"])
        assert "different estimator" in model.lacks["loglikelihood"]
        model.close()


def test_a_server_that_answers_nothing_is_no_model(words, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    with Server(words, bad={"no-completions"}) as server, pytest.raises(ModelError):
        completing(server)


@pytest.mark.slow
def test_what_passes_is_asked_again_by_inspect(words, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    with Server(words) as server:
        model = served(server, retries=3)
        (answer,) = ask(model, Request(kind="generate", prompt="BUSY", settings=Settings(max_tokens=2)))
        assert server.times["BUSY"] == 2
        model.close()
    assert answer.error is None
    assert answer.text


@pytest.mark.usefixtures("files_allowed")
@pytest.mark.parametrize("source", ["inspect:openai-api/local/tiny", "openai:URL#tiny"])
def test_a_task_of_inspects_asks_a_real_server_either_way(tmp_path, words, monkeypatch, source):
    """Inspect's own loop and the model's run side by side."""
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_KEY", SECRET)
    (tmp_path / "birds.py").write_text(
        "from inspect_ai import Task, task\nfrom inspect_ai.dataset import Sample\n"
        "from inspect_ai.scorer import includes\n\n@task\ndef birds():\n"
        "    data = [Sample(input=f'say {i}', target='zebra') for i in range(12)]\n"
        "    return Task(dataset=data, scorer=includes())\n"
    )
    with Server(words, key=SECRET, latency=0.02) as server:
        one = (f"base_url: {server.url}, " if source.startswith("inspect") else "") + "key_env: LOCAL_KEY"
        document = tmp_path / "study.yaml"
        document.write_text(
            f"study: s\nquestion: q\nmodels: [{{from: '{source.replace('URL', server.url)}', {one}}}]\n"
            "tasks: [{'inspect:birds.py@birds': {max_tokens: 4}}]\n"
        )
        study, store = load(document), Store(tmp_path / "study.saltus")
        report = run(study, store)
        assert server.most_at_once > 4, "asked together"
    assert report.failures == report.refusals == []
    table = store.item_table(study).collect().filter(metric="accuracy")
    assert table["value"].to_list() == [0.0] * 12
    assert SECRET not in "".join(p.read_text(errors="ignore") for p in tmp_path.rglob("*") if p.is_file())
