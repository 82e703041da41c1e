"""Where a run's work happens: how it is dealt out, and what the command line makes of its options."""

from __future__ import annotations

import importlib.util
from collections import Counter

import pytest

from saltus.cli.executor import chosen
from saltus.errors import MissingExtra, UserError
from saltus.runner.here import Here, Share, dealt, shard


@pytest.mark.parametrize("models", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_every_item_of_every_model_is_dealt_once(models: int, workers: int) -> None:
    asked: Counter[tuple[int, int]] = Counter()
    shares = dealt(models, workers)
    for share in shares:
        asked.update((share.model, i) for i in range(share.part, 60, share.parts))
    assert asked == Counter((m, i) for m in range(models) for i in range(60))


def test_whole_models_go_first_and_the_rest_is_split_so_that_nobody_idles() -> None:
    assert dealt(4, 2) == [Share(0), Share(1), Share(2), Share(3)]
    assert dealt(3, 2) == [Share(0), Share(1), Share(2, 0, 2), Share(2, 1, 2)]
    assert dealt(1, 3) == [Share(0, 0, 3), Share(0, 1, 3), Share(0, 2, 3)]
    assert len(dealt(2, 5)) == 5


def test_options_name_an_executor() -> None:
    assert chosen() == Here()
    assert chosen("2/3") == shard(2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard_of": "3"}, "--shard 3"),
        ({"shard_of": "5/4"}, "there is no shard 5/4"),
        ({"shard_of": "1/2", "on": "ray"}, "--shard and --on together"),
        ({"on": "slurm"}, "--on slurm"),
        ({"workers": 2}, "--workers 2 without --on"),
        ({"shard_of": "1/2", "threads": 2}, "--threads 2 without --on"),
        ({"on": "ray", "workers": 0}, "--workers 0"),
        ({"on": "ray:ray://head:10001"}, "Ray's client protocol"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen(**options)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'saltus\[ray\]'"):
        chosen(on="ray")
