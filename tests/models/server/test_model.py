"""A server is asked as a model: right numbers, an identity that admits what it is, and every failure by name."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from saltus import plugins
from saltus.cli.show_doctor import render
from saltus.models.base import Model, ModelError, answer_key
from saltus.models.local import tiny
from saltus.models.local.encoding import Encoder
from saltus.models.server.model import ServerModel, adapter
from saltus.records import Answer, AskPolicy, Request, SeriesEntry, Settings
from saltus.runner.doctor import examine
from saltus.runner.loop import RunReport, run
from saltus.runner.pool import checked
from saltus.store import Store
from saltus.study.document import load

from helpers.openai_server import FakeServer, logprobs

Open = Callable[..., ServerModel]
SECRET = "sk-very-secret-0123456789"
FAST = {"backoff": 0.01, "timeout": 5}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tiny.tokenizer(folder, "prepends")
    return folder


@pytest.fixture
def server(words: Path) -> Iterator[FakeServer]:
    with FakeServer(words) as fake:
        yield fake


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("openai", "saltus.models.server.model:adapter", "saltus.models")
    monkeypatch.setitem(plugins._found("models"), "openai", point)


@pytest.fixture
def opened(server: FakeServer, words: Path) -> Iterator[Open]:
    """opened(local=True, ask=…, date=…, **options) -> the model of the server under that policy."""
    models = []

    def open_(local: bool = True, ask: AskPolicy | None = None, date: Any = None, **options: Any) -> ServerModel:
        ask = ask or AskPolicy()
        given = {**FAST, **({"tokenizer": str(words)} if local else {}), **options}
        coords = {} if date is None else {"date": date}
        source = f"{server.url}#{server.names[0]}"
        entry = SeriesEntry(scheme="openai", source=source, options=given, coords=coords)
        models.append(adapter.open(adapter.series(entry, ask, Path())[0], ask))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def score(model: Model, *pairs: tuple[str, str]) -> list[Answer]:
    asked = [model.encode(Request(kind="loglikelihood", prompt=p, continuation=c)) for p, c in pairs]
    return in_order(model, asked, model.loglikelihood(asked))


def say(model: Model, *prompts: str, seed: int | None = None, **settings: Any) -> list[Answer]:
    asked = [
        model.encode(Request(kind="generate", prompt=p, seed=seed, settings=Settings(**settings))) for p in prompts
    ]
    return in_order(model, asked, model.generate(asked))


def in_order(model: Model, asked: Sequence[Request], answers: Iterator[Answer]) -> list[Answer]:
    by_key = {a.key: a for a in answers}
    return [checked(r, by_key[answer_key(model.identity, r)]) for r in asked]


PAIRS = (("the quick brown", " fox"), ("what is the answer ", "to the question"), ("7 + 5 =", " 12"))


@pytest.mark.parametrize("way", ["prompt_logprobs", "echo"])
def test_log_likelihoods_by_ids_are_the_models_own(opened: Open, words: Path, way: str, server: FakeServer) -> None:
    model, encoder = opened(score=way), Encoder(words, AskPolicy())
    for (prompt, continuation), answer in zip(PAIRS, score(model, *PAIRS), strict=True):
        request = encoder.encode(Request(kind="loglikelihood", prompt=prompt, continuation=continuation))
        ids, more = request.prompt_ids or (), request.continuation_ids or ()
        assert ids[0] == encoder.bos
        rows = [logprobs((*ids, *more[:i]), server.size) for i in range(len(more))]
        truth = [float(row[t]) for row, t in zip(rows, more, strict=True)]
        assert answer.token_logprobs == pytest.approx(truth, abs=1e-12)
        assert answer.token_ids == more
        ranks = [int((row > row[t]).sum()) for row, t in zip(rows, more, strict=True)]
        shown = ranks if way == "prompt_logprobs" else [min(r, 1) for r in ranks]
        assert answer.token_ranks == tuple(shown)
        assert answer.greedy == (not any(ranks))


def test_log_likelihoods_of_text_are_those_of_the_servers_ids(opened: Open, server: FakeServer) -> None:
    by_text = score(opened(local=False), *PAIRS)
    assert not any(a.error for a in by_text)
    never = score(opened(ask=AskPolicy(bos="never")), *PAIRS)
    for text, ids in zip(by_text, never, strict=True):
        assert text.token_logprobs == pytest.approx(ids.token_logprobs, abs=1e-12)
    server.adds_bos = True
    with_bos = score(opened(local=False), *PAIRS)
    for text, ids in zip(with_bos, score(opened(), *PAIRS), strict=True):
        assert text.token_logprobs == pytest.approx(ids.token_logprobs, abs=1e-12)


def test_a_greedy_continuation_is_found_greedy(opened: Open) -> None:
    model = opened(score="echo")
    request = model.encode(Request(kind="generate", prompt="the quick", settings=Settings(max_tokens=2)))
    ids = request.prompt_ids or ()
    best = []
    for _ in range(2):
        best.append(int(logprobs((*ids, *best), model.forms.encoder.tokenizer.vocab_size).argmax()))  # type: ignore[union-attr]
    scored = Request(kind="loglikelihood", prompt_ids=ids, continuation_ids=tuple(best))
    (answer,) = model.loglikelihood([scored])
    assert (answer.greedy, answer.token_ranks) == (True, (0, 0))


def test_generation_keeps_its_settings(opened: Open, server: FakeServer) -> None:
    model = opened()
    (whole,) = say(model, "the morning", max_tokens=12)
    assert (whole.finish, whole.tokens_out, whole.greedy) == ("length", 12, True)
    assert len(whole.token_logprobs) == 12
    stop = whole.text[5:7]
    (cut,) = say(model, "the morning", max_tokens=12, stop=(stop,))
    assert cut.text == whole.text[: whole.text.find(stop)]
    assert cut.finish == "stop"
    one, again, other = (say(model, "the morning", seed=s, temperature=1.0)[0].text for s in (1, 1, 2))
    assert one == again != other
    assert server.seen[-1]["seed"] == 2
    assert isinstance(server.seen[-1]["prompt"], list)


def test_greedy_means_the_most_likely_token_whatever_penalty_the_server_has(opened: Open, server: FakeServer) -> None:
    plain = opened()
    (truth,) = say(plain, "the morning", max_tokens=6)
    server.bad = {"penalty"}
    fixed = opened()
    (answer,) = say(fixed, "the morning", max_tokens=6)
    assert (answer.text, answer.greedy) == (truth.text, True)
    assert server.seen[-1]["repeat_penalty"] == 1.0
    assert fixed.describe().detail["neutral"] == fixed.probe.neutral
    server.bad = {"penalty", "strict"}
    stubborn = opened()
    (other,) = say(stubborn, "the morning", max_tokens=6)
    assert other.greedy is False
    assert stubborn.identity != fixed.identity, "an answer with a penalty is another"


def test_order_changes_no_key_and_no_answer(opened: Open) -> None:
    model = opened(concurrency=7)
    prompts = [f"number {i}" for i in range(30)]
    forth = say(model, *prompts, max_tokens=3)
    back = say(model, *prompts[::-1], max_tokens=3)
    assert [(a.key, a.text) for a in forth] == [(a.key, a.text) for a in back[::-1]]


def test_chat_only_wraps_a_prompt_and_says_so(opened: Open, server: FakeServer) -> None:
    server.bad = {"no-completions", "chat-length"}
    model = opened(local=False)
    (answer,) = say(model, "hello", max_tokens=3)
    assert answer.error is None
    assert server.seen[-1]["messages"] == [{"role": "user", "content": "hello"}]
    assert server.seen[-1]["max_completion_tokens"] == 3
    about = model.describe().plain()
    assert about["asks"] == {"loglikelihood": None, "generate": "chat, each prompt as one user message"}
    assert about["template"]["applied"] is True
    assert model.offers == {"generate", "chat"}
    assert "a different estimator" in model.lacks["loglikelihood"]
    (failed,) = score(model, ("a", " b"))
    assert "a different estimator" in (failed.error or "")


def test_messages_go_to_chat_and_prompts_to_completions(opened: Open, server: FakeServer) -> None:
    model = opened(local=False)
    request = Request(kind="generate", messages=({"role": "system", "content": "Be brief."},))
    asked = [model.encode(request), model.encode(Request(kind="generate", prompt="hi"))]
    assert not any(a.error for a in model.generate(asked))
    paths = {body["path"] for body in server.seen[-2:]}
    assert paths == {"/v1/completions", "/v1/chat/completions"}
    auto = opened(local=False, ask=AskPolicy(template="auto"))
    say(auto, "hi")
    assert server.seen[-1]["path"] == "/v1/chat/completions"
    assert "loglikelihood" not in auto.offers
    server.bad = {"no-chat"}
    with pytest.raises(ModelError, match="no /chat/completions"):
        opened(local=False).encode(request)


def test_text_in_two_parts_has_one_key_per_seam(opened: Open) -> None:
    model = opened(local=False)
    pairs = [("ab", "c"), ("a", "bc"), ("ab", " c"), ("ab ", "c")]
    keys = [
        answer_key(model.identity, model.encode(Request(kind="loglikelihood", prompt=p, continuation=c)))
        for p, c in pairs
    ]
    assert len(set(keys)) == 3
    assert keys[2] == keys[3], "white space at the end of a prompt belongs to the continuation"
    (spanning,) = score(model, ("the qui", "ck"))
    assert "do not part between" in (spanning.error or "")


def test_bad_questions_fail_alone(opened: Open, server: FakeServer) -> None:
    model = opened(timeout=0.3, retries=1)
    texts = ("HANG", "CRASH", "TORN", "LONG", "SHORT")
    answers = score(model, *((f"{t} and", " more") for t in texts), ("fine and", " more"))
    message = [a.error or "" for a in answers]
    assert "no answer within 0.3 s" in message[0]
    assert "HTTP 500: out of memory" in message[1]
    assert "not JSON" in message[2]
    assert "maximum context length" in message[3]
    assert "prompt log-probabilities for" in message[4]
    assert message[5] == ""
    assert all(s.startswith(f"{server.url}#tiny: ") for s in message[:5])


def test_a_short_echo_fails_alone(opened: Open) -> None:
    bad, good = score(opened(score="echo"), ("SHORT and", " more"), ("fine and", " more"))
    assert "log-probabilities where a prompt of" in (bad.error or "")
    assert good.error is None


def test_what_cannot_be_asked_is_not(opened: Open) -> None:
    model = opened(local=False)
    empty, nothing = score(model, ("", "a"), ("a", ""))
    assert "an empty prompt" in (empty.error or "")
    assert "continuation is empty" in (nothing.error or "")
    seen = Request(kind="generate", prompt="x", observe=("attention",))
    (inside,) = model.generate([model.encode(seen)])
    assert "attention" in (inside.error or "")
    with pytest.raises(ModelError, match="before `encode`"):
        list(model.generate([Request(kind="generate", prompt="x")]))


def test_a_truncated_prompt_is_a_failure(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened()
    whole = FakeServer.answer

    def forgetful(self: FakeServer, path: str, body: dict[str, Any]) -> dict[str, Any]:
        payload = whole(self, path, body)
        return {**payload, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}

    monkeypatch.setattr(FakeServer, "answer", forgetful)
    (answer,) = say(model, "the quick brown fox jumps over the lazy dog")
    assert "it read 3 of the prompt's" in (answer.error or "")


def test_the_identity_is_what_can_be_known(opened: Open, server: FakeServer) -> None:
    base = opened()
    assert base.identity == opened(concurrency=3, retries=2, price={"input": 1}).identity
    others = [
        opened(date="2026-05-01"),
        opened(local=False),
        opened(ask=AskPolicy(bos="never")),
        opened(fingerprint="any"),
    ]
    server.fingerprint = "fp-2"
    others.append(opened())
    server.served = "tiny-2026-05"
    others.append(opened())
    server.fingerprint, server.served, server.names = "fp-1", None, ("small",)
    others.append(opened())
    assert len({m.identity for m in (base, *others)}) == len(others) + 1
    about = others[-1].describe().plain()
    assert about["verified"] is False
    assert (about["fingerprint"], about["name"]) == ("fp-1", "small")
    assert json.dumps(about) == json.dumps(opened().describe().plain()), "provenance does not drift"


def test_another_model_behind_the_address_ends_the_answers(opened: Open, server: FakeServer) -> None:
    strict, lax = opened(), opened(fingerprint="any")
    server.fingerprint = "fp-2"
    with pytest.raises(ModelError, match="fingerprint changed from fp-1 to fp-2"):
        say(strict, "hi")
    assert say(lax, "hi")[0].error is None
    server.served = "tiny-v2"
    with pytest.raises(ModelError, match="model changed from tiny to tiny-v2|fingerprint changed"):
        say(strict, "hi")


def test_changing_fingerprints_are_refused_until_allowed(
    opened: Open, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter(range(10_000))
    each_another = property(lambda _: f"fp-{next(counted)}", lambda *_: None)
    monkeypatch.setattr(FakeServer, "fingerprint", each_another, raising=False)
    with pytest.raises(ModelError, match="more than one fingerprint.*fingerprint: any"):
        opened()
    assert "loglikelihood" in opened(fingerprint="any").offers


def test_cost_and_tokens_are_counted(opened: Open) -> None:
    model = opened(price={"input": 2.0, "output": 10.0})
    assert model.spent == {"requests": 0, "retries": 0, "tokens_in": 0, "tokens_out": 0, "cost": 0.0}
    answers = say(model, "FLAKY hello", "there", max_tokens=4)
    spent = model.spent
    assert spent["tokens_in"] == sum(a.tokens_in for a in answers) > 0
    assert spent["tokens_out"] == 8
    assert (spent["requests"], spent["retries"]) == (4, 2)
    assert spent["cost"] == pytest.approx((2.0 * spent["tokens_in"] + 10.0 * 8) / 1e6)
    assert opened().spent["cost"] is None


def test_a_tokenizer_may_come_from_the_hubs_cache(
    opened: Open, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, commit = tmp_path / "hub" / "models--org--words", "a" * 40
    shutil.copytree(words, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert opened(tokenizer="org/words").identity == opened().identity
    with pytest.raises(ModelError, match="org/missing.*not in the cache"):
        opened(tokenizer="org/missing")


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("bad", [set(), {"no-completions"}])
def test_doctor_shows_it(server: FakeServer, bad: set[str], tmp_path: Path) -> None:
    server.bad = bad
    (tmp_path / "q.jsonl").write_text(json.dumps({"id": "1", "question": "what is", "target": "it"}))
    seen = examine(f"openai:{server.url}#tiny", "jsonl:q.jsonl" if not bad else None, base=tmp_path)
    assert seen.about.verified is False
    assert (seen.tokens_per_second is None) == bool(bad)
    assert not [a.error for a in seen.asked if a.error]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(render(seen))
    assert f"{server.url}#tiny" in console.export_text().replace("\n", "")


# through the runner


def study(folder: Path, models: list[dict[str, Any]], task: str, n: int = 12) -> tuple[RunReport, Store]:
    """The study's run; questions with a choice are scored, those without are generated."""
    (folder / "items.jsonl").write_text(
        "\n".join(
            json.dumps({"id": str(i), "question": f"number {i}", "choices": ["one", "two"], "gold": i % 2})
            if task == "choices"
            else json.dumps({"id": str(i), "question": f"number {i}", "target": "two"})
            for i in range(n)
        ),
        encoding="utf-8",
    )
    entries = "\n".join(f"  - {json.dumps(m)}" for m in models)
    document = folder / "study.yaml"
    document.write_text(f"study: s\nmodels:\n{entries}\ntasks: ['jsonl:items.jsonl']\n")
    store = Store(folder / "study.saltus")
    return run(load(document), store), store


