"""A run on the workers of a Ray cluster: `--on ray`, for more machines, processors or cards than one process uses.

Workers are actors, one session each, so a worker reads a model's weights once. Whoever is free takes the next share;
a share whose worker dies, with its machine or without, goes to another one, which goes on from what the store holds,
and one that kills every worker it is given to is its model's failure. A worker commits and ends on request, and
at once when its machine's Ray is gone, so that nobody asks what a resumed run is asking.

Ray's own retries are off: they would wait for a machine that may never come back. Errors that end a local run (the
store, a missing package) end this one, after all other workers have stored what they have.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from saltus.errors import UserError
from saltus.runner.here import Job, Result, Share, Stopped, dealt
from saltus.runner.outcome import ModelReport
from saltus.runner.pool import Tally
from saltus.runner.ray_cluster import Cluster, connect, package, required

EVERY = 0.5
"""Seconds between two questions to a worker how far it is."""

MOST_STARTING = 300.0
"""Seconds in which some worker must have begun."""

MOST_STOPPING = 60.0
"""Seconds that workers have to store what they have; a single forward pass is not cut short."""


@dataclass
class Ray:
    """Where and with how many workers; made for one run at a time.

    address: `HOST:PORT` of a cluster, `auto` for the one this machine belongs to, `local` for a private one, None for
    RAY_ADDRESS or else a private one. workers: default one per card, or where there is none one per machine. threads:
    processors per worker; default an equal part of the smallest machine. gpus: cards per worker, where there are
    any. retries: how often a share is given to another worker after one died. Raises MissingExtra without ray,
    UserError for options that cannot be.
    """

    address: str | None = None
    workers: int | None = None
    threads: int | None = None
    gpus: float = 1.0
    retries: int = 3
    _cluster: Cluster | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        required()
        for option, value in (("--workers", self.workers), ("--threads", self.threads)):
            if value is not None and value < 1:
                raise UserError(f"{option} {value}", wanted="a number from 1", do=f"fix {option}")
        if (self._address() or "").startswith(("ray://", "//")):
            raise UserError(
                f"Ray's client protocol: {self._address()}",
                wanted="HOST:PORT, from a machine of the cluster",
                do="run saltus on a machine of the cluster, or submit it with `ray job submit`",
            )

    def shares(self, models: int) -> list[Share]:
        """Connects, since the cluster says how many workers there are."""
        return dealt(models, self._connected().workers)

    def run(self, shares: Sequence[Share], work: Job[Result]) -> Iterator[Result]:
        """Results as they come. Raises what ended a local run too, Stopped on an interruption, and UserError where no
        worker can begin."""
        cluster = self._connected()
        crew = _Crew(cluster, work, deque(shares), self.retries)
        # Ray prints what it has to say of dying machines on stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                yield from crew.results()
            except KeyboardInterrupt as stop:
                raise Stopped(crew.stop()) from stop
            finally:
                crew.stop()
                crew.leave()
                self._cluster = None
                cluster.close()

    def _address(self) -> str | None:
        named = self.address or os.environ.get("RAY_ADDRESS") or "local"
        return None if named == "local" else named

    def _connected(self) -> Cluster:
        if self._cluster is None:
            self._cluster = connect(self._address(), self.workers, self.threads, self.gpus)
        return self._cluster


# ------------------------------------------------------------------------------------------- the driver's side


@dataclass(eq=False)
class _Hand:
    """The driver's view of one worker."""

    actor: Any
    doing: Any
    """What will be there when it has begun, or has done its share; None while it is idle."""
    begun: bool = False
    share: Share | None = None
    report: Any = None
    """An answer on its way to how far it is."""


