"""Append-only logs, one per writer, each line chained to the one before by hash.

A line is canonical JSON with `n` (from 0), `prev` (hash of the line before, "" for the first), `time` (seconds
since 1970) and `kind`: "study", "model", "segment", "gap" or "compact". A segment that no line names does
not exist. A last line cut off by a kill does not exist either. The chain shows any change, reordering or loss in
the middle; that lines were cut from the end shows only against a copy of the last hash kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from saltus.hashing import canonical
from saltus.store.place import Place

_SECRET = re.compile(
    r"(?i)^(.*[-_])?(api[-_]?key|secret|password|passwd|authorization|bearer|access[-_]?token|auth[-_]?token)$"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Line:
    """One readable line of one log."""

    writer: str
    n: int
    kind: str
    time: float
    body: Mapping[str, Any]
    """The whole object."""


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a log is not what its chain says."""

    where: str
    what: str
    torn: bool = False
    """Only a last line cut off in writing: what a kill or a full disk leaves."""


class LogWriter:
    """Appends to a log of its own, under a name that nobody else has."""

    def __init__(self, place: Place) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        host = re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:20] or "host"
        self.name = f"{stamp}-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._place, self._n, self._prev = place, 0, ""

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Commits one line. Values under names of secrets are blanked. Raises UserError if it cannot."""
        stamped = {"n": self._n, "prev": self._prev, "time": round(time.time(), 3), "kind": kind}
        line = canonical({**without_secrets(body), **stamped})
        self._place.append(f"log/{self.name}", self._n, line)
        self._n, self._prev = self._n + 1, line_hash(line)


def line_hash(line: bytes) -> str:
    return "sha256:" + hashlib.sha256(line).hexdigest()


def without_secrets(value: Any) -> Any:
    """The same plain value with whatever is named like a secret, or sits in a URL's user part, blanked."""
    if isinstance(value, Mapping):
        hidden = {k: isinstance(v, str) and bool(_SECRET.match(str(k))) for k, v in value.items()}
        return {k: "(not stored)" if hidden[k] else without_secrets(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(v) for v in value]
    return _USERINFO.sub("", value) if isinstance(value, str) and "://" in value else value


def read_logs(place: Place) -> tuple[list[Line], list[Break]]:
    """Every line of every log, oldest first, and every place where a chain does not hold.

    A broken chain is reported, not obeyed: its lines are still read, since the segments carry hashes of their own.
    """
    lines: list[Line] = []
    breaks: list[Break] = []
    for writer, raw in _raw_logs(place).items():
        good, bad = _check_chain(writer, raw)
        lines += good
        breaks += bad
    return sorted(lines, key=lambda line: (line.time, line.writer, line.n)), breaks


def _raw_logs(place: Place) -> dict[str, list[bytes]]:
    logs: dict[str, list[bytes]] = {}
    for name in place.names("log"):
        parts = name.split("/")
        if len(parts) == 2 and name.endswith(".jsonl"):
            logs[parts[1].removesuffix(".jsonl")] = place.read(name).split(b"\n")
        elif len(parts) == 3 and name.endswith(".json"):
            logs.setdefault(parts[1], []).append(place.read(name))
    # A log on a disk ends with a newline, so its last piece is empty unless it was cut off.
    return logs


def _check_chain(writer: str, raw: Iterable[bytes]) -> tuple[list[Line], list[Break]]:
    lines: list[Line] = []
    breaks: list[Break] = []
    pieces = list(raw)
    if pieces and not pieces[-1]:
        pieces.pop()
        torn_at = -1
    else:
        torn_at = len(pieces) - 1
    prev = ""
    for i, piece in enumerate(pieces):
        where = f"log/{writer} line {i + 1}"
        try:
            body = json.loads(piece)
            line = Line(writer, int(body["n"]), str(body["kind"]), float(body["time"]), body)
        except (ValueError, KeyError, TypeError):
            breaks.append(Break(where, "unreadable", torn=i == torn_at))
            continue
        if body.get("prev") != prev or line.n != i:
            breaks.append(Break(where, "does not follow the line before it"))
        lines.append(line)
        prev = line_hash(piece)
    return lines, breaks
