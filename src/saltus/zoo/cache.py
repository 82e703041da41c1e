"""Where trained series lie, and training of those that are missing, several at a time.

A series lies under `<cache>/<name>-<hash of its recipe>/seed-<n>/step-<n>`, so a changed recipe is another place
and trains again, and everything else is found. The cache is the `cache` option, else $SALTUS_ZOO, else
`$XDG_CACHE_HOME/saltus/zoo`, else `~/.cache/saltus/zoo`. Each worker is a process of its own with one thread
(`python -m saltus.zoo.worker`), so training is the same whoever asks and however many train side by side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saltus.errors import MissingExtra, UserError
from saltus.zoo.catalogue import courses, exhibit
from saltus.zoo.training import CARD, Course, checkpoint_name, is_complete, recipe_hash

Progress = Callable[["Job", int, int], None]
"""Called with (job, step, steps), from several threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One seed of one recipe, and where its checkpoints lie or will lie."""

    exhibit: str
    """Its name in the catalogue."""
    index: int
    """Which of the exhibit's recipes."""
    options: Mapping[str, Any]
    seed: int
    course: Course
    folder: Path
    seconds: float
    """What to expect; for the order of work only."""

    @property
    def label(self) -> str:
        return f"{self.course.name}, seed {self.seed}"

    def checkpoints(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """(folder, card) of every checkpoint, ascending in steps; complete jobs only."""
        for step in self.course.schedule.checkpoints():
            folder = self.folder / checkpoint_name(step)
            yield folder, json.loads((folder / CARD).read_text(encoding="utf-8"))


def home(cache: Path | str | None = None) -> Path:
    """The folder of everything trained."""
    given = cache or os.environ.get("SALTUS_ZOO")
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "saltus" / "zoo"


def jobs(
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    cache: Path | str | None = None,
    where: str = "",
) -> list[Job]:
    """What `zoo:name` stands for, trained or not. Raises UserError for an unknown name or option."""
    shown = exhibit(name, where)
    return [
        Job(
            exhibit=name,
            index=index,
            options=dict(options or {}),
            seed=seed,
            course=course,
            folder=home(cache) / f"{course.name}-{recipe_hash(course)}" / f"seed-{seed}",
            seconds=shown.seconds,
        )
        for index, course in enumerate(courses(name, options, where))
        for seed in (shown.seeds if seeds is None else seeds)
    ]


def train_all(
    wanted: Sequence[str | Job], *, workers: int = 2, progress: Progress | None = None, cache: Path | str | None = None
) -> list[Job]:
    """Trains what is missing of the named series (or jobs), and returns every job, complete.

    Raises UserError where the cache cannot be written, MissingExtra without torch, RuntimeError with a worker's
    last words when one fails; what the others trained until then stays. An interruption ends the workers.
    """
    every = [j for w in wanted for j in ([w] if isinstance(w, Job) else jobs(w, cache=cache))]
    missing = [job for job in every if not is_complete(job.course, job.folder)]
    if missing:
        _check_extra()
        for job in missing:
            _check_writable(job.folder)
        _train(sorted(missing, key=lambda j: -j.seconds), max(1, workers), progress)
    return every


def _train(missing: Sequence[Job], workers: int, progress: Progress | None) -> None:
    crew = _Crew(progress or (lambda job, step, steps: None))
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(crew.train, job) for job in missing]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            crew.stop()
            raise


class _Crew:
    """The worker processes under way, so that they can be ended together."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def train(self, job: Job) -> None:
        with self._lock:
            if self._stopped:
                return
            process = _start(job)
            self._running.add(process)
        assert process.stdout is not None
        lines: list[str] = []
        with process:
            for line in process.stdout:
                if line.startswith("step "):
                    step, steps = map(int, line.split()[1:])
                    self._progress(job, step, steps)
                else:
                    lines.append(line)
        with self._lock:
            self._running.discard(process)
        if process.returncode and not self._stopped:
            raise RuntimeError(f"training {job.label} failed:\n{''.join(lines[-20:])}")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def _start(job: Job) -> subprocess.Popen[str]:
    source = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH")) if p)
    spec = {"name": job.exhibit, "index": job.index, "options": job.options, "seed": job.seed}
    return subprocess.Popen(
        [sys.executable, "-m", "saltus.zoo.worker", json.dumps(spec), str(job.folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )


def _check_extra() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtra("training the zoo", "hf")


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".lock"
        probe.touch()
    except OSError as error:
        raise UserError(
            f"the zoo's cache cannot be written: {error}",
            where=str(folder),
            do="set SALTUS_ZOO, or `cache:` in the study, to a folder that can be written",
        ) from error
