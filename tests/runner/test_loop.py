"""The runner asks exactly what is missing, stores every failure as one, and gives up on nothing else."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from saltus.conditions.baseline import Baseline
from saltus.errors import UserError
from saltus.records import Answer, Item, Request
from saltus.runner.here import here, shard
from saltus.runner.loop import Interrupted, Progress, RunSettings, run
from saltus.runner.pool import checked
from saltus.store import Store
from saltus.store.writer import CommitPolicy
from saltus.testing import ToyTask, asked, forget

from helpers.small_study import Dialogue, Sampled, Several, Shout, SmallStudy


@pytest.fixture
def store(tmp_path: Path) -> Store:
    forget()
    return Store(tmp_path / "small.saltus")


def test_a_finished_run_asks_nothing_and_ten_more_items_ask_ten(store: Store) -> None:
    study = SmallStudy(limit=20, points=1)
    assert run(study, store).asked == 20
    again = run(study, store)
    assert (again.asked, again.known) == (0, 20)
    more = run(replace(study, limit=30), store)
    assert (more.asked, more.known) == (10, 20)
    assert asked() == 30


def test_the_order_of_windows_does_not_change_what_is_stored(store: Store, tmp_path: Path) -> None:
    study = SmallStudy(limit=25, points=2, condition_list=((Baseline(),), (Shout(),)))
    other = Store(tmp_path / "other.saltus")
    run(study, store)
    run(study, other, settings=RunSettings(window=7))
    want, got = (s.answers().sort("key").drop("seconds").collect() for s in (store, other))
    assert want.equals(got)


def test_two_conditions_that_render_the_same_prompt_ask_once(store: Store) -> None:
    study = SmallStudy(limit=10, points=1, condition_list=((Baseline(),), (Shout("same"),)))
    assert run(study, store).asked == 10
    assert store.asks().collect().group_by("condition").len()["len"].to_list() == [10, 10]
    assert store.table(study).collect()["n_items"].to_list() == [10] * 4


def test_a_condition_added_later_takes_known_answers(store: Store) -> None:
    study = SmallStudy(limit=10, points=1)
    run(study, store)
    more = replace(study, condition_list=((Baseline(),), (Shout("same"),)))
    report = run(more, store)
    assert (report.asked, report.known) == (0, 10)


def test_every_choice_is_pooled_in_one_batch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from saltus.testing import ScriptedModel

    sizes: list[int] = []
    original = ScriptedModel.loglikelihood

    def counting(self: ScriptedModel, requests: list[Request]) -> object:
        sizes.append(len(requests))
        return original(self, requests)

    monkeypatch.setattr(ScriptedModel, "loglikelihood", counting)
    run(SmallStudy((ToyTask(format="choices"),), limit=6, points=1), store)
    assert sizes == [24]


def test_dialogues_read_their_answers_and_are_resumed(store: Store) -> None:
    study = SmallStudy((Dialogue(turns=3),), limit=5, points=1)
    assert run(study, store).asked == 15
    keys = store.asks().collect()["keys"]
    assert [len(k) for k in keys] == [3] * 5
    longer = replace(study, task_list=(Dialogue(turns=4, version="2"),))
    report = run(longer, store)
    assert report.asked == 5, "three turns are known, the fourth is new"


def test_a_dialogue_killed_between_turns_goes_on_from_its_stored_answers(store: Store) -> None:
    study = SmallStudy((Dialogue(turns=3),), limit=5, points=1)
    broken = replace(study, options={"faults": {"raise_at": 7}})
    report = run(broken, store)
    assert (report.asked, report.failed) == (7, 6)
    assert run(study, store).asked == 8
    assert store.verify() == []


def test_repeats_of_greedy_questions_share_answers_and_samples_do_not(store: Store) -> None:
    tasks = (ToyTask(format="generate"), Sampled())
    study = SmallStudy(tasks, limit=5, points=1, repeats=3)
    assert run(study, store).asked == 5 + 15
    assert store.table(study).collect().group_by("task").len()["len"].to_list() == [3, 3]


def test_samples_depend_on_study_seed_item_and_repeat_alone(store: Store, tmp_path: Path) -> None:
    study = SmallStudy((Sampled(),), limit=6, points=1, repeats=2)
    run(study, store)
    other = Store(tmp_path / "b.saltus")
    run(replace(study, limit=3), other)
    run(study, other)
    assert set(store.answers().collect()["key"]) == set(other.answers().collect()["key"])
    assert run(replace(study, seed=18), other).asked == 12


def test_samples_that_a_task_asks_for_itself_differ_in_every_repeat(store: Store) -> None:
    study = SmallStudy((Several(),), limit=4, points=1, repeats=3)
    assert run(study, store).asked == 4 * 3 * 3
    keys = store.asks().collect()["keys"].to_list()
    assert all(len(set(some)) == 3 for some in keys)
    assert len({key for some in keys for key in some}) == 4 * 3 * 3


def test_failed_answers_are_stored_named_and_retried(store: Store) -> None:
    study = SmallStudy(limit=10, points=1)
    faulty = replace(study, options={"faults": {"fail_at": [3, 4]}})
    report = run(faulty, store)
    assert report.failed == 2
    assert any("scripted to fail" in line for line in report.failures)
    table = store.table(study).collect()
    assert table["n_items"].to_list() == [8, 8]
    assert table["n_missing"].to_list() == [2, 2]
    assert table["missing"].to_list() == ["failed: scripted to fail"] * 2
    items = store.item_table(study).filter(pl.col("state") == "failed").collect()
    assert items["value"].null_count() == items.height == 4
    fixed = run(study, store)
    assert (fixed.asked, fixed.failed, fixed.known) == (2, 0, 8)
    assert store.table(study).collect()["n_missing"].to_list() == [0, 0]
    assert store.verify() == []


def test_a_nan_is_a_failure_and_never_a_score(store: Store) -> None:
    study = SmallStudy(limit=4, points=1, options={"faults": {"nan_at": [1]}})
    report = run(study, store)
    assert report.failed == 1
    assert "not a finite number" in report.failures[0]
    stored = store.answers().filter(pl.col("error").is_not_null()).collect()
    assert stored["token_logprobs"].to_list() == [[]]


def test_log_probabilities_of_the_wrong_length_are_a_failure() -> None:
    request = Request(kind="loglikelihood", prompt_ids=(1,), continuation_ids=(2, 3))
    answer = checked(request, Answer(key="k", token_ids=(2,), token_logprobs=(-1.0,)))
    assert answer.error == "1 log-probabilities for 2 tokens"
    assert checked(request, Answer(key="k", token_logprobs=(-1.0, -2.0))).error is None


@pytest.mark.parametrize("fault", ["raise_at", "crash_at"])
def test_a_model_that_dies_leaves_the_rest_alone(store: Store, fault: str) -> None:
    study = SmallStudy(limit=10, points=3)
    report = run(replace(study, options={"faults": {fault: 4}}), store)
    assert [m.tally.asked for m in report.models] == [4, 4, 4]
    assert all(m.error is not None for m in report.models)
    assert run(study, store).asked == 18


def test_a_model_that_cannot_be_opened_is_a_row_with_a_reason(store: Store) -> None:
    study = SmallStudy(limit=5, points=2)
    report = run(replace(study, options={"faults": {"open_error": True}}), store)
    assert [m.identity for m in report.models] == [None, None]
    table = store.table(study).collect()
    assert table["value"].null_count() == table.height == 4
    assert all("scripted to fail on opening" in why for why in table["why_missing"])
    assert run(study, store).failed == 0
    assert store.table(study).collect()["value"].null_count() == 0


def test_a_task_that_a_model_cannot_be_asked_is_refused_by_name(store: Store) -> None:
    study = SmallStudy(
        (ToyTask(), ToyTask(name="gen", format="generate")), limit=5, points=1, options={"offers": ["loglikelihood"]}
    )
    report = run(study, store)
    assert (report.asked, report.failed) == (5, 0)
    assert "gen was not asked: it needs generate" in report.refusals[0]
    table = store.table(study).filter(pl.col("task") == "gen").collect()
    assert table["why_missing"].to_list() == ["refused: it needs generate; the model offers loglikelihood"]


def test_refusals_of_a_condition_are_counted_apart_from_failures(store: Store) -> None:
    study = SmallStudy(limit=10, points=1, condition_list=((Baseline(),), (Shout("even"),)))
    report = run(study, store)
    assert (report.models[0].tally.refused, report.failed) == (5, 0)
    table = store.table(study).filter(pl.col("condition") == "shout[how=even]").collect()
    assert table.select("n_items", "n_refused", "n_missing").rows() == [(5, 5, 0)] * 2
    assert run(study, store).known == 20


def test_a_broken_condition_is_a_failure_of_its_items(store: Store) -> None:
    study = SmallStudy(limit=4, points=1, condition_list=((Baseline(),), (Shout("broken"),)))
    report = run(study, store)
    assert (report.asked, report.failed) == (4, 4)
    assert "RuntimeError: this condition is broken" in report.failures[0]


@dataclass(frozen=True, kw_only=True)
class _Raising(ToyTask):
    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        answer = yield Request(kind="loglikelihood", prompt=item.question, continuation="1")
        raise ValueError(f"cannot go on after {len(answer.token_logprobs)} numbers")


def test_a_task_that_raises_on_an_answer_fails_its_item(store: Store) -> None:
    report = run(SmallStudy((_Raising(),), limit=3, points=1), store)
    assert (report.asked, report.failed) == (3, 3)
    assert "cannot go on after 1 numbers" in report.failures[0]


def test_ctrl_c_stores_what_was_answered_and_says_so(store: Store) -> None:
    study = SmallStudy(limit=10, points=2)

    def stop(progress: Progress) -> None:
        if progress.done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run(study, store, progress=stop, settings=RunSettings(tell_every=0))
    assert caught.value.report.interrupted
    assert caught.value.report.asked == 5
    assert store.answers_count() == 5
    assert run(study, store).asked == 15
    assert store.verify() == []


def test_progress_counts_asks_and_ends_complete(store: Store) -> None:
    seen: list[Progress] = []
    study = SmallStudy(limit=10, points=3)
    run(study, store, progress=seen.append, settings=RunSettings(tell_every=0))
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].position, seen[-1].models) == (30, 30, 3, 3)
    assert seen[-1].seconds_left == 0
    run(study, store, progress=seen.append)
    assert (seen[-1].done, seen[-1].known) == (30, 30)


def test_the_study_and_the_models_are_written_down(store: Store) -> None:
    study = SmallStudy(limit=5, points=2)
    run(study, store)
    run(study, store)
    found = store.contents()
    assert len(found.models) == 2, "what is known of a model is not written again"
    assert [s.answers_before for s in found.studies] == [0, 10]
    assert {s.study_id for s in found.studies} == {study.study_id}
    assert [m.ref.coords["tokens"] for m in found.models[:2]] == [1e6, 1e9]
    assert found.studies[0].host["cores"] > 0


def test_what_only_asking_told_of_a_model_is_written_down_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from saltus.testing import ScriptedModel

    plain = ScriptedModel.describe
    monkeypatch.setattr(
        ScriptedModel, "describe", lambda self: replace(plain(self), self_check=0.25 if self._given else None)
    )
    two = (ToyTask(), ToyTask(name="gen", format="generate"))
    study = SmallStudy(two, limit=5, points=1, options={"offers": ["loglikelihood"]})
    run(study, store)
    assert [m.describe["self_check"] for m in store.contents().models] == [0.25]
    assert store.table(study).collect()["why_missing"].n_unique() == 2, "the refusal still stands"
    lines = sum(len(p.read_text().splitlines()) for p in Path(store.place.url).rglob("log/*.jsonl"))
    run(study, store)
    found = store.contents()
    assert [m.describe["self_check"] for m in found.models] == [0.25] * len(found.models)
    after = sum(len(p.read_text().splitlines()) for p in Path(store.place.url).rglob("log/*.jsonl"))
    assert after - lines <= 3, "a study, the model after its gap, the gap; nothing was learnt anew"
    assert store.verify() == []


@pytest.mark.parametrize(("n", "points"), [(2, 3), (3, 3), (5, 2), (4, 1)])
def test_shards_cover_everything_once_and_give_the_same_table(tmp_path: Path, n: int, points: int) -> None:
    study = SmallStudy(limit=11, points=points)
    whole, split = Store(tmp_path / "s.saltus"), Store(tmp_path / "split" / "s.saltus")
    run(study, whole, executor=here())
    reports = [run(study, split, executor=shard(i, n)) for i in range(1, n + 1)]
    assert sum(r.asked for r in reports) == 11 * points
    assert whole.table(study).collect().equals(split.table(study).collect())
    assert run(study, split).asked == 0


@pytest.mark.parametrize(("i", "n"), [(0, 3), (4, 3), (1, 0)])
def test_an_impossible_shard_is_refused(i: int, n: int) -> None:
    with pytest.raises(UserError, match="there is no shard"):
        shard(i, n)


def test_commits_follow_the_policy(store: Store) -> None:
    settings = RunSettings(commit=CommitPolicy(most_rows=10))
    run(SmallStudy(limit=35, points=1), store, settings=settings)
    sizes = [s.files["answers"].rows for s in store.contents().segments]
    assert sizes == [10, 10, 10, 5]
