"""A session made anew elsewhere does the same work, and refuses where its answers would be lost."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import saltus.runner.session
from saltus.errors import MissingExtra, UserError
from saltus.runner.here import Share, Stopped
from saltus.runner.loop import resolve, run
from saltus.runner.pool import Tally
from saltus.runner.session import RunSettings, Session, begin, work_of
from saltus.store import Store
from saltus.store.place import StoreError
from saltus.store.writer import CommitPolicy
from saltus.study import document as studies

from helpers.small_study import Shout, SmallStudy

DOCUMENT = """
study: crossing over
models:
  - {from: "scripted:leap", points: 2, tasks: [copying]}
  - {from: "scripted:smooth", points: 1}
tasks: [copying, {addition: {digits: 2}}]
conditions: [baseline, {typos: [0.02, 0.1]}]
limit: 5
hypotheses: [{id: H1, task: copying, series: "scripted:leap", axis: tokens, expect: leap}]
"""


def session_of(study: Any, store: Store) -> Session:
    settings = RunSettings(window=3, commit=CommitPolicy(most_rows=4))
    return begin(study, store, settings, resolve(study), work_of(study, 3))


def test_a_session_from_a_pickle_asks_the_same(tmp_path: Path) -> None:
    study = SmallStudy(limit=10, points=2)
    here, there = Store(tmp_path / "a" / "s.saltus"), Store(tmp_path / "b" / "s.saltus")
    run(study, here)
    copy = pickle.loads(pickle.dumps(session_of(study, there)))
    assert (copy.settings.window, copy.settings.commit.most_rows) == (3, 4)
    reports = [copy(share) for share in (Share(0, 0, 2), Share(0, 1, 2), Share(1))]
    assert [r.tally.asked for r in reports] == [5, 5, 10]
    assert there.table(study).collect().equals(here.table(study).collect())
    assert there.verify() == []


def test_every_writer_says_on_which_machine_it_wrote(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    session = session_of(SmallStudy(limit=3, points=1), store)
    pickle.loads(pickle.dumps(session))(Share(0))
    found = store.contents()
    assert len({s.writer for s in found.studies}) == 2
    assert {s.answers_before for s in found.studies} == {0}
    assert found.models[0].host["cores"] > 0


def test_a_document_crosses_over_as_data(tmp_path: Path) -> None:
    study = studies.loads(DOCUMENT, base=tmp_path)
    copy = pickle.loads(pickle.dumps(study))
    assert copy == study
    assert copy.study_id == study.study_id
    store = Store(tmp_path / "s.saltus")
    models = pickle.loads(pickle.dumps(session_of(study, store))).models
    assert [[t.name for t in tasks] for _, tasks in models] == [
        ["copying"],
        ["copying"],
        ["copying", "addition[digits=2]"],
    ]


def test_a_worker_that_does_not_see_the_store_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saltus.runner.session, "MOST_WAITED", 0.0)
    study = SmallStudy(limit=3, points=1)
    packed = pickle.dumps(session_of(study, Store(tmp_path / "s.saltus")))
    for file in (tmp_path / "s.saltus" / "log").iterdir():  # the same path on another machine's disk
        file.unlink()
    with pytest.raises(UserError, match=r"s\.saltus.*is not to be seen") as refused:
        pickle.loads(packed)
    assert "shared disk" in str(refused.value)


def test_a_worker_with_another_version_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pickle.dumps(session_of(SmallStudy(limit=3, points=1), Store(tmp_path / "s.saltus")))
    monkeypatch.setattr(saltus.runner.session, "__version__", "0.0.1")
    with pytest.raises(UserError, match=r"the worker has saltus 0\.0\.1"):
        pickle.loads(packed)


def test_a_worker_whose_tasks_are_others_refuses(tmp_path: Path) -> None:
    text = DOCUMENT.replace("tasks: [copying, {", "tasks: ['jsonl:items.jsonl', copying, {")
    study = studies.loads(text, base=tmp_path)
    (tmp_path / "items.jsonl").write_text('{"id": "a", "question": "1+1=", "target": "2"}\n')
    packed = pickle.dumps(session_of(study, Store(tmp_path / "s.saltus")))
    (tmp_path / "items.jsonl").unlink()
    with pytest.raises(UserError, match=r"items\.jsonl"):
        pickle.loads(packed)


def test_an_interrupted_share_has_stored_what_it_asked(tmp_path: Path) -> None:
    study, store = SmallStudy(limit=10, points=1), Store(tmp_path / "s.saltus")
    session = session_of(study, store)

    def stop(share: Share, tally: Tally) -> None:
        if tally.done == 6:
            raise KeyboardInterrupt

    session.hear = stop
    with pytest.raises(Stopped) as caught:
        session(Share(0))
    assert caught.value.results[0].tally.asked == store.answers_count() == 6
    assert caught.value.results[0].identity is not None


def test_a_share_nobody_finished_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    study = SmallStudy(limit=3, points=2, condition_list=((Shout(),),))
    store = Store(tmp_path / "s.saltus")
    session = session_of(study, store)
    report = session.give_up(Share(1), "its worker died 4 times")
    assert report.error == "its worker died 4 times"
    table = store.table(study).collect()
    assert set(table["why_missing"]) == {"failed: its worker died 4 times"}
    session(Share(0))
    session(Share(1))
    assert store.table(study).collect()["value"].null_count() == 0


@pytest.mark.parametrize(
    "error",
    [
        UserError("this", where="there", wanted="that", do="so"),
        StoreError("cannot be written", where="s.saltus", do="make room"),
        MissingExtra("gguf: models", "gguf"),
    ],
)
def test_errors_cross_over_whole(error: UserError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.found, copy.do) == (str(error), error.found, error.do)
