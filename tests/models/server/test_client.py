"""The client asks on where that helps, waits as told, ends where it must, and never shows the key."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from saltus.errors import MissingExtra
from saltus.models.base import ModelError
from saltus.models.local import tiny
from saltus.models.server import client as http_client
from saltus.models.server.client import Client, Job, Key, Limits, Reply
from saltus.models.server.failures import Passing, ServerError, retry_after, unwell

from helpers.openai_server import FakeServer

Open = Callable[..., Client]
SECRET = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tiny.tokenizer(folder, "has")
    return folder


@pytest.fixture
def server(words: Path) -> Iterator[FakeServer]:
    with FakeServer(words) as fake:
        yield fake


@pytest.fixture
def client(server: FakeServer) -> Iterator[Open]:
    made = []

    def open_(key: Key | None = None, **limits: Any) -> Client:
        made.append(Client(server.url, Limits(**{"backoff": 0.01, "timeout": 5, **limits}), key))
        return made[-1]

    yield open_
    for one in made:
        one.close()
        one.close()


def job(text: str, tag: Any = None) -> Job[Any]:
    body = {"model": "tiny", "prompt": text, "max_tokens": 1, "temperature": 0}
    return Job(tag or text, "completions", body)


def ask(client: Client, *texts: str, **how: Any) -> dict[str, Reply[str]]:
    return {reply.tag: reply for reply in client.each([job(t) for t in texts], **how)}


def error(client: Client, text: str) -> str:
    return str(ask(client, text)[text].error)


def test_all_are_answered_and_no_more_than_asked_are_in_flight(server: FakeServer, client: Open) -> None:
    server.latency = 0.02
    one = client(concurrency=5)
    replies = ask(one, *map(str, range(40)))
    assert len(replies) == 40
    assert all(r.error is None for r in replies.values())
    assert server.most_at_once == 5
    assert one.requests == 40


def test_answers_come_as_they_finish(server: FakeServer, client: Open) -> None:
    replies = client(concurrency=4).each([job("HANG on"), job("a"), job("b")])
    first = [next(replies).tag, next(replies).tag]
    assert sorted(first) == ["a", "b"]
    server.released.set()
    assert next(replies).tag == "HANG on"


def test_leaving_early_ends_what_is_in_flight(server: FakeServer, client: Open) -> None:
    one = client(concurrency=2)
    replies = one.each([job(str(i)) for i in range(1000)])
    next(replies)
    replies.close()
    time.sleep(0.1)
    settled = one.requests
    time.sleep(0.1)
    assert one.requests == settled < 1000


def test_what_passes_is_asked_again(client: Open) -> None:
    one = client()
    assert ask(one, "FLAKY one")["FLAKY one"].error is None
    assert one.retried == 2


def test_what_does_not_pass_fails_alone_and_says_how_often(client: Open) -> None:
    replies = ask(client(retries=2), "CRASH", "fine")
    assert replies["fine"].error is None
    assert str(replies["CRASH"].error) == "HTTP 500: out of memory (asked 3 times)"


def test_waits_double_and_their_jitter_is_the_same_every_time(client: Open) -> None:
    one = client(backoff=1.0)
    waits = [one._pause(Passing("", "status"), b"{}", n) for n in range(1, 10)]
    assert waits == [one._pause(Passing("", "status"), b"{}", n) for n in range(1, 10)]
    assert all(0.5 * 2**n <= w <= 2**n for n, w in enumerate(waits[:6]))
    assert waits[-1] <= http_client.LONGEST_WAIT
    others = [one._pause(Passing("", "status"), b'{"x": %d}' % i, 1) for i in range(20)]
    assert len(set(others)) == 20


def test_retry_after_stops_everybody(server: FakeServer, client: Open) -> None:
    one = client(concurrency=2)
    ask(one, "BUSY", *(f"text {i}" for i in range(30)))
    gaps = [b - a for a, b in pairwise(sorted(server.sent))]
    assert max(gaps) > 0.2, "nobody asked for the 0.3 s that the server wanted"
    assert one.retried == 1


def test_a_wait_of_a_day_is_not_waited(client: Open) -> None:
    with pytest.raises(ModelError, match="86,400 s"):
        ask(client(), "LATER")


def test_spent_money_is_not_asked_for_again(client: Open) -> None:
    one = client()
    with pytest.raises(ModelError, match="no money"):
        ask(one, "SPENT")
    assert one.retried == 0


def test_a_rate_is_kept(server: FakeServer, client: Open) -> None:
    ask(client(requests_per_minute=1200), *map(str, range(11)))
    assert server.sent[-1] - server.sent[0] >= 10 * 0.05 - 0.03
    assert min(b - a for a, b in pairwise(sorted(server.sent))) > 0.01


def test_a_hang_is_a_failure_with_its_limit(client: Open) -> None:
    one = client(timeout=0.2)
    assert error(one, "HANG") == "no answer within 0.2 s (asked 2 times)"


def test_what_is_not_json_is_a_failure_with_its_beginning(client: Open) -> None:
    one = client()
    assert error(one, "TORN") == 'its answer is not JSON: {"choices": [{"te (asked 2 times)'
    assert error(one, "LIST").startswith("its answer is not a JSON object: [1, 2]")


def test_a_mistaken_question_is_not_asked_again(client: Open) -> None:
    one = client()
    assert error(one, "LONG") == "HTTP 400: maximum context length is 10"
    assert one.retried == 0


def test_a_dead_server_ends_the_answers_and_keeps_those_before(server: FakeServer, client: Open) -> None:
    one, got = client(concurrency=2, retries=1), []
    with pytest.raises(ModelError, match=r"stopped answering: it cannot be reached.*Start it again"):
        for reply in one.each(job(str(i)) for i in range(10_000)):
            got.append(reply)
            if len(got) == 20:
                server.die()
    assert sum(r.error is None for r in got) >= 20
    # A few of those asked at once may fail beside those that made it doubtful; how many, the clock decides.
    assert sum(r.error is not None for r in got) <= 10 * http_client.DOUBT


def test_bad_questions_do_not_make_a_dead_server(client: Open) -> None:
    """More failures in a row than give a server up: the canary is still answered, so all are asked."""
    one = client(retries=1, concurrency=1)
    one.canary = job("the canary")
    crashes = [f"CRASH {i}" for i in range(http_client.DOUBT * 2 + 1)]
    replies = ask(one, *crashes, "fine")
    assert len(replies) == len(crashes) + 1
    assert replies["fine"].error is None


@pytest.mark.parametrize(("status", "fatal"), [(401, True), (402, True), (404, True), (403, False), (413, False)])
def test_some_statuses_end_everything(status: int, fatal: bool) -> None:
    failure = unwell(status, {}, '{"detail": "no"}')
    assert isinstance(failure, ServerError)
    assert str(failure) == f"HTTP {status}: no"
    assert (status in http_client.FATAL) == fatal


def test_a_redirect_is_not_followed() -> None:
    failure = unwell(307, {"Location": "http://elsewhere/v1"}, "")
    assert "it redirects to http://elsewhere/v1" in str(failure)
    assert not isinstance(failure, Passing)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:50 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=1000.0) == seconds


def test_the_key_is_sent_and_never_shown(server: FakeServer, client: Open) -> None:
    server.key = SECRET
    server.bad = {"tells-key"}
    key = Key(secret=SECRET)
    one = client(key, retries=0)
    assert ask(one, "hello")["hello"].error is None
    given = error(one, "tell me")
    assert "headers were" in given
    assert SECRET not in given
    assert "(key)" in given
    assert SECRET not in repr(key)


def test_a_wrong_key_ends_everything_without_showing_it(server: FakeServer, client: Open) -> None:
    server.key = SECRET
    with pytest.raises(ModelError) as caught:
        ask(client(Key(secret="sk-another-0123456789")), "hello")
    assert "HTTP 401: wrong key: Bearer (key)" in str(caught.value)


def test_a_key_in_a_header_of_its_own(server: FakeServer, client: Open) -> None:
    ask(client(Key(secret=SECRET, header="api-key")), "hello")
    assert server.seen[-1]["headers"]["api-key"] == SECRET
    assert "Authorization" not in server.seen[-1]["headers"]


def test_an_error_inside_200_is_an_error(monkeypatch: pytest.MonkeyPatch, server: FakeServer, client: Open) -> None:
    given = {"error": {"message": "no provider", "code": 400}}
    monkeypatch.setattr(FakeServer, "answer", lambda *_: given)
    assert error(client(), "x") == "HTTP 400: no provider"


def test_without_aiohttp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtra, match="server"):
        Client("http://127.0.0.1:9/v1", Limits())


def test_what_the_jobs_raise_comes_out(client: Open) -> None:
    def broken() -> Iterator[Job[str]]:
        yield job("fine")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(client(concurrency=1).each(broken()))
