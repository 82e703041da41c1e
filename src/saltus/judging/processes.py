"""Many curves judged on several processors: benches in processes of their own, each with its share of the curves.

Threads share one interpreter, which keeps most of a second processor idle. A process keeps what it measured, so only
small answers and the findings travel. Few curves are judged in this process: starting another costs a second.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np

from saltus.judging.share import Bench, Gates, Ruling, Short, processors
from saltus.records import Analysis, Finding
from saltus.stats.batch import CurveBatch, Floats
from saltus.stats.family import Onsets, gathered
from saltus.stats.resample import take

LEAST = 600
"""Fewest curves that are worth a process."""


class Benches:
    """All curves of a batch behind the questions of one `Bench`; a context, whose processes end with it."""

    def __init__(self, curves: CurveBatch, analysis: Analysis, seed: int) -> None:
        count = max(1, min(processors(), len(curves) // LEAST))
        self.shares = [np.arange(k, len(curves), count) for k in range(count)]
        self.size = len(curves)
        if count == 1:
            self.benches: list[Any] = [Bench(curves, analysis, seed)]
            return
        self.benches = [_Apart() for _ in self.shares]
        try:
            self._ask("make", [(take(curves, rows), analysis, seed) for rows in self.shares])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Benches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, if there are any."""
        for bench in self.benches:
            if isinstance(bench, _Apart):
                bench.close()

    def p_values(self) -> tuple[Floats, Floats]:
        """See `Bench`; this and the others put the answers of the benches in the order of the batch."""
        presence, sharp = np.full((2, self.size), np.nan)
        for rows, found in zip(self.shares, self._ask("p_values"), strict=True):
            presence[rows], sharp[rows] = found
        return presence, sharp

    def onsets(self, gates: Gates) -> Onsets:
        found = self._ask("onsets", [(gates.of(rows),) for rows in self.shares])
        return gathered(list(zip(self.shares, found, strict=True)))

    def shorts(self, gates: Gates, scope: Sequence[str]) -> tuple[list[Short], dict[tuple[int, int], Short]]:
        asked = [(gates.of(rows), [scope[i] for i in rows.tolist()]) for rows in self.shares]
        before: dict[int, Short] = {}
        after: dict[tuple[int, int], Short] = {}
        for rows, (own, without) in zip(self.shares, self._ask("shorts", asked), strict=True):
            before.update(zip(rows.tolist(), own, strict=True))
            after.update({(int(rows[i]), s): short for (i, s), short in without.items()})
        return [before[i] for i in range(self.size)], after

    def findings(self, gates: Gates, rulings: Sequence[Ruling]) -> list[Finding]:
        asked = [(gates.of(rows), [rulings[i] for i in rows.tolist()]) for rows in self.shares]
        if len(self.benches) == 1:
            return list(self.benches[0].findings(*asked[0]))
        with ThreadPoolExecutor(len(self.benches)) as pool:
            parts = pool.map(_found, self.benches, asked)
            found = {
                int(rows[i]): finding
                for rows, own in zip(self.shares, parts, strict=True)
                for i, finding in own.items()
            }
        return [found[i] for i in range(self.size)]

    def _ask(self, what: str, arguments: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """The answers of all benches, which work at the same time."""
        arguments = arguments or [()] * len(self.benches)
        if len(self.benches) == 1:
            return [getattr(self.benches[0], what)(*arguments[0])]
        with ThreadPoolExecutor(len(self.benches)) as pool:
            asked = [pool.submit(bench.ask, what, own) for bench, own in zip(self.benches, arguments, strict=True)]
            return [each.result() for each in asked]


class _Apart:
    """A bench in another process, asked over a pipe. Raises what the bench raised."""

    def __init__(self) -> None:
        # Every bench has a processor to itself; threads of a linear algebra library would fight over it.
        alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        known = {**os.environ, **alone, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "saltus.judging.processes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=known
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.questions, self.answers = self.process.stdin, self.process.stdout

    def ask(self, what: str, arguments: tuple[Any, ...]) -> Any:
        try:
            pickle.dump((what, arguments), self.questions, protocol=5)
            self.questions.flush()
            answer, error = pickle.load(self.answers)
        except (EOFError, BrokenPipeError) as gone:
            code = self.process.wait()
            raise RuntimeError(
                f"a process that judged curves ended early (exit code {code}); was memory short?"
            ) from gone
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.questions.close()
        self.answers.close()


def _found(bench: _Apart, decided: tuple[Any, ...]) -> dict[int, Finding]:
    """The findings of a bench, fetched part by part."""
    found: dict[int, Finding] = {}
    for k in range(bench.ask("rule", decided)):
        found.update(bench.ask("findings_of", (k,)))
    return found


def _serve() -> None:
    """Make a bench and answer what is asked of it, until the pipe closes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends this process
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    bench: Bench | None = None
    while True:
        try:
            what, arguments = pickle.load(questions)
        except EOFError:
            return
        answer, error = None, None
        try:
            if what == "make":
                bench = Bench(*arguments, threads=False)
            else:
                answer = getattr(bench, what)(*arguments)
        except Exception as raised:  # noqa: BLE001  sent to the parent, which raises it
            error = raised
        pickle.dump((answer, error), answers, protocol=5)
        answers.flush()


if __name__ == "__main__":
    _serve()