@pytest.mark.usefixtures("registered")
def test_a_study_is_asked_once_and_failures_again(server: FakeServer, words: Path, tmp_path: Path) -> None:
    entry = {"from": f"openai:{server.url}#tiny", "tokenizer": str(words), **FAST}
    first, _ = study(tmp_path, [entry], "choices")
    assert (first.failed, first.asked) == (0, 24)
    again, store = study(tmp_path, [entry], "choices")
    assert (again.asked, again.known) == (0, 12)
    message = next(iter(store.contents().models)).describe
    assert message["verified"] is False
    assert message["asks"]["loglikelihood"] == "token ids with prompt_logprobs"


@pytest.mark.usefixtures("registered")
def test_log_likelihood_tasks_are_refused_by_name(server: FakeServer, tmp_path: Path) -> None:
    server.bad = {"no-echo"}
    entry = {"from": f"openai:{server.url}#tiny", **FAST}
    report, store = study(tmp_path, [entry], "choices")
    assert report.asked == report.failed == 0
    (refusal,) = report.refusals
    assert "needs loglikelihood; the model offers chat, generate" in refusal
    described = store.contents().models[-1].describe
    assert "does not echo" in described["lacks"]["loglikelihood"]
    lines = {line["name"]: line for line in described["probe"]}
    assert lines["echo: lengths"]["passed"] is False


