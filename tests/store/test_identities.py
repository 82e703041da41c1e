"""Several identities in one segment, and answers found again under the identity an earlier release gave a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from saltus.records import Answer
from saltus.runner.loop import run
from saltus.store import Store, Writer
from saltus.testing import ScriptedModel, forget

from helpers.small_study import SmallStudy


@pytest.fixture
def store(tmp_path: Path) -> Store:
    forget()
    return Store(tmp_path / "small.saltus")


def answer(key: str) -> Answer:
    return Answer(key=key * 64, text=f"answer {key}")


def test_edits_of_a_model_share_its_segment_and_are_told_apart(store: Store) -> None:
    writer = Writer(store)
    for identity, base, keys in (("model", None, "ab"), ("model, head 3 ablated", "model", "cd"), ("other", None, "e")):
        writer.begin(identity, base)
        for key in keys:
            writer.add_answer(answer(key))
    writer.commit()
    segments = store.contents().segments
    assert [sorted(s.models) or [s.model] for s in segments] == [["model", "model, head 3 ablated"], ["other"]]
    for identity, texts in (
        ("model", ["answer a", "answer b"]),
        ("model, head 3 ablated", ["answer c", "answer d"]),
        ("other", ["answer e"]),
    ):
        assert sorted(store.answers(identity).collect()["text"]) == texts
        assert set(store.answers(identity).collect()["identity"]) == {identity}
        found = store.fetch(identity, {key * 64 for key in "abcde"})
        assert sorted(a.text for a in found.values()) == texts, "nobody gets another one's answer"
    assert store.verify() == []


def test_compacting_keeps_whose_answer_is_whose(store: Store) -> None:
    for keys in ("ab", "cd"):
        writer = Writer(store)
        for identity, key in zip(("model", "model, edited"), keys, strict=True):
            writer.begin(identity, "model")
            writer.add_answer(answer(key))
        writer.commit()
    before = {i: sorted(store.answers(i).collect()["text"]) for i in ("model", "model, edited")}
    store.compact()
    again = Store(store.place.local)
    assert {i: sorted(again.answers(i).collect()["text"]) for i in before} == before
    assert again.verify() == []


def test_a_model_finds_what_it_answered_under_an_earlier_identity(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias joins the two: nothing is asked again, and rows say the identity of today."""
    study = SmallStudy(limit=10, points=1)
    assert run(study, store).asked == 10
    made = ScriptedModel.__init__

    def renamed(self: ScriptedModel, *arguments: object, **more: object) -> None:
        made(self, *arguments, **more)  # type: ignore[arg-type]
        self.formerly = (self.identity,)  # type: ignore[attr-defined]
        self.identity = "sha256:" + "0" * 64

    monkeypatch.setattr(ScriptedModel, "__init__", renamed)
    report = run(study, store)
    assert (report.asked, report.known) == (0, 10)
    items = store.item_table(study).collect()
    assert set(items["model_identity"]) == {"sha256:" + "0" * 64}
    assert items["value"].null_count() == 0
    assert run(study, store).asked == 0
    aliases = [line for line in store.place.local.glob("log/*.jsonl") for line in line.open() if '"alias"' in line]
    assert len(aliases) == 1, "it is said once"
