"""Where series lie, who trains them, and the `zoo:` adapter in front."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from saltus import plugins
from saltus.errors import UserError
from saltus.models.base import Adapter, ModelError
from saltus.records import AskPolicy, Request, SeriesEntry
from saltus.zoo import cache, catalogue
from saltus.zoo.grokking import Grokking
from saltus.zoo.induction import Induction
from saltus.zoo.training import Schedule, is_complete, train

SHORT = Schedule(steps=4, points=2, rate=3e-3, batch=4)


@pytest.fixture
def small_zoo(monkeypatch, tmp_path):
    """Exhibits that train in a moment, for whatever runs in this process."""
    small = Induction(width=16, schedule=SHORT)
    shows = catalogue.EXHIBITS["induction-2l"]
    monkeypatch.setattr(
        catalogue,
        "EXHIBITS",
        {
            "small": replace(shows, name="small", seeds=(0, 1), courses=lambda: (small,)),
            "family": replace(shows, name="family", seeds=(0,), courses=lambda: (small, replace(small, width=24))),
            "grok": replace(
                shows,
                name="grok",
                seeds=(0,),
                options=(),
                courses=lambda: (Grokking(p=11, width=16, schedule=replace(SHORT, batch=48, clip=None)),),
            ),
        },
    )

    def train_here(missing, workers, progress):
        for job in missing:
            train(job.course, job.seed, job.folder)

    monkeypatch.setattr(cache, "_train", train_here)
    monkeypatch.setenv("SALTUS_ZOO", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


def entry(source: str, **given) -> SeriesEntry:
    return SeriesEntry(source=source, scheme="zoo", **given)


def refs(source: str, base: Path, **given):
    return plugins.load("models", "zoo").series(entry(source, **given), AskPolicy(), base)


def test_the_cache_is_the_option_else_the_variable_else_the_users(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SALTUS_ZOO", str(tmp_path / "variable"))
    assert cache.home(tmp_path / "option") == tmp_path / "option"
    assert cache.home() == tmp_path / "variable"
    monkeypatch.delenv("SALTUS_ZOO")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.home() == tmp_path / "saltus" / "zoo"


def test_another_recipe_is_another_place_and_seeds_share_one() -> None:
    narrow, wide = (cache.jobs("induction-2l", options={"width": w})[0] for w in (32, 64))
    assert narrow.folder.parent != wide.folder.parent
    assert wide.folder.parent == cache.jobs("induction-2l")[2].folder.parent


def test_a_member_of_the_family_lies_where_the_same_recipe_alone_lies() -> None:
    family = {job.folder for job in cache.jobs("induction-width")}
    assert {job.folder for job in cache.jobs("induction-2l", seeds=[0])} <= family


def test_series_lists_every_checkpoint_of_every_seed(small_zoo, tmp_path) -> None:
    found = refs("small", tmp_path)
    assert [(r.coords["seed"], r.coords["step"]) for r in found] == [(0, 0), (0, 1), (0, 4), (1, 0), (1, 1), (1, 4)]
    last = found[-1]
    assert (last.adapter, last.series, last.coords["tokens"]) == ("zoo", "small", 4 * 4 * 48)
    assert set(last.coords) == {"step", "tokens", "params", "flops", "loss", "seed"}
    assert last.recipe["schedule"]["rate"] == 3e-3
    assert Path(last.location).is_relative_to(small_zoo)


def test_a_family_names_its_models(small_zoo, tmp_path) -> None:
    names = {(r.coords["model"], r.coords["params"]) for r in refs("family", tmp_path)}
    assert {name for name, _ in names} == {"induction-2l-16", "induction-2l-24"}
    assert len(names) == 2


def test_what_the_entry_says_wins(small_zoo, tmp_path) -> None:
    options = {"seeds": [1], "cache": "here", "width": 32}
    found = refs("small", tmp_path, series="mine", options=options, coords={"variant": "a"})
    assert {r.series for r in found} == {"mine"}
    assert {r.coords["seed"] for r in found} == {1}
    assert {r.coords["variant"] for r in found} == {"a"}
    assert {r.recipe["width"] for r in found} == {32}
    assert all(Path(r.location).is_relative_to(tmp_path / "here") for r in found)


def test_a_seed_stated_as_a_coordinate_is_the_seed_trained(small_zoo, tmp_path) -> None:
    assert {r.coords["seed"] for r in refs("small", tmp_path, coords={"seed": 1})} == {1}


def test_listing_again_trains_nothing(small_zoo, tmp_path, monkeypatch) -> None:
    first = refs("small", tmp_path)

    def refuse(*args):
        raise AssertionError("trained again")

    monkeypatch.setattr(cache, "_train", refuse)
    assert refs("small", tmp_path) == first


@pytest.mark.parametrize(
    ("source", "prompt", "continuation"), [("small", "t1 t2 t1", " t2"), ("grok", "3 + 4 =", " 7")]
)
def test_a_checkpoint_answers_like_any_model(small_zoo, tmp_path, source, prompt, continuation) -> None:
    adapter: Adapter = plugins.load("models", "zoo")
    model = adapter.open(refs(source, tmp_path)[-1], AskPolicy())
    request = model.encode(Request(kind="loglikelihood", prompt=prompt, continuation=continuation))
    (answer,) = model.loglikelihood([request])
    model.close()
    assert answer.error is None
    assert len(answer.token_logprobs) == 1
    assert -12 < answer.token_logprobs[0] < 0


def test_an_unknown_word_is_a_failure_not_a_wrong_answer(small_zoo, tmp_path) -> None:
    model = plugins.load("models", "zoo").open(refs("small", tmp_path)[0], AskPolicy())
    request = model.encode(Request(kind="loglikelihood", prompt="t1 t99", continuation=" t2"))
    (answer,) = model.loglikelihood([request])
    assert answer.error is not None
    assert "vocabulary" in answer.error


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("induction-2", {}, "induction-2l"),
        ("induction-2l", {"widht": 32}, "width"),
        ("induction-2l", {"width": 31}, "multiple of 8"),
        ("induction-2l", {"width": "wide"}, "multiple of 8"),
        ("grokking", {"width": 32}, "no option `width`"),
        ("induction-2l", {"seeds": [-1]}, "whole numbers"),
        ("induction-2l", {"seeds": []}, "whole numbers"),
    ],
)
def test_mistakes_are_told_with_what_is_right(source, options, message, tmp_path) -> None:
    with pytest.raises(UserError, match=message):
        refs(source, tmp_path, options=options)


def test_a_cache_that_cannot_be_written_is_told(small_zoo, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="SALTUS_ZOO"):
        refs("small", tmp_path, options={"cache": "file"})


def test_a_training_that_fails_is_the_models_failure(small_zoo, tmp_path, monkeypatch) -> None:
    def fail(*args):
        raise RuntimeError("training small, seed 0 failed")

    monkeypatch.setattr(cache, "_train", fail)
    with pytest.raises(ModelError, match="seed 0 failed"):
        refs("small", tmp_path)


def work_until(job: cache.Job, name: str) -> list[int]:
    """A real worker process, killed once the checkpoint is there. The steps it told."""
    shown: list[int] = []
    crew = cache._Crew(lambda job, step, steps: shown.append(step))
    thread = threading.Thread(target=crew.train, args=(job,))
    thread.start()
    while not (job.folder / name).exists() and thread.is_alive():
        time.sleep(0.02)
    crew._stopped = True
    for process in list(crew._running):
        os.kill(process.pid, signal.SIGKILL)
    thread.join()
    return shown


@pytest.mark.slow
def test_a_worker_killed_twice_trains_what_the_loop_trains_alone(tmp_path) -> None:
    (job,) = cache.jobs("induction-1l", options={"width": 8}, seeds=[0], cache=tmp_path / "cache")
    assert work_until(job, "step-19")
    assert not is_complete(job.course, job.folder)
    work_until(job, "step-54")

    class Enough(Exception):
        pass

    def stop(step: int, steps: int) -> None:
        if step == 54:
            raise Enough

    with pytest.raises(Enough):
        train(job.course, 0, tmp_path / "alone", stop)
    for step in (0, 7, 19, 35, 54):
        alone, worked = (
            (folder / f"step-{step}" / "model.safetensors").read_bytes() for folder in (tmp_path / "alone", job.folder)
        )
        assert alone == worked, step


def test_a_failing_worker_says_why(tmp_path) -> None:
    (job,) = cache.jobs("grokking", seeds=[0], cache=tmp_path)
    job.folder.parent.mkdir(parents=True)
    job.folder.write_text("a file where a folder should be")
    with pytest.raises(RuntimeError, match="FileExistsError"):
        cache._Crew(lambda *shown: None).train(job)


@pytest.mark.slow
def test_induction_2l_learns_to_copy_in_its_window(tmp_path) -> None:
    """Seed 0, trained in full: at the floor at step 124, copying by step 280, and never back."""
    (job,) = cache.jobs("induction-2l", seeds=[0], cache=tmp_path)
    cache.train_all([job], workers=1)
    accuracy = {card["step"]: card["copy_accuracy"] for _, card in job.checkpoints()}
    assert max(a for step, a in accuracy.items() if step <= 99) < 0.2
    assert min(a for step, a in accuracy.items() if step >= 314) > 0.8
    loss = {card["step"]: card["loss"] for _, card in job.checkpoints()}
    assert loss[600] < loss[0] - 1.5
