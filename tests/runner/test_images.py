"""Images reach the store once, under what they hold, are part of an answer's identity, and are found by the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from saltus.records import Answer, Item, Request
from saltus.runner.loop import run
from saltus.store import Store
from saltus.testing import ScriptedModel, ToyTask, asked, forget

from helpers.small_study import SmallStudy

PICTURES = [b"\x89PNG one", b"\x89PNG two"]


def name_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Pictured(ToyTask):
    """Every even item shows the first picture, every odd one the second."""

    name: str = "pictured"
    pictures: tuple[bytes, ...] = tuple(PICTURES)
    named: tuple[str, ...] = tuple(name_of(p) for p in PICTURES)

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        number = int(item.id.split("-")[1])
        talk = ToyTask.ask(self, item)
        request = next(talk)
        yield replace(request, images=(self.named[number % 2],))

    def image(self, name: str) -> bytes:
        return self.pictures[self.named.index(name)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    forget()
    return Store(tmp_path / "small.saltus")


def test_each_image_is_stored_once_under_what_it_holds(store: Store) -> None:
    assert run(SmallStudy((Pictured(),), limit=10, points=2), store).failed == 0
    assert sorted(store.place.names("blobs")) == sorted(f"blobs/{n[7:9]}/{n[7:]}" for n in Pictured().named)
    assert [store.blob(n) for n in Pictured().named] == PICTURES


def test_another_image_is_another_question(store: Store) -> None:
    run(SmallStudy((Pictured(),), limit=10, points=1), store)
    before = asked()
    other = (b"\x89PNG new", PICTURES[1])
    report = run(SmallStudy((Pictured(pictures=other, named=tuple(map(name_of, other))),), limit=10, points=1), store)
    assert (report.asked, asked() - before) == (5, 5), "the odd items show what they showed"


def test_a_model_that_sees_finds_the_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    encode = ScriptedModel.encode

    def see(self: ScriptedModel, fetch: Callable[[str], bytes]) -> None:
        self.fetch = fetch  # type: ignore[attr-defined]

    def looking(self: ScriptedModel, request: Request) -> Request:
        seen.extend(self.fetch(name) for name in request.images)  # type: ignore[attr-defined]
        return encode(self, request)

    monkeypatch.setattr(ScriptedModel, "see", see, raising=False)
    monkeypatch.setattr(ScriptedModel, "encode", looking)
    run(SmallStudy((Pictured(),), limit=4, points=1), store)
    assert seen == PICTURES * 2


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (Pictured(pictures=(b"changed", PICTURES[1])), "images are named by what they hold"),
        (replace(Pictured(), pictures=(bytes(2**25 + 1), PICTURES[1])), "at most 33,554,432 are stored"),
    ],
    ids=["another", "too large"],
)
def test_an_image_that_is_not_what_it_says_fails_its_items_alone(store: Store, task: Pictured, why: str) -> None:
    report = run(SmallStudy((task,), limit=10, points=1), store)
    assert (report.failed, report.asked) == (5, 5)
    failed = store.asks().collect()
    assert all(why in text for text in failed.filter(failed["state"] == "failed")["why"])
    assert store.place.names("blobs") == [f"blobs/{task.named[1][7:9]}/{task.named[1][7:]}"]
