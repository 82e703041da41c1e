"""What happened to a study, in order: one append-only chain of events beside the logs.

An event is RFC 8785 JSON: `seq` (from 0), `time` (seconds since 1970, by the writer's clock), `kind`, `by` (who),
`subject` (what it is about: a study's id, a finding's), `data` (plain, by kind), `prev` (the `self` of the event
before, "" for the first), `self` (the hash of the event without `self` and `sig`) and, where somebody signed it,
`sig`. On a disk they are the lines of `events.jsonl`, written under a lock; on an object store one object each,
`events/<seq>-….json`, where two that were written at one instant may share a `seq` and a `prev`. The chain proves an
order, not a time.

The runner writes `locked`, `run` (data.state: started, finished, interrupted), `deviation` and `anomaly` (data.what:
failures, retries, guards, restarts); `migrated` says that a store was rewritten. Other kinds are others'.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from saltus.hashing import canonical, content_hash
from saltus.store.log import Break, storable
from saltus.store.place import Place, StoreError

try:
    import fcntl
except ImportError:  # another system than POSIX: no lock, so no two writers at one instant
    fcntl = None  # type: ignore[assignment]

FILE = "events.jsonl"
FOLDER = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; see the module's docstring."""

    seq: int
    time: float
    kind: str
    by: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    prev: str
    own: str
    """`self`."""
    sig: Any = None


def append(
    place: Place, kind: str, *, subject: str = "", data: Mapping[str, Any] | None = None, by: str = "saltus"
) -> Event:
    """Adds one event to the end of the chain. Raises StoreError where it cannot be written."""
    body = {
        "kind": kind,
        "by": by,
        "subject": subject,
        "data": storable(dict(data or {})),
        "time": round(time.time(), 3),
    }
    if place.local is None:
        last = next(iter(reversed(_remote(place))), None)
        event = _after(last, body)
        place.write(f"{FOLDER}/{event['seq']:08d}-{uuid.uuid4().hex[:8]}.json", canonical(event))
        return _event(event)
    with _locked(place) as file:
        whole, _ = _lines(file.read())
        file.seek(sum(len(line) + 1 for line in whole))
        file.truncate()  # what a kill left of a line that was being written
        event = _after(json.loads(whole[-1]) if whole else None, body)
        file.write(canonical(event) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return _event(event)


def note(place: Place, kind: str, *, subject: str = "", data: Mapping[str, Any], by: str = "saltus") -> None:
    """The same, unless an event of that kind recorded it before: what holds on every run is recorded once."""
    wanted = storable(dict(data))
    if not any(e.kind == kind and e.subject == subject and e.data == wanted for e in read(place)):
        append(place, kind, subject=subject, data=data, by=by)


def read(place: Place) -> list[Event]:
    """Every readable event, in order."""
    return [_event(body) for body in _bodies(place)]


def verify(place: Place) -> list[Break]:
    """Where the chain does not hold; empty means that what is there is as it was written."""
    breaks: list[Break] = []
    known = {""}
    for n, body in enumerate(_bodies(place, breaks)):
        where = f"{FILE} event {n + 1}"
        own = _seal(body)
        if body.get("self") != own:
            breaks.append(Break(where, "was changed: its hash is another one"))
        follows = body.get("prev") in known if place.local is None else body.get("prev") == _last(known)
        if not follows or (place.local is not None and body.get("seq") != n):
            breaks.append(Break(where, "does not follow the event before it"))
        known = known | {own} if place.local is None else {own}
    return breaks


def head(place: Place) -> str:
    """The `self` of the last event; "" without any."""
    found = read(place)
    return found[-1].own if found else ""


def _last(known: set[str]) -> str:
    return next(iter(known))


def _after(last: Mapping[str, Any] | None, body: dict[str, Any]) -> dict[str, Any]:
    event = {**body, "seq": last["seq"] + 1 if last else 0, "prev": last["self"] if last else ""}
    return {**event, "self": _seal(event)}


def _seal(body: Mapping[str, Any]) -> str:
    return content_hash({k: v for k, v in body.items() if k not in ("self", "sig")})


def _event(body: Mapping[str, Any]) -> Event:
    names = ("seq", "time", "kind", "by", "subject", "data", "prev")
    return Event(**{n: body[n] for n in names}, own=body["self"], sig=body.get("sig"))


def _bodies(place: Place, breaks: list[Break] | None = None) -> Iterator[dict[str, Any]]:
    if place.local is None:
        yield from _remote(place)
        return
    try:
        whole, rest = _lines(place.read(FILE))
    except FileNotFoundError:
        return
    for n, line in enumerate(whole):
        try:
            body = json.loads(line)
            _event(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            if breaks is not None:
                breaks.append(Break(f"{FILE} line {n + 1}", "unreadable"))
            continue
        yield body
    if rest and breaks is not None:
        breaks.append(Break(f"{FILE} line {len(whole) + 1}", "cut off", torn=True))


def _lines(data: bytes) -> tuple[list[bytes], bytes]:
    *whole, rest = data.split(b"\n")
    return whole, rest


def _remote(place: Place) -> list[dict[str, Any]]:
    return [json.loads(place.read(name)) for name in place.names(FOLDER) if name.endswith(".json")]


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[IO[bytes]]:
    assert place.local is not None
    path = place.local / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=True)
        with open(path, "r+b") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file  # the lock goes with the file
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            wanted="a folder with room that you may write to",
            do="make room or give another store",
        ) from error
