"""Is a run that was killed at random instants, and typed again each time, the run that was never killed?

    python benchmarks/kills.py [--kills 20] [--on here,ray] [--quick]

One study of scripted models is run in a process that is killed with SIGKILL after a random time, again and again, and
at last left to finish; on Ray the process is the driver of two workers, on a cluster of two machines that stays. Every
fifth kill comes within a second of the start (reading the study, connecting, beginning), the others within a third
of a second of the first answer (asking, committing, opening the next model). Counted: answers given more than once,
against what the segments in flight may hold, one per worker and kill. Bars: the same table, to the last digit, no
damage, and no more answers given twice than that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ROWS = 16
"""Answers per segment."""

STARTING, ASKING = 1.0, 0.35
"""Seconds after which a process is killed at the latest: from its start, from its first answer."""

STUDY = """
study: killed
models:
  - {{from: "scripted:leap", points: 3, tally: {tally}, faults: {{sleep: {sleep}}}}}
tasks: [{{addition: {{digits: 3}}}}]
conditions: [baseline, {{shots: [2]}}]
limit: {limit}
"""


def study_of(folder: Path, sleep: float, limit: int) -> Any:
    from saltus.study import document as study

    text = STUDY.format(tally=folder / "tally", sleep=sleep, limit=limit)
    return study.loads(text, base=folder)


def go(folder: Path, where: str, limit: int) -> None:
    """The run that is killed."""
    from saltus.runner.here import here
    from saltus.runner.loop import RunSettings, run
    from saltus.store import Store
    from saltus.store.writer import CommitPolicy

    if where == "here":
        executor = here()
    else:
        from saltus.runner.ray import Ray

        executor = Ray(where, workers=2)
    settings = RunSettings(window=50, commit=CommitPolicy(most_rows=ROWS))
    study = study_of(folder, 0.002, limit)
    print("ready", flush=True)
    run(study, Store(folder / "killed.saltus"), settings=settings, executor=executor)


def start(folder: Path, where: str, limit: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, __file__, "--go", where, "--folder", str(folder), "--limit", str(limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def given(folder: Path) -> Counter[str]:
    """How often each answer was given, by whatever process."""
    file = folder / "tally"
    return Counter(file.read_text().split() if file.exists() else ())


def killed(folder: Path, name: str, where: str, kills: int) -> dict[str, Any]:
    """Kills a run so many times, lets it finish, and compares."""
    from saltus.runner.loop import run
    from saltus.store import Store

    dice, workers = random.Random(17), 1 if name == "here" else 2
    limit = 15 * kills * workers
    plain, store = study_of(folder, 0.0, limit), Store(folder / "killed.saltus")
    whole = Store(folder / "whole" / "killed.saltus")
    run(plain, whole)
    (folder / "tally").unlink()
    done = midway = 0
    for turn in range(kills):
        before = given(folder).total()
        process = start(folder, where, limit)
        if turn % 5:
            while process.poll() is None and given(folder).total() == before:
                time.sleep(0.01)
        time.sleep(dice.uniform(0.0, ASKING if turn % 5 else STARTING))
        if process.poll() is None:
            process.kill()
            done += 1
        process.wait()
        midway += given(folder).total() > before
    finished = start(folder, where, limit).wait()
    asked = given(folder)
    once = sum(n > 0 for n in asked.values())
    table = store.table(plain).collect().equals(whole.table(plain).collect())
    worst = {p.severity for p in store.verify()}
    result = {
        "kills": done,
        "while_asking": midway,
        "answers": once,
        "given_twice": asked.total() - once,
        "in_flight_at_most": done * workers * ROWS,
        "identical": table and finished == 0,
        "damage": "damage" in worst,
    }
    result["kept"] = (
        result["identical"]
        and not result["damage"]
        and done == kills
        and result["given_twice"] <= result["in_flight_at_most"]
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--on", default="here,ray")
    parser.add_argument("--quick", action="store_true", help="five kills")
    parser.add_argument("--go", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.go:
        go(args.folder, args.go, args.limit)
        return
    from saltus.runner.machine import host
    from saltus.testing.clusters import local_cluster

    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}\n")
    found = {}
    for name in args.on.split(","):
        with (
            local_cluster(2) if name == "ray" else nullcontext() as cluster,
            tempfile.TemporaryDirectory(prefix="saltus-kills-") as folder,
        ):
            where = cluster.address if cluster is not None else "here"
            one = killed(Path(folder), name, where, 5 if args.quick else args.kills)
        found[name] = one
        print(
            f"{name}: {one['kills']} kills, {one['while_asking']} of them while models were asked; {one['answers']:,} "
            f"answers, {one['given_twice']} given twice (segments in flight hold up to {one['in_flight_at_most']}); "
            f"table {'identical' if one['identical'] else 'DIFFERENT'}",
            flush=True,
        )
    kept = all(one["kept"] for one in found.values())
    print(
        json.dumps(
            {
                "benchmark": "kills",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "kept": kept,
                "runs": found,
            }
        )
    )


if __name__ == "__main__":
    main()