@pytest.mark.usefixtures("registered")
def test_one_dead_server_does_not_end_the_study(server: FakeServer, words: Path, tmp_path: Path) -> None:
    alive = {"from": f"openai:{server.url}#tiny", "tokenizer": str(words), **FAST}
    dead = {"from": "openai:http://127.0.0.1:9/v1#gone", "series": "dead", **FAST}
    report, _ = study(tmp_path, [dead, alive], "choices")
    assert [m.error is None for m in report.models] == [False, True]
    assert "127.0.0.1:9" in report.failures[0]
    assert "cannot be reached" in report.failures[0]
    assert report.asked == 24


@pytest.mark.usefixtures("registered")
def test_a_server_that_dies_in_mid_run_is_gone_on_with(server: FakeServer, words: Path, tmp_path: Path) -> None:
    entry = {"from": f"openai:{server.url}#tiny", "tokenizer": str(words), **FAST}
    entry |= {"retries": 1, "concurrency": 2}
    port = int(server.url.split(":")[2].split("/")[0])
    answer, left = server.answer, iter(range(40))

    def mortal(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if next(left, None) is None and not server._dead:
            server.die()
        return answer(path, body)

    server.answer = mortal  # type: ignore[method-assign]
    broken, _ = study(tmp_path, [entry], "choices", 60)
    assert broken.models[0].error is not None
    assert "stopped answering" in broken.models[0].error
    assert 0 < broken.asked < 120
    server.answer, server._dead = answer, False  # type: ignore[method-assign]
    server._start(port)
    whole, _ = study(tmp_path, [entry], "choices", 60)
    assert whole.failed == 0
    answered = broken.asked - sum(t.tally.failed for t in broken.models)
    assert whole.asked <= 120 - answered + 16
    assert study(tmp_path, [entry], "choices", 60)[0].asked == 0


@pytest.mark.usefixtures("registered")
def test_the_key_is_stored_shown_and_hashed_nowhere(
    server: FakeServer,
    words: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With a server that sends the key back in its errors."""
    server.bad = {"tells-key"}
    server.key = SECRET
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level("DEBUG")
    entry = {"from": f"openai:{server.url}#tiny", "key_env": "MY_KEY", "retries": 0, **FAST}
    (tmp_path / "a").mkdir()
    report, store = study(tmp_path / "a", [entry], "choices")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tell.jsonl").write_text(json.dumps({"id": "1", "question": "tell", "target": "x"}))
    document = tmp_path / "b" / "study.yaml"
    document.write_text(f"study: s\nmodels:\n  - {json.dumps(entry)}\ntasks: ['jsonl:tell.jsonl']\n")
    failing = run(load(document), Store(tmp_path / "b" / "study.saltus"))
    assert report.failed == 0
    assert "headers were" in failing.failures[0]
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 6
    assert not [p for p in files if SECRET.encode() in p.read_bytes()]
    out, err = capfd.readouterr()
    assert SECRET not in " ".join([*failing.failures, str(failing), caplog.text, out, err])
    identity = store.contents().models[-1].identity
    server.key = other = "sk-rotated-9876543210"
    monkeypatch.setenv("MY_KEY", other)
    rerun, _ = study(tmp_path / "a", [entry], "choices")
    assert (rerun.asked, rerun.models[0].identity) == (0, identity), "a new key is the same model"
