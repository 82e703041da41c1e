"""A store is whole after any accident, says what was changed behind its back, and keeps no secrets."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from saltus.conditions.baseline import Baseline
from saltus.errors import UserError
from saltus.records import ModelRef
from saltus.runner.loop import Interrupted, RunSettings, run
from saltus.store import Store, Writer
from saltus.store.log import storable
from saltus.store.place import Place
from saltus.store.writer import CommitPolicy
from saltus.testing import ToyTask

from helpers.small_study import Shout, SmallStudy

SMALL = RunSettings(window=9, commit=CommitPolicy(most_rows=4))
STUDY = SmallStudy(condition_list=((Baseline(),), (Shout(),)), limit=6, points=2)


@pytest.fixture(params=["disk", "objects"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder, and an object store without locks, renames or appends."""
    if request.param == "disk":
        yield str(tmp_path / "s.saltus")
        return
    import fsspec

    name = f"memory://bucket-{uuid.uuid4().hex}/s.saltus"
    yield name
    fsspec.filesystem("memory").rm(name.removeprefix("memory://"), recursive=True)


def test_a_study_runs_resumes_and_verifies_anywhere(url: str, tmp_path: Path) -> None:
    store = Store(url)
    assert run(STUDY, store, settings=SMALL).asked == 24
    assert run(replace(STUDY, limit=7), Store(url), settings=SMALL).asked == 4
    assert store.verify() == []
    plain = Store(tmp_path / "plain" / "s.saltus")
    run(replace(STUDY, limit=7), plain)
    seven = replace(STUDY, limit=7)
    assert store.table(seven).collect().equals(plain.table(seven).collect())
    assert store.item_table(seven).collect().equals(plain.item_table(seven).collect())


def test_compacting_changes_no_number_and_leaves_one_segment_per_model(url: str) -> None:
    store = Store(url)
    broken = replace(STUDY, options={"faults": {"fail_at": [2]}})
    run(broken, store, settings=SMALL)
    run(STUDY, store, settings=SMALL)
    before, rows = store.table(STUDY).collect(), store.answers_count()
    assert store.compact() > 0
    assert store.verify() == []
    assert len(store.contents().segments) == 2
    assert store.answers_count() == rows - 2, "failures that were made good are gone"
    assert store.table(STUDY).collect().equals(before)
    assert run(STUDY, store).asked == 0
    assert store.compact() == 0


def test_two_writers_work_side_by_side(url: str) -> None:
    one, two = Store(url), Store(url)
    first, second = Writer(one), Writer(two)
    first.record("study", _study_line())
    second.record("study", _study_line())
    assert first.name != second.name
    run(replace(STUDY, limit=3), one, settings=SMALL)
    run(STUDY, two, settings=SMALL)
    assert one.verify() == []
    assert one.table(STUDY).collect()["n_items"].to_list() == [6] * 8


def test_a_reader_survives_a_compaction_under_its_feet(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = replace(STUDY, points=1)
    run(study, Store(url), settings=SMALL)
    real, calls = Store.read, iter(range(10**6))

    def merged_away(self: Store, *arguments: Any) -> Any:
        if next(calls) == 1:
            monkeypatch.setattr(Store, "read", real)
            Store(url).compact()
        return real(self, *arguments)

    monkeypatch.setattr(Store, "read", merged_away)
    assert run(study, Store(url)).asked == 0


class _Death(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.parametrize("before", [True, False])
def test_dying_at_any_write_loses_at_most_the_segment_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    study = replace(STUDY, points=1, condition_list=((Baseline(),),), limit=8)
    whole = Store(tmp_path / "whole" / "s.saltus")
    run(study, whole)
    want = whole.table(study).collect()
    deaths, at = 0, 0
    while True:
        store = Store(tmp_path / f"{at}" / "s.saltus")
        with monkeypatch.context() as patch:
            _die_at(patch, at, before)
            try:
                run(study, store, settings=SMALL)
            except _Death:
                deaths += 1
            else:
                break
        kept = store.answers_count()
        assert run(study, store, settings=SMALL).asked == 8 - kept
        assert store.table(study).collect().equals(want)
        assert {p.severity for p in store.verify()} <= {"stray"}
        at += 1
    assert deaths >= 10


@pytest.mark.parametrize("verb", ["write", "append"])
@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_in_the_middle_of_a_commit_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, before: bool
) -> None:
    study = replace(STUDY, points=1, condition_list=((Baseline(),),), limit=8)
    store = Store(tmp_path / "s.saltus")
    real, count = getattr(Place, verb), iter(range(10**6))

    def interrupted(self: Place, *arguments: Any) -> None:
        stop = next(count) == 2
        if not (stop and before):
            real(self, *arguments)
        if stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Place, verb, interrupted)
        with pytest.raises(Interrupted) as caught:
            run(study, store, settings=SMALL)
    assert caught.value.report.asked == 8 - run(study, store, settings=SMALL).asked
    assert {p.severity for p in store.verify()} <= {"stray"}
    assert store.table(study).collect()["n_items"].to_list() == [8, 8]


def _die_at(patch: pytest.MonkeyPatch, at: int, before: bool) -> None:
    """Makes the at-th file write or log append the last thing that happens, or the first that does not."""
    count = iter(range(10**6))

    def deadly(verb: Any) -> Any:
        def call(self: Place, *arguments: Any) -> None:
            number = next(count)
            if not (before and number == at):
                verb(self, *arguments)
            if number == at:
                raise _Death

        return call

    patch.setattr(Place, "write", deadly(Place.write))
    patch.setattr(Place, "append", deadly(Place.append))


