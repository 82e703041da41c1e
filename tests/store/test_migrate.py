"""Stores of saltus 0.1: read as they are, rewritten without losing anything, gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import saltus
from saltus.errors import UserError
from saltus.runner.open import run_study
from saltus.store import Store, events
from saltus.store.migrate import migrate

from helpers.places import DATA_FOLDER

OLD = DATA_FOLDER / "store_format_1"
NEW_COLUMNS = ["edit", "environment"]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A study of saltus 0.1 with its store; the document's path."""
    shutil.copytree(OLD / "store", tmp_path / "old.saltus")
    shutil.copy(OLD / "old.yaml", tmp_path / "old.yaml")
    return tmp_path / "old.yaml"


def comparable(frame: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """In the columns that the earlier release had."""
    return frame.select(like.columns)


def test_an_old_store_reads_as_it_was_written(old: Path) -> None:
    study, store = saltus.load(old), Store(old.with_suffix(".saltus"))
    assert store.format == 1
    assert store.verify() == []
    for name, found in (("table", store.table(study)), ("items", store.item_table(study))):
        wanted = pl.read_parquet(OLD / f"{name}.parquet")
        assert_frame_equal(comparable(found.collect(), wanted), wanted, check_row_order=False)


def test_an_old_store_is_not_written_to(old: Path) -> None:
    document = old.read_text().replace("limit: 8", "limit: 12")
    old.write_text(document)
    with pytest.raises(UserError, match="saltus migrate"):
        run_study(old)
    with pytest.raises(UserError, match="saltus migrate"):
        Store(old.with_suffix(".saltus")).compact()


def test_a_migrated_store_gives_the_same_tables_and_goes_on(old: Path) -> None:
    folder = old.with_suffix(".saltus")
    before = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.parquet")}
    done = migrate(folder)
    study, store = saltus.load(old), Store(folder)
    assert store.format == 2
    assert json.loads((folder / "store.json").read_text()) == {"format": 2, "hash": "sha256"}
    assert store.verify() == []
    assert (done.segments, done.answers) == (14, 140)
    for name, found in (("table", store.table(study)), ("items", store.item_table(study))):
        wanted = pl.read_parquet(OLD / f"{name}.parquet")
        assert_frame_equal(comparable(found.collect(), wanted), wanted, check_row_order=False)
    kept = Path(done.kept)
    assert {p.relative_to(kept): p.read_bytes() for p in kept.rglob("*.parquet")} == before
    assert [e.kind for e in events.read(store.place)] == ["migrated"]
    assert run_study(old).asked == 0, "what was asked is known"
    old.write_text(old.read_text().replace("limit: 8", "limit: 12"))
    assert run_study(old).asked > 0
    assert store.verify() == []


def test_answers_say_whose_they_are(old: Path) -> None:
    migrate(old.with_suffix(".saltus"))
    store = Store(old.with_suffix(".saltus"))
    identities = set(store.answers().select("identity").unique().collect()["identity"])
    assert identities == {m.identity for m in store.contents().models}
    one = sorted(identities)[0]
    assert set(store.answers(one).collect()["identity"]) == {one}


def test_a_store_is_migrated_once(old: Path) -> None:
    migrate(old.with_suffix(".saltus"))
    with pytest.raises(UserError, match="format 2 already"):
        migrate(old.with_suffix(".saltus"))
    with pytest.raises(UserError, match="there is no store"):
        migrate(old.parent / "absent.saltus")


def test_a_damaged_store_is_not_copied(old: Path) -> None:
    folder = old.with_suffix(".saltus")
    file = next(folder.rglob("*.answers.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="places are damaged"):
        migrate(folder)
    assert Store(folder).format == 1


def test_a_kill_between_the_last_two_steps_is_completed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old.with_suffix(".saltus")
    plain = Path.rename

    def dies(self: Path, target: Path) -> Path:
        if self.name.endswith(".migrating"):
            raise KeyboardInterrupt
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", dies)
    with pytest.raises(KeyboardInterrupt):
        migrate(folder)
    monkeypatch.setattr(Path, "rename", plain)
    assert not folder.exists()
    with pytest.raises(UserError, match="format 2 already"):
        migrate(folder)
    assert Store(folder).verify() == []
    assert run_study(old).asked == 0


def test_a_kill_while_copying_costs_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from saltus.store import migrate as module

    folder = old.with_suffix(".saltus")
    plain, count = module.put_table, [0]

    def dies(*arguments: object) -> object:
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "put_table", dies)
    with pytest.raises(KeyboardInterrupt):
        migrate(folder)
    assert Store(folder).format == 1
    monkeypatch.setattr(module, "put_table", plain)
    migrate(folder)
    assert Store(folder).verify() == []
