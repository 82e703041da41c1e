"""The probe believes a server that behaves, and names the line that one of every bad kind fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from saltus.models.base import ModelError
from saltus.models.local import tiny
from saltus.models.local.encoding import Encoder
from saltus.models.server.client import Client, Limits
from saltus.models.server.probe import Probe, probe
from saltus.models.server.probe_requests import Line
from saltus.records import AskPolicy

from helpers.openai_server import FakeServer, logprobs

Look = Callable[..., Probe]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tiny.tokenizer(folder, "has")
    return folder


@pytest.fixture
def look(words: Path) -> Look:
    """look("constant", local=True, …) -> the probe of a server that is bad in these ways."""

    def look_(*bad: str, local: bool = True, score: str = "auto", **server: object) -> Probe:
        encoder = Encoder(words, AskPolicy()) if local else None
        with FakeServer(words, bad=set(bad), **server) as fake:  # type: ignore[arg-type]
            client = Client(fake.url, Limits(backoff=0.01, retries=1, timeout=5))
            try:
                return probe(client, "tiny", encoder, score=score)
            finally:
                client.close()

    return look_


def failed(found: Probe) -> dict[str, str]:
    return {line.name: line.seen for line in found.lines if line.passed is False}


@pytest.mark.parametrize("adds_bos", [False, True])
@pytest.mark.parametrize("local", [False, True])
def test_a_good_server_passes(look: Look, local: bool, adds_bos: bool) -> None:
    found = look(local=local, adds_bos=adds_bos)
    assert not failed(found)
    assert found.way == ("prompt_logprobs" if local else "echo")
    assert (found.completions, found.chat, found.takes_ids) == (True, True, local)
    assert found.noise == 0
    assert found.scores == {"completions"}
    assert found.fingerprints == ("fp-1",)
    assert found.served == ("tiny",)


def test_echo_is_used_where_there_are_no_prompt_logprobs(look: Look) -> None:
    found = look("no-prompt-logprobs")
    assert found.way == "echo"
    assert not found.why_not
    assert "prompt_logprobs: lengths" in failed(found)


@pytest.mark.parametrize(
    ("bad", "line", "seen"),
    [
        ("no-echo", "lengths", "1 log-probabilities where a prompt of"),
        ("constant", "not constant", "every log-probability is -1.5"),
        ("context-free", "not constant", "do not depend on what stands before"),
        ("above-one", "probabilities", "sum to at most"),
        ("unstable", "again", "moved by"),
        ("other-ids", "local tokenizer", "reads its ids as"),
    ],
)
def test_each_fault_is_named_and_ends_log_likelihoods(look: Look, bad: str, line: str, seen: str) -> None:
    found = look(bad, "no-prompt-logprobs")
    assert found.way is None
    assert seen in failed(found)[f"echo: {line}"]
    assert found.completions, "it still generates"
    assert f"echo: {failed(found)[f'echo: {line}']}" in found.why_not


@pytest.mark.parametrize("bad", ["constant", "above-one", "context-free", "unstable"])
def test_prompt_logprobs_are_not_believed_either(look: Look, bad: str) -> None:
    found = look(bad)
    assert found.way is None
    assert any(name.startswith("prompt_logprobs: ") for name in failed(found))


def test_text_that_is_not_echoed_is_found_out(look: Look) -> None:
    found = look("no-echo", local=False)
    assert found.way is None
    assert "does not echo" in found.why_not


def test_text_is_asked_where_ids_are_refused(look: Look) -> None:
    found = look("no-ids")
    assert (found.takes_ids, found.way) == (False, "echo")
    line = next(x for x in found.lines if x.name == "echo: local tokenizer")
    assert line.passed is True


def test_a_foreign_tokenizer_is_found_out_by_its_count(look: Look, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(_bytes_only(tmp_path) / "tokenizer.json"))
    assert len(words.encode("the quick", add_special_tokens=False).ids) == 9
    with FakeServer(tmp_path, bad={"no-prompt-logprobs"}) as fake:
        client = Client(fake.url, Limits(backoff=0.01))
        folder = tmp_path / "merged"
        folder.mkdir()
        tiny.tokenizer(folder, "has")
        found = probe(client, "tiny", Encoder(folder, AskPolicy()))
        client.close()
    assert found.way is None
    assert "echo: local tokenizer" in failed(found)


def _bytes_only(folder: Path) -> Path:
    """The tiny tokenizer without its merges: one token per byte."""
    import json

    tiny.tokenizer(folder, "has")
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["model"]["merges"] = []
    path.write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_a_server_that_only_chats(look: Look) -> None:
    found = look("no-completions", "chat-length")
    assert (found.completions, found.chat, found.way) == (False, True, None)
    assert found.most == "max_completion_tokens"
    assert "no /completions" in found.why_not


def test_nothing_that_answers_is_an_error_that_says_what_was_tried(look: Look) -> None:
    with pytest.raises(ModelError, match="answers at neither endpoint.*does not exist"):
        look(names=("other",))


def test_scoring_can_be_forbidden(look: Look) -> None:
    found = look(score="none")
    assert found.way is None
    assert "score: none" in found.why_not


def test_a_seed_that_is_ignored_is_seen(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert next(x for x in look().lines if x.name == "seed").passed is True
    say = FakeServer.say
    monkeypatch.setattr(FakeServer, "say", lambda self, ids, body, most: say(self, ids, {**body, "seed": None}, most))
    found = look()
    assert next(x for x in found.lines if x.name == "seed").passed is False
    assert found.way is not None, "a seed decides nothing about log-likelihoods"


def line(found: Probe, name: str) -> Line:
    return next(x for x in found.lines if x.name == name)


def test_a_penalty_of_the_servers_own_is_seen_and_turned_off(look: Look) -> None:
    """llama.cpp's Python server and vLLM change greedy answers unless told not to."""
    good, fixed = look(), look("penalty")
    assert line(good, "greedy").seen == "each token of an answer was the most likely one"
    assert line(fixed, "greedy").passed is True
    assert "turned off" in line(fixed, "greedy").seen
    assert fixed.neutral["repeat_penalty"] == 1.0
    stubborn = look("penalty", "strict")
    assert line(stubborn, "greedy").passed is False
    assert not stubborn.neutral
    assert stubborn.way is not None, "how it generates says nothing of its log-likelihoods"


@pytest.fixture
def cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose model says four words over and over, so that what it says is read as it was said."""

    def next_(self: FakeServer, context: list[int]) -> np.ndarray:
        words = self.tokenizer.encode(" the quick brown fox", add_special_tokens=False).ids
        last = context[-1]
        given = logprobs(tuple(context), self.size).copy()
        given[words[(words.index(last) + 1) % len(words)] if last in words else words[0]] += 30
        return given - np.logaddexp.reduce(given)

    monkeypatch.setattr(FakeServer, "next", next_)


@pytest.mark.usefixtures("cycle")
@pytest.mark.parametrize("local", [False, True])
def test_numbers_one_token_off_are_found_out(look: Look, local: bool) -> None:
    sound = look(local=local)
    name = f"{sound.way}: what it generates"
    assert (line(sound, name).passed, line(sound, name).needed) == (True, True)
    found = look("shifted", local=local)
    assert line(found, name).passed is False
    assert found.way is None
    assert "are the most likely where it scores them" in found.why_not
