"""Our own time per item and peak memory of a run, on a scripted model, from ten thousand to a million items.

    python benchmarks/runner_overhead.py [--most 1000000]

Every size runs in a process of its own. "Own" is wall time less what was spent inside the model's answers; the
task's rendering and the scripted tokenizer count as ours. `cpu` is processor time of everything, the scripted model
included: what is left of the figures on a busy machine. `again` is the same command on the finished store.
The bars: 0.3 ms of own time per item at 100,000 items (1 ms in the first form), memory flat from 10⁴ to 10⁶.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from saltus.conditions.base import condition_id
from saltus.models.base import AskPolicy, SeriesEntry
from saltus.records import Item
from saltus.runner.loop import run
from saltus.runner.machine import host
from saltus.store import Store
from saltus.testing import ToyTask


class _Items(Sequence[Item]):
    """The toy task's items, made when looked at."""

    def __init__(self, task: ToyTask, n: int) -> None:
        self._task, self._n = task, n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self._n))]
        return self._task._item(at)

    def __iter__(self) -> Iterator[Item]:
        return (self[i] for i in range(self._n))


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyToy(ToyTask):
    """The toy task with as many items as wanted, none of them held."""

    def items(self, n: int | None, rng: Any) -> Sequence[Item]:
        return _Items(self, self.n if n is None else n)


@dataclass(frozen=True)
class _Baseline:
    kind: str = "baseline"
    level: None = None
    level_name: str = ""
    promise: str = "invariant"


@dataclass(frozen=True)
class _Study:
    """One scripted model, one task: what the runner reads of a study."""

    limit: int
    seed: int = 17
    repeats: int = 1
    study_id: str = "sha256:benchmark"
    base: Path = Path()
    ask: AskPolicy = AskPolicy()  # noqa: RUF009
    data: Any = None

    def entries(self) -> list[SeriesEntry]:
        options = {"points": 1, "untrained": False}
        return [SeriesEntry(scheme="scripted", source="leap", options=options)]

    def tasks(self) -> list[ToyTask]:
        return [LazyToy(n=10**9)]

    def asked(self, entry: SeriesEntry, tasks: list[ToyTask]) -> list[ToyTask]:
        return tasks

    def conditions(self) -> list[tuple[Any, ...]]:
        return [(_Baseline(),)]

    def condition_id(self, cross: tuple[Any, ...]) -> str:
        return "+".join(condition_id(c) for c in cross)


def measure(n: int) -> dict[str, float]:
    """In this process: a fresh run of n items, the same again, and the peak memory of both."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/bench.saltus")
        began, cpu = time.perf_counter(), time.process_time()
        report = run(_Study(n), store)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = _peak_mb()
        model = report.models[0].tally.seconds
        assert report.asked == n
        assert not report.failed
        began = time.perf_counter()
        again = run(_Study(n), store)
        repeat = time.perf_counter() - began
        assert again.asked == 0
        assert again.known == n
        size = sum(f.stat().st_size for f in Path(folder).rglob("*.parquet"))
    return {
        "n": n,
        "wall_s": wall,
        "own_ms_per_item": 1000 * (wall - model) / n,
        "cpu_ms_per_item": 1000 * cpu / n,
        "again_ms_per_item": 1000 * repeat / n,
        "peak_mb": peak,
        "peak_again_mb": _peak_mb(),
        "store_bytes_per_item": size / n,
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--one", type=int, help="measure this size in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    machine = host()
    print(f"{machine['cpu']}, {machine['cores']} cores, {time.strftime('%Y-%m-%d')}")
    rows = []
    for n in (10_000, 100_000, 1_000_000):
        if n <= arguments.most:
            command = [sys.executable, __file__, "--one", str(n)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print("  ".join(f"{k} {v:,.3f}" for k, v in rows[-1].items()))
    flat = rows[-1]["peak_mb"] / rows[0]["peak_mb"]
    print(f"peak memory at {rows[-1]['n']:,} items over that at {rows[0]['n']:,}: {flat:.2f}")
    print(
        json.dumps(
            {
                "benchmark": "runner_overhead",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": time.strftime("%Y-%m-%d"),
                "peak_ratio": round(flat, 3),
                "rows": [{k: round(v, 4) for k, v in row.items()} for row in rows],
            }
        )
    )


if __name__ == "__main__":
    main()
