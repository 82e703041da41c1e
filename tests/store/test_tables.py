"""The table says what the answers say: values, errors, floors, and why a value is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from saltus.conditions.baseline import Baseline
from saltus.records import Answer, Item, Score
from saltus.results.table import COLUMNS
from saltus.runner.loop import RunSettings, run
from saltus.store import Store
from saltus.store.writer import CommitPolicy
from saltus.testing import ToyTask, asked, forget

from helpers.small_study import Dialogue, Shout, SmallStudy

CHOICES = ToyTask(format="choices")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    forget()
    return Store(tmp_path / "s.saltus")


def test_columns_are_those_of_the_results_table(store: Store) -> None:
    study = SmallStudy((CHOICES,), points=2)
    run(study, store)
    for frame in (store.table(study).collect(), store.item_table(study).collect()):
        assert frame.columns[: len(COLUMNS)] == list(COLUMNS)
        assert {c: frame.schema[c] for c in COLUMNS} == {c.name: c.dtype for c in COLUMNS.values()}


def test_values_errors_and_floors_are_those_of_the_items(store: Store) -> None:
    study = SmallStudy((CHOICES,), points=3, limit=40)
    run(study, store)
    table, items = store.table(study).collect(), store.item_table(study).collect()
    assert table.height == 3 * 2
    for row in table.iter_rows(named=True):
        mine = items.filter(pl.col("model_identity") == row["model_identity"], pl.col("metric") == row["metric"])
        values, groups = mine["value"].to_numpy(), mine["group"].to_list()
        assert row["value"] == pytest.approx(values.mean(), abs=1e-12)
        assert row["stderr"] == pytest.approx(_clustered(values, groups), abs=1e-12)
        assert (row["n_items"], row["n_clusters"], row["n_missing"]) == (40, 10, 0)
        assert (row["condition"], row["n_shot"], row["target_tokens"]) == ("baseline", 0, 8.0)
    hard = table.filter(pl.col("role") == "hard")
    assert hard["metric"].unique().to_list() == ["acc"]
    assert hard["floor"].to_list() == [0.25] * 3
    assert hard["nominal_floor"].to_list() == [0.25] * 3
    assert hard.sort("tokens")["value"][-1] > 0.8
    assert table["item_set"].n_unique() == 1


def _clustered(values: np.ndarray, groups: Sequence[str]) -> float:
    """By hand, cluster after cluster."""
    residuals = dict.fromkeys(groups, 0.0)
    for value, group in zip(values, groups, strict=True):
        residuals[group] += value - values.mean()
    count = len(residuals)
    return math.sqrt(sum(r * r for r in residuals.values()) * count / (count - 1)) / len(values)


@dataclass(frozen=True, kw_only=True)
class _Rich(ToyTask):
    """Details of every kind, no groups, and a soft score that is missing for a reason."""

    name: str = "rich"

    def _item(self, i: int) -> Item:
        return replace(ToyTask._item(self, i), group=None)

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        i = int(item.id.split("-")[1])
        return [
            Score(
                metric_hard="greedy_match",
                hard=float(i % 2),
                metric_soft="token_logprob",
                soft=None if i == 0 else -float(i),
                why_no_soft="zero has none" if i == 0 else None,
                detail={"token_acc": 0.5, "label": "word", "nats": -float(i), "odd": math.inf},
            )
        ]


def test_details_words_and_missing_numbers_keep_their_rows(store: Store) -> None:
    study = SmallStudy((_Rich(),), points=1, limit=5)
    run(study, store)
    items = store.item_table(study).collect()
    assert items.height == 5 * 6
    zero = items.filter(pl.col("metric") == "token_logprob", pl.col("item_id") == "toy-0")
    assert zero.select("value", "why_missing").row(0) == (None, "zero has none")
    labelled = items.filter(pl.col("metric") == "label")
    assert labelled["label"].to_list() == ["word"] * 5
    assert labelled["value"].null_count() == 5
    table = store.table(study).collect()
    rows = {r["metric"]: r for r in table.iter_rows(named=True)}
    assert set(rows) == {"greedy_match", "token_logprob", "token_acc", "nats", "odd"}
    assert (rows["token_logprob"]["value"], rows["token_logprob"]["n_items"]) == (-2.5, 4)
    assert rows["token_logprob"]["missing"] == "zero has none"
    assert rows["odd"]["why_missing"] == "the score is inf"
    assert (rows["nats"]["role"], rows["token_acc"]["role"]) == ("soft", "soft")
    spread = np.std([0, 1, 0, 1, 0], ddof=1) / math.sqrt(5)
    assert rows["greedy_match"]["stderr"] == pytest.approx(spread, abs=1e-15)


@dataclass(frozen=True, kw_only=True)
class _Rescored(ToyTask):
    """The toy task with a scorer that turns right into wrong."""

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        (score,) = ToyTask.score(self, item, answers)
        assert score.hard is not None
        return [replace(score, hard=1.0 - score.hard)]


def test_a_new_scorer_gives_new_numbers_without_asking(store: Store) -> None:
    study = SmallStudy(points=2)
    run(study, store)
    before, count = store.table(study).collect(), asked()
    newer = replace(study, task_list=(_Rescored(version="2"),))
    after = store.table(newer).collect()
    hard = pl.col("role") == "hard"
    flipped = (1 - after.filter(hard)["value"]).to_list()
    assert flipped == pytest.approx(before.filter(hard)["value"].to_list())
    assert run(newer, store).asked == 0
    assert asked() == count
    assert store.table(newer).collect().drop("task_version").equals(after.drop("task_version"))
    assert store.table(study).collect().equals(before)


def test_kept_scores_are_used_and_can_be_left_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    study = SmallStudy(points=2)
    run(study, store)
    before = store.table(study).collect()

    def fail(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(ToyTask, "score", fail)
    assert store.table(study).collect().equals(before)
    assert store.item_table(study).collect()["value"].null_count() == 0
    broken = store.table(study, rescore=True).collect()
    assert broken["value"].null_count() == broken.height
    assert "AssertionError: scored again" in broken["why_missing"][0]


def test_a_smaller_limit_and_another_seed_select_their_own_items(store: Store) -> None:
    study = SmallStudy(points=1, limit=12)
    run(study, store)
    small = replace(study, limit=5)
    assert store.table(small).collect()["n_items"].to_list() == [5, 5]
    assert store.table(replace(study, seed=3)).collect().is_empty()
    listed = store.table([ToyTask()]).collect()
    assert listed["n_items"].to_list() == [12, 12]


def test_conditions_levels_and_parents_reach_the_items(store: Store) -> None:
    conditions = ((Baseline(),), (Shout("even"),), (Shout(), Shout("same")))
    study = SmallStudy(points=1, limit=4, condition_list=conditions)
    run(study, store)
    table = store.table(study).collect()
    levels = dict(table.select("condition", "condition_level").unique().rows())
    assert levels == {"baseline": None, "shout[how=even]": "even", "shout+shout[how=same]": None}
    items = store.item_table(study).filter(pl.col("condition") == "shout[how=even]").collect()
    done = items.filter(pl.col("state") == "done")
    assert done["parent_id"].to_list() == done["item_id"].to_list()
    assert set(done["relation"]) == {"perturbed"}
    refused = items.filter(pl.col("state") == "refused")
    assert set(refused["why_missing"]) == {"refused: the item's number is odd"}
    assert table.filter(pl.col("condition") != "baseline")["item_set"].n_unique() == 2


def test_an_early_end_is_said_beside_the_numbers_it_left(store: Store) -> None:
    study = SmallStudy(points=1, limit=10)
    small = RunSettings(window=4)
    run(replace(study, options={"faults": {"raise_at": 6}}), store, settings=small)
    row = store.table(study).collect().row(0, named=True)
    assert (row["n_items"], row["n_missing"]) == (6, 2)
    assert "its run ended early: " in row["missing"]
    run(study, store)
    assert store.table(study).collect()["missing"].null_count() == 2


def test_segments_windows_and_dialogues_do_not_change_a_table(store: Store, tmp_path: Path) -> None:
    study = SmallStudy((CHOICES, Dialogue()), limit=9, points=2, repeats=2)
    other = Store(tmp_path / "b" / "s.saltus")
    run(study, store)
    run(study, other, settings=RunSettings(window=5, commit=CommitPolicy(most_rows=3)))
    assert store.table(study).collect().equals(other.table(study).collect())
    assert store.item_table(study).collect().equals(other.item_table(study).collect())


def test_the_same_location_with_new_weights_shares_no_answer(store: Store) -> None:
    """The identity is hashed from coordinates here, so another size of model stands for new weights."""
    study = SmallStudy(points=1)
    run(study, store)
    newer = replace(study, options={"params": 2e6})
    assert run(newer, store).asked == 20
    table = store.table(newer).collect()
    assert table["params"].to_list() == [2e6, 2e6], "the latest record of a location wins"


@dataclass(frozen=True, kw_only=True)
class _File(ToyTask):
    """The toy task as if it were read from a file of that hash, its items moved by `shift`."""

    sha256: str
    shift: int = 0

    @property
    def provenance(self) -> dict[str, str]:
        return {"sha256": f"sha256:{self.sha256}"}

    def items(self, n: int | None, rng: np.random.Generator) -> list[Item]:
        return [self._item(i + self.shift) for i in range(n or 0)]


def test_items_that_left_the_file_leave_the_table(store: Store) -> None:
    study = SmallStudy((_File(sha256="a" * 64),), points=1, limit=6)
    run(study, store)
    moved = replace(study, task_list=(_File(sha256="b" * 64, shift=4),), limit=5)
    assert run(moved, store).asked == 3, "items 4 and 5 are known"
    items = store.item_table(moved).collect()
    assert set(items["item_id"]) == {f"toy-{i}" for i in range(4, 9)}
    assert set(store.item_table(study).collect()["item_id"]) == {f"toy-{i}" for i in range(6)}
