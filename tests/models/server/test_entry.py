"""What a study may say of a server, and what is refused before anything is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saltus.errors import UserError
from saltus.models.base import ModelError
from saltus.models.local import tiny
from saltus.models.server import entry as openai_entry
from saltus.models.server.entry import key, limits, refs
from saltus.records import ModelRef, SeriesEntry

from helpers.openai_server import FakeServer
from helpers.places import ROOT

URL = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tiny.tokenizer(folder, "has")
    return folder


@pytest.fixture
def server(words: Path) -> Iterator[FakeServer]:
    with FakeServer(words, names=("run-step-1000", "run-step-20", "other")) as fake:
        yield fake


def listed(
    source: str, base: Path | None = None, coords: dict[str, Any] | None = None, **options: Any
) -> list[ModelRef]:
    entry = SeriesEntry(scheme="openai", source=source, options=options, coords=coords or {})
    return refs(entry, base or Path())


def test_a_named_model_needs_no_server() -> None:
    (ref,) = listed(f"{URL}/#tiny", coords={"params": 7e9, "date": "2026-05-01"})
    assert ref.location == f"{URL}#tiny"
    assert ref.revision == "2026-05-01"
    assert ref.coords == {"model": "tiny", "params": 7e9, "date": "2026-05-01"}
    assert (ref.series, ref.recipe) == ("tiny", {})


def test_names_with_holes_are_looked_up(server: FakeServer) -> None:
    found = listed(f"{server.url}#run-step-{{step}}")
    assert [r.coords["step"] for r in found] == [20, 1000]
    assert {r.series for r in found} == {"run"}
    assert {r.coords["model"] for r in found} == {"run"}
    some = listed(f"{server.url}#run-step-{{step}}", step=[20])
    assert [r.location for r in some] == [f"{server.url}#run-step-20"]


def test_addresses_with_holes_take_their_values_from_the_entry() -> None:
    found = listed("http://node-{step}:80/v1#m", step=[2000, 1000])
    assert [r.location for r in found] == ["http://node-1000:80/v1#m", "http://node-2000:80/v1#m"]
    with pytest.raises(UserError, match="hole that no list fills"):
        listed("http://node-{step}:80/v1#m")


def test_without_a_name_the_only_model_is_meant(server: FakeServer) -> None:
    with pytest.raises(UserError, match="3 models and none is named"):
        listed(server.url)
    server.names = ("one",)
    assert listed(server.url)[0].location == f"{server.url}#one"


def test_a_server_that_must_be_asked_and_is_down_is_named() -> None:
    with pytest.raises(UserError, match="cannot be listed.*cannot be reached"):
        listed(f"{URL}#*")


def test_a_pattern_that_matches_nothing_is_named(server: FakeServer) -> None:
    with pytest.raises(UserError, match="matches `none-"):
        listed(f"{server.url}#none-{{step}}")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("http://me:hunter2@host/v1#m", "carries a user or password"),
        ("http://host/v1?api_key=hunter2#m", "looks like a secret"),
        ("ftp://host/v1#m", "no address of a server"),
        ("localhost:8000/v1#m", "no address of a server"),
        ("#m", "no address of a server"),
        ("http://host:99999999/v1#m", "no address of a server"),
    ],
)
def test_bad_addresses_are_refused_without_showing_secrets(source: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        listed(source)
    assert "hunter2" not in str(caught.value)


def test_a_harmless_query_stays() -> None:
    (ref,) = listed("https://host/v1/?api-version=2024-06-01#m")
    assert ref.location == "https://host/v1?api-version=2024-06-01#m"


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"timeout": "long"},
        {"retries": True},
        {"score": "guess"},
        {"fingerprint": "none"},
        {"price": 3},
        {"price": {"in": 1}},
        {"price": {"input": -1}},
        {"tokenizer": ""},
        {"key_env": "sk-live-123"},
        {"tokenizers": "x"},
        {"requests_per_minute": 0},
        {"timeout": float("inf")},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        listed(f"{URL}#m", **options)
    assert "sk-live-123" not in str(caught.value)


def test_options_reach_the_model() -> None:
    (ref,) = listed(f"{URL}#m", concurrency=4, timeout=3, requests_per_minute=10, score="echo", price={"input": 1})
    options = ref.recipe["endpoint"]
    assert options["price"] == {"input": 1.0, "output": 0.0}
    made = limits(options)
    assert (made.concurrency, made.timeout, made.requests_per_minute, made.retries) == (4, 3, 10, 6)


def test_a_tokenizer_is_a_folder_or_a_repository(words: Path) -> None:
    (ref,) = listed(f"{URL}#m", words.parent, tokenizer=words.name)
    assert ref.recipe["endpoint"]["tokenizer"] == str(words)
    (ref,) = listed(f"{URL}#m", tokenizer="org/name@v1")
    assert ref.recipe["endpoint"]["tokenizer"] == "hf:org/name@v1"
    with pytest.raises(UserError, match="no tokenizer in"):
        listed(f"{URL}#m", words, tokenizer="missing")
    with pytest.raises(UserError, match="no tokenizer in"):
        listed(f"{URL}#m", words.parent, tokenizer=".")


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert key({}) is None
    monkeypatch.setenv("OPENAI_API_KEY", " abc \n")
    found = key({})
    assert found is not None
    assert found.headers == {"Authorization": "Bearer abc"}
    monkeypatch.setenv("MINE", "def")
    other = key({"key_env": "MINE", "key_header": "api-key"})
    assert other is not None
    assert other.headers == {"api-key": "def"}
    assert "NOT_THERE" not in os.environ
    with pytest.raises(ModelError, match="NOT_THERE"):
        key({"key_env": "NOT_THERE"})


def test_options_are_all_described() -> None:
    text = (ROOT / "docs" / "concepts" / "servers.md").read_text(encoding="utf-8")
    missing = [name for name in openai_entry.OPTIONS if f"`{name}`" not in text]
    assert not missing