def test_a_log_line_torn_by_a_full_disk_is_not_obeyed(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    run(STUDY, store, settings=SMALL)
    log = next((tmp_path / "s.saltus" / "log").iterdir())
    text = log.read_bytes()
    log.write_bytes(text[:-40])
    assert {p.severity for p in store.verify()} == {"torn", "stray"}
    assert run(STUDY, store).asked == 4
    assert {p.severity for p in store.verify()} == {"torn", "stray"}


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.rglob(f"*.{kind}.parquet"))


def test_verify_names_a_file_that_was_changed(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    run(STUDY, store, settings=SMALL)
    file = _files(tmp_path, "answers")[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    problems = store.verify()
    assert any(file.name in p.where and "its hash is" in p.what for p in problems)


def test_verify_names_a_missing_file_and_a_truncated_one_stops_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    run(STUDY, store, settings=SMALL)
    file = _files(tmp_path, "answers")[0]
    whole = file.read_bytes()
    file.unlink()
    assert any(p.what == "missing" for p in store.verify())
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="a segment cannot be read") as caught:
        run(STUDY, store)
    assert file.name in str(caught.value)


def test_verify_sees_an_item_that_was_rewritten_with_its_hashes(tmp_path: Path) -> None:
    """Somebody who mends the file's hash in the log still breaks the chain and the item's own hash."""
    store = Store(tmp_path / "s.saltus")
    run(replace(STUDY, points=1), store)
    file = _files(tmp_path, "items")[0]
    old = file.read_bytes()
    table = pq.read_table(file)
    rows = table.to_pydict()
    rows["item"][0] = rows["item"][0].replace("copy", "cope")
    pq.write_table(table.from_pydict(rows, schema=table.schema), file)
    log = next((tmp_path / "s.saltus" / "log").iterdir())
    log.write_text(log.read_text().replace(_sha(old), _sha(file.read_bytes())))
    text = " ".join(p.what for p in store.verify())
    assert "its content has another hash" in text


def _sha(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("change", ["edit", "drop", "swap"])
def test_verify_sees_a_log_that_was_changed(tmp_path: Path, change: str) -> None:
    store = Store(tmp_path / "s.saltus")
    run(STUDY, store, settings=SMALL)
    log = next((tmp_path / "s.saltus" / "log").iterdir())
    lines = log.read_text().splitlines()
    if change == "edit":
        lines[1] = lines[1].replace('"scripted"', '"invented"')
    elif change == "drop":
        del lines[2]
    else:
        lines[2], lines[3] = lines[3], lines[2]
    log.write_text("\n".join(lines) + "\n")
    assert any("does not follow the line before it" in p.what for p in store.verify())


def test_strays_are_named_and_only_old_ones_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    run(STUDY, store)
    stray = tmp_path / "s.saltus" / "segments" / "abc" / "left.answers.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"half")
    assert [(p.severity, p.where) for p in store.verify()] == [("stray", "segments/abc/left.answers.parquet")]
    store.compact(stray_after=3600)
    assert stray.exists()
    os.utime(stray, (0, 0))
    store.compact(stray_after=3600)
    assert not stray.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_or_closed_disk_is_a_user_error_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = Store(tmp_path / "s.saltus")
    run(replace(STUDY, limit=3), store)
    before = store.answers_count()

    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("saltus.store.place.os.replace", refuse)
        with pytest.raises(UserError, match="cannot be written") as caught:
            run(STUDY, store)
    assert "s.saltus" in caught.value.where
    assert "the same command goes on" in caught.value.do
    assert store.verify() == []
    assert store.answers_count() == before
    assert run(STUDY, store).asked == 12
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_log_on_a_full_disk_is_not_left_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    place.append("log/w", 0, b'{"n":0}')
    real = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "full")
        return real(handle, data[:4])

    with monkeypatch.context() as patch:
        patch.setattr("saltus.store.place.os.write", half)
        with pytest.raises(UserError, match="full"):
            place.append("log/w", 1, b'{"n":1}')
    assert place.read("log/w.jsonl") == b'{"n":0}\n'


def test_an_unwritable_path_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="this is a file"):
        Store(tmp_path / "file")
    store = Store(tmp_path / "file" / "s.saltus")
    with pytest.raises(UserError, match="cannot be written"):
        run(STUDY, store)


def test_other_folders_and_newer_stores_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"holds other things, such as thesis\.tex"):
        Store(tmp_path)
    newer = tmp_path / "newer.saltus"
    newer.mkdir()
    (newer / "store.json").write_text(json.dumps({"format": 9, "hash": "sha256"}))
    with pytest.raises(UserError, match="newer saltus"):
        Store(newer)
    with pytest.raises(UserError, match="no such kind of store"):
        Store("carrier-pigeon://somewhere")


def test_an_empty_store_has_empty_tables(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    assert not store.exists()
    assert store.verify() == []
    assert store.table(STUDY).collect().is_empty()
    assert store.item_table(STUDY).collect().is_empty()
    assert store.table([ToyTask()]).collect().is_empty()


def test_secrets_are_never_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    line = {**_study_line(), "document": {"models": [{"api_key": "sk-123", "tokens_per_step": 5}]}}
    ref = ModelRef(adapter="a", location="https://me:sk-123@host", series="s", recipe={"api_key": "sk-123"})
    Writer(store).record("study", {**line, "models": [ref]})
    text = "".join(p.read_text() for p in (tmp_path / "s.saltus" / "log").iterdir())
    assert "sk-123" not in text
    assert '"tokens_per_step":5' in text
    assert storable("https://me:pass@host/x") == "https://host/x"
    assert storable({"tokenizer": "t", "hf_access_token": "t"}) == {"tokenizer": "t", "hf_access_token": "(not stored)"}


def _study_line() -> dict[str, Any]:
    return {"study_id": "x", "document": {}, "host": {}, "answers_before": 0}
