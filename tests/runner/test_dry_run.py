"""A dry run counts what a run would ask, and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from saltus.conditions.baseline import Baseline
from saltus.runner.dry_run import plan
from saltus.runner.loop import run
from saltus.store import Store
from saltus.testing import ToyTask, asked, forget

from helpers.small_study import Dialogue, Shout, SmallStudy


def test_a_plan_is_what_the_run_then_does(tmp_path: Path) -> None:
    forget()
    store = Store(tmp_path / "s.saltus")
    conditions = ((Baseline(),), (Shout("same"),), (Shout("even"),))
    study = SmallStudy((ToyTask(format="choices"),), condition_list=conditions, limit=10, points=2)
    before = plan(study, store)
    assert asked() == 0
    assert not (tmp_path / "s.saltus").exists()
    assert before.seconds is None
    assert "not asked" in str(before.models[0].why_no_seconds) or before.models[0].why_no_seconds
    report = run(study, store)
    assert before.answers == report.asked
    assert before.tokens == sum(m.tally.tokens for m in report.models)
    assert sum(m.refused for m in before.models) == 10
    after = plan(replace(study, limit=12), store)
    assert after.known == 60
    assert after.answers == 2 * (2 + 1) * 4
    assert after.seconds is not None
    assert after.seconds > 0


def test_dialogues_are_lower_bounds_and_unopened_models_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.saltus")
    study = SmallStudy((Dialogue(),), limit=4, points=1)
    one = plan(study, store).models[0]
    assert (one.answers, one.more_turns, one.tokens_out) == (4, 4, 4 * 64)
    faulty = replace(study, options={"faults": {"open_error": True}})
    assert "fail on opening" in str(plan(faulty, store).models[0].error)
