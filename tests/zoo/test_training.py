"""The loop: deterministic, resumable to the byte, never a half checkpoint, ordinary folders."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from saltus.zoo import training
from saltus.zoo.addition import Addition
from saltus.zoo.grokking import Grokking
from saltus.zoo.induction import Induction
from saltus.zoo.training import CARD, RESUME, Schedule, is_complete, recipe_hash, train

SHORT = Schedule(steps=12, points=4, rate=3e-3, batch=4)
TINY = Induction(width=16, schedule=SHORT)
COURSES = (
    TINY,
    Addition(width=16, schedule=replace(SHORT, decay="linear")),
    Grokking(p=11, width=16, schedule=replace(SHORT, batch=48, clip=None, weight_decay=1.0)),
)


def weights(folder: Path) -> dict[str, str]:
    """Step folder -> hash of its weights."""
    files = folder.glob("step-*/model.safetensors")
    return {f.parent.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def cards(folder: Path) -> dict[str, dict]:
    return {f.parent.name: json.loads(f.read_text()) for f in folder.glob(f"step-*/{CARD}")}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def kill_at(step: int):
    def progress(now: int, steps: int) -> None:
        if now == step:
            raise Killed

    return progress


def test_checkpoints_grow_as_the_power_of_one_and_a_half() -> None:
    assert Schedule(steps=600, points=20, rate=1, batch=1).checkpoints() == (
        0,
        7,
        19,
        35,
        54,
        75,
        99,
        124,
        152,
        181,
        212,
        245,
        279,
        314,
        351,
        390,
        429,
        470,
        512,
        556,
        600,
    )


def test_short_runs_have_no_checkpoint_twice() -> None:
    assert Schedule(steps=3, points=20, rate=1, batch=1).checkpoints() == (0, 1, 2, 3)


def test_the_rate_warms_up_and_decays_to_nothing() -> None:
    schedule = Schedule(steps=100, points=4, rate=1.0, batch=1, warmup=10, decay="linear")
    assert schedule.rate_at(0) == pytest.approx(0.1)
    assert schedule.rate_at(50) == pytest.approx(0.5)
    assert schedule.rate_at(99) == pytest.approx(0.01)


@pytest.mark.parametrize("course", COURSES, ids=lambda c: c.name)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(course, tmp_path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(course, seed, tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert cards(tmp_path / "a") == cards(tmp_path / "b")
    assert weights(tmp_path / "a")["step-12"] != weights(tmp_path / "c")["step-12"]
    assert weights(tmp_path / "a")["step-0"] != weights(tmp_path / "c")["step-0"]


@pytest.mark.parametrize("course", COURSES, ids=lambda c: c.name)
@pytest.mark.parametrize("step", [3, 12])
def test_a_killed_run_goes_on_to_the_same_end(course, step, tmp_path) -> None:
    train(course, 0, tmp_path / "whole")
    with pytest.raises(Killed):
        train(course, 0, tmp_path / "killed", kill_at(step))
    assert not is_complete(course, tmp_path / "killed")
    done = {f: f.stat().st_mtime_ns for f in (tmp_path / "killed").glob("step-*/model.safetensors")}
    train(course, 0, tmp_path / "killed")
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")
    assert cards(tmp_path / "whole") == cards(tmp_path / "killed")
    assert all(f.stat().st_mtime_ns == at for f, at in done.items()), "a checkpoint was written twice"


def test_a_kill_between_checkpoint_and_resume_state_is_mended(tmp_path, monkeypatch) -> None:
    train(TINY, 0, tmp_path / "whole")
    write = training._write_resume

    def die_at_4(path, network, optimizer, step):
        if step == 4:
            raise Killed
        write(path, network, optimizer, step)

    monkeypatch.setattr(training, "_write_resume", die_at_4)
    with pytest.raises(Killed):
        train(TINY, 0, tmp_path / "killed")
    monkeypatch.undo()
    train(TINY, 0, tmp_path / "killed")
    assert cards(tmp_path / "whole") == cards(tmp_path / "killed")


def test_a_kill_while_a_checkpoint_is_written_leaves_none_of_that_name(tmp_path, monkeypatch) -> None:
    def die(*args):
        raise Killed

    monkeypatch.setattr(training, "_card", die)
    with pytest.raises(Killed):
        train(TINY, 0, tmp_path)
    assert not list(tmp_path.glob("step-*"))
    monkeypatch.undo()
    train(TINY, 0, tmp_path)
    assert not list(tmp_path.glob("tmp-*")), "what the kill left lies about"
    assert is_complete(TINY, tmp_path)


def test_an_unreadable_resume_state_means_starting_again(tmp_path) -> None:
    train(TINY, 0, tmp_path / "whole")
    with pytest.raises(Killed):
        train(TINY, 0, tmp_path / "killed", kill_at(7))
    (tmp_path / "killed" / RESUME).write_bytes(b"PK\x03\x04 half a file")
    train(TINY, 0, tmp_path / "killed")
    assert cards(tmp_path / "whole") == cards(tmp_path / "killed")


def test_what_is_trained_is_not_trained_again(tmp_path) -> None:
    train(TINY, 0, tmp_path)
    steps: list[int] = []
    train(TINY, 0, tmp_path, lambda step, of: steps.append(step))
    assert not steps


def test_the_hash_follows_every_field_of_the_recipe() -> None:
    others = (
        replace(TINY, width=32),
        replace(TINY, layers=1),
        replace(TINY, periods=(4, 8)),
        replace(TINY, name="other"),
        replace(TINY, schedule=replace(SHORT, rate=1e-3)),
    )
    assert len({recipe_hash(course) for course in (TINY, *others)}) == 6


def test_the_card_tells_where_on_every_axis_a_checkpoint_lies(tmp_path) -> None:
    train(TINY, 3, tmp_path)
    card = cards(tmp_path)["step-12"]
    assert (card["seed"], card["step"], card["tokens"]) == (3, 12, 12 * 4 * 48)
    assert card["flops"] == 6 * card["params"] * card["tokens"]
    # embedding and head 64·16 each; per layer four 16·16 and two norms of 16; a last norm of 16
    assert card["params"] == 2 * 64 * 16 + 2 * (4 * 16 * 16 + 2 * 16) + 16
    assert card["recipe"]["width"] == 16
    assert cards(tmp_path)["step-0"]["batch_loss"] is None
    assert cards(tmp_path)["step-0"]["loss"] == pytest.approx(4.16, abs=0.05)  # ln 64: knows nothing


def test_training_leaves_torch_as_it_was(tmp_path) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.get_num_threads(), torch.random.get_rng_state()
    train(TINY, 0, tmp_path)
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
