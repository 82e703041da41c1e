"""What items cost: making, asking and scoring one, for every built-in task, beside seeding one numpy generator.

Run: python benchmarks/tasks.py. Prints µs of processor time per item (best of three) and the rows per second at which a
JSONL file is checked; the last line is one JSON object.
"""

from __future__ import annotations

import datetime
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from saltus.records import Answer
from saltus.runner.machine import host
from saltus.tasks import addition, copying, jsonl, modular_addition
from saltus.tasks.base import Task

N = 2000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.jsonl"
        row = {"question": "Which of these is a fruit?", "choices": ["a", "b", "c", "d"], "answer": "c"}
        path.write_text("".join(json.dumps({"id": i, **row}) + "\n" for i in range(20 * N)))
        checked = best(lambda: jsonl.read(path)) / (20 * N)
        tasks: list[Task] = [
            copying.make(),
            addition.make(),
            addition.make(generate=True),
            modular_addition.make(),
            jsonl.make("items.jsonl", Path(folder)),
        ]
        costs = {task.name: cost(task) for task in tasks}
    seeding = best(lambda: [np.random.default_rng([17, i]) for i in range(N)]) / N
    here = host()
    machine = f"{here['cpu']}, {here['cores']} cores"
    print(f"{machine}, {datetime.date.today()}; seeding a numpy generator: {seeding * 1e6:.1f} µs")
    for name, (make, ask, score) in costs.items():
        print(
            f"{name:40} make {make * 1e6:5.1f}  ask {ask * 1e6:5.1f}  score {score * 1e6:5.1f} µs"
            f"  = {(make + ask + score) / seeding:4.1f} seedings"
        )
    print(f"checking a JSONL file: {1 / checked:,.0f} rows/s")
    print(
        json.dumps(
            {
                "benchmark": "tasks",
                "machine": machine,
                "date": str(datetime.date.today()),
                "seeding_us": round(seeding * 1e6, 2),
                "jsonl_rows_per_s": round(1 / checked),
                "us_per_item": {n: round(sum(c) * 1e6, 2) for n, c in costs.items()},
            }
        )
    )


def cost(task: Task) -> tuple[float, float, float]:
    """Seconds per item to make, ask and score."""
    items = task.items(N, np.random.default_rng(0))
    made = list(items)
    answers = [answered(len(list(task.ask(item)))) for item in made]
    return (
        best(lambda: list(items)) / len(made),
        best(lambda: [list(task.ask(item)) for item in made]) / len(made),
        best(lambda: [task.score(i, a) for i, a in zip(made, answers)]) / len(made),
    )


def answered(n: int) -> list[Answer]:
    return [Answer(key="", text="1", token_logprobs=(-1.0,) * 4, token_ranks=(0,) * 4, greedy=True)] * n


def best(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