@dataclass
class _Crew:
    """Workers, the shares that wait for one, and who does what."""

    cluster: Cluster
    work: Job[Any]
    waiting: deque[Share]
    retries: int
    hands: list[_Hand] = field(default_factory=list)
    deaths: Counter[Share | None] = field(default_factory=Counter)
    """By share; None counts workers that died before they began."""
    alive: float = field(default_factory=time.monotonic)
    """When a worker that had begun was seen last."""
    _packed: Any = None

    def results(self) -> Iterator[Any]:
        """Hands out every share and takes what comes back."""
        ray = self.cluster.ray
        self._packed = ray.put(ray.cloudpickle.dumps(self.work))
        self._hire(min(self.cluster.workers, len(self.waiting)))
        while self.waiting or any(h.share is not None for h in self.hands):
            for hand in self.hands:
                if self.waiting and hand.begun and hand.share is None:
                    hand.share = self.waiting.popleft()
                    hand.doing = hand.actor.do.remote(hand.share)
            pending = [h.doing for h in self.hands if h.doing is not None]
            ready = set(ray.wait(pending, num_returns=1, timeout=EVERY)[0])
            for hand in [h for h in self.hands if h.doing in ready]:
                yield from self._take(hand)
            self._listen()
            self._still_hoping()

    def stop(self) -> list[Any]:
        """Has every busy worker store what it has; the results of the shares that this cuts short."""
        ray = self.cluster.ray
        busy = [h for h in self.hands if h.share is not None]
        for hand in busy:
            hand.actor.stop.remote()
        pending = [h.doing for h in busy]
        ready = ray.wait(pending, num_returns=len(pending), timeout=MOST_STOPPING)[0] if busy else []
        results = []
        for hand in busy:
            hand.share = None
            if hand.doing in ready:
                with contextlib.suppress(ray.exceptions.RayError):
                    results.append(ray.get(hand.doing))
        return results

    def leave(self) -> None:
        """Lets all workers go."""
        for hand in self.hands:
            self.cluster.ray.kill(hand.actor)
        self.hands.clear()

    def _hire(self, n: int) -> None:
        make = self.cluster.ray.remote(_Worker).options(
            num_cpus=self.cluster.threads,
            num_gpus=self.cluster.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,
            scheduling_strategy="SPREAD",
        )
        for _ in range(n):
            actor = make.remote()
            self.hands.append(_Hand(actor, actor.begin.remote(self._packed)))

    def _take(self, hand: _Hand) -> Iterator[Any]:
        """What a worker has come to: it has begun, has done its share, has failed or has died."""
        errors = self.cluster.ray.exceptions
        share, hand.share = hand.share, None
        try:
            result = self.cluster.ray.get(hand.doing)
        except errors.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except errors.RayError as error:
            self.hands.remove(hand)
            yield from self._lost(share, " ".join(str(error).split()))
            return
        hand.doing = None
        if share is not None:
            deaths = self.deaths[share]
            yield replace(result, restarts=deaths) if deaths and isinstance(result, ModelReport) else result
        hand.begun = True

    def _lost(self, share: Share | None, why: str) -> Iterator[Any]:
        """A worker died: its share goes to the next, or is given up."""
        self.deaths[share] += 1
        often = self.deaths[share] > self.retries
        if share is not None and not often:
            self.waiting.appendleft(share)
        elif share is not None:
            yield self.work.give_up(share, f"its worker died {self.deaths[share]} times: {why}")
        elif often and not any(h.begun for h in self.hands):
            raise UserError(
                f"no Ray worker can begin: {why}",
                wanted="saltus with the same packages on every machine of the cluster",
                do="install it there; Ray's logs on that machine say more",
            )
        if share is not None or not often:
            self._hire(1)

    def _listen(self) -> None:
        """Passes on how far the busy workers are, as far as they have reported; asks them again."""
        ray = self.cluster.ray
        asked = [h.report for h in self.hands if h.report is not None]
        ready = set(ray.wait(asked, num_returns=len(asked), timeout=0)[0]) if asked else set()
        for hand in self.hands:
            if hand.report in ready:
                with contextlib.suppress(ray.exceptions.RayError):
                    share, tally = ray.get(hand.report)
                    if share is not None and share == hand.share:
                        self.work.hear(share, tally)
                hand.report = None
            if hand.report is None and hand.share is not None:
                hand.report = hand.actor.report.remote()

    def _still_hoping(self) -> None:
        now = time.monotonic()
        if any(h.begun for h in self.hands):
            self.alive = now
        if now - self.alive > MOST_STARTING:
            free = self.cluster.ray.available_resources()
            raise UserError(
                f"no Ray worker has begun in {MOST_STARTING:.0f} seconds",
                where=f"the cluster has {free.get('CPU', 0):.0f} processors and {free.get('GPU', 0):.0f} cards free",
                wanted=f"{self.cluster.threads} processors and {self.cluster.gpus:g} cards on one machine",
                do="free some, or give --threads fewer",
            )


# ------------------------------------------------------------------------------------------- the worker's side


class _Worker:
    """An actor: one session, one share at a time; a second thread says how far it is and takes the order to stop."""

    def __init__(self) -> None:
        self._work: Any = None
        self._at: tuple[Share | None, Tally | None] = (None, None)
        self._stopping = False
        self._parent = os.getppid()

    def begin(self, packed: bytes) -> None:
        """Makes the session. Raises UserError where it cannot work here."""
        self._work = package().cloudpickle.loads(packed)
        self._work.hear = self._hear

    def do(self, share: Share) -> Any:
        """The result of a share, or of what was done of it when the order to stop came."""
        try:
            return self._work(share)
        except Stopped as stop:
            return stop.results[0]

    def report(self) -> tuple[Share | None, Tally | None]:
        """The share and how far it is."""
        return self._at

    def stop(self) -> None:
        self._stopping = True

    def _hear(self, share: Share, tally: Tally) -> None:
        self._at = (share, tally)
        if os.getppid() != self._parent:
            # The machine's Ray, which is our parent, is gone and so is the run: another one may have begun already.
            os._exit(1)
        if self._stopping:
            raise KeyboardInterrupt
