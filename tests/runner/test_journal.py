"""What a run leaves in the event log: its beginning and end, and what an auditor would want to know between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saltus.runner.journal import Journal
from saltus.runner.loop import Interrupted, Progress, run
from saltus.runner.open import lock_study, run_study
from saltus.store import Store, events
from saltus.testing import forget

from helpers.small_study import SmallStudy


@pytest.fixture
def store(tmp_path: Path) -> Store:
    forget()
    return Store(tmp_path / "small.saltus")


def given(store: Store) -> list[tuple[str, Any]]:
    """(kind, its state or what it is about) of every event."""
    return [(e.kind, e.data.get("state") or e.data.get("what")) for e in events.read(store.place)]


def test_a_run_says_when_it_began_and_how_it_ended(store: Store) -> None:
    study = SmallStudy(limit=5, points=2)
    run(study, store)
    run(study, store)
    assert given(store) == [("run", "started"), ("run", "finished")] * 2
    first, second = (e.data for e in events.read(store.place)[1::2])
    assert (first["asked"], first["known"], first["failed"]) == (10, 0, 0)
    assert (second["asked"], second["known"]) == (0, 10)
    assert events.read(store.place)[2].data["answers_before"] == 10
    assert {e.subject for e in events.read(store.place)} == {study.study_id}
    assert events.verify(store.place) == []


def test_failures_are_an_anomaly_with_their_reasons(store: Store) -> None:
    run(SmallStudy(limit=6, points=1, options={"faults": {"fail_at": [1, 3, 5]}}), store)
    (anomaly,) = (e.data for e in events.read(store.place) if e.kind == "anomaly")
    assert anomaly["what"] == "failures"
    assert anomaly["count"] == 3
    assert anomaly["reasons"]


def test_an_interrupted_run_says_so(store: Store) -> None:
    def stop(progress: Progress) -> None:
        if progress.done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(SmallStudy(limit=50, points=1), store, progress=stop)
    assert given(store)[-1] == ("run", "interrupted")


def test_deviations_and_guards_are_told_once_until_they_change(store: Store) -> None:
    journal = Journal(store, "sha256:study")
    journal.deviations(["the limit is 60, locked was 500"])
    journal.deviations(["the limit is 60, locked was 500"])
    journal.deviations(["the limit is 60, locked was 500", "a task was added"])
    assert [e.data["what"] for e in events.read(store.place)] == ["the limit is 60, locked was 500", "a task was added"]


def test_locking_is_an_event_before_the_run_and_a_change_after_it_a_deviation(tmp_path: Path) -> None:
    document = tmp_path / "study.yaml"
    text = 'study: s\nquestion: q\nmodels: [{series: s, from: "scripted:leap", points: 2}]\ntasks: [addition]\n'
    text += "limit: 5\n"
    document.write_text(text)
    lock_study(document)
    run_study(document)
    document.write_text(text.replace("limit: 5", "limit: 6"))
    run_study(document)
    lines = [json.loads(line) for line in (tmp_path / "study.saltus" / "events.jsonl").open()]
    assert [e["kind"] for e in lines] == ["locked", "run", "run", "deviation", "run", "run"]
    assert "limit" in lines[3]["data"]["what"]
