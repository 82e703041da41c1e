"""Append-only logs, one per writer, each line holding its own hash and that of the line before.

A line is RFC 8785 JSON with `n` (from 0), `prev` (the hash of the line before, "" for the first), `time` (seconds since
1970), `kind` ("study", "model", "learned", "alias", "segment", "gap" or "compact") and `self`: the hash of the line
without `self`. A segment that no line names does not exist. A last line cut off by a kill does not exist either. The
chain shows any change, reordering or loss in the middle; that lines were cut from the end shows only against a copy of
the last hash kept elsewhere. Logs of format 1 have no `self`; their `prev` is the hash of the line's bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from saltus.hashing import canonical, content_hash
from saltus.store.place import Place

_SECRET = re.compile(
    r"(?i)^(.*[-_])?(api[-_]?key|secret|password|passwd|authorization|bearer|access[-_]?token|auth[-_]?token)$"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
STAMP = ("n", "prev", "time", "kind", "self")
"""What a line has beside its body."""


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
    """Appends to a log of its own, under a name that nobody else has.

    After an append that was interrupted, when nobody can say whether the line is there, it goes on in a new log.
    """

    name: str
    _n: int
    _prev: str
    _unsure: bool

    def __init__(self, place: Place, name: str | None = None) -> None:
        """name: of the log, where it must be a certain one; nobody else may write under it."""
        self._place = place
        self._begin(name)

    def append(self, kind: str, body: Mapping[str, Any], *, at: float | None = None) -> None:
        """Commits one line. Values under names of secrets are blanked. at: another time than now.

        Raises UserError if it cannot.
        """
        if self._unsure:
            self._begin()
        stamp = {"n": self._n, "prev": self._prev, "time": round(time.time() if at is None else at, 3), "kind": kind}
        line, own = sealed({**storable(body), **stamp})
        self._unsure = True
        self._place.append(f"log/{self.name}", self._n, line)
        self._n, self._prev = self._n + 1, own
        self._unsure = False

    def _begin(self, name: str | None = None) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        host = re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:20] or "host"
        self.name = name or f"{stamp}-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._n, self._prev, self._unsure = 0, "", False


def sealed(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """(the line with its `self`, that hash)."""
    own = content_hash(body)
    return canonical({**body, "self": own}), own


def seal_of(body: Mapping[str, Any]) -> str:
    """What `self` of a line has to be."""
    return content_hash({k: v for k, v in body.items() if k != "self"})


def storable(value: Any) -> Any:
    """The same plain value with whatever is named like a secret, or sits in a URL's user part, blanked, and with lone
    surrogates, which messages of other programs may hold, replaced."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = ((f.name, getattr(value, f.name)) for f in fields(value))
        value = {name: part for name, part in parts if part is not None}  # as canonical JSON has it
    if isinstance(value, Mapping):
        hidden = {k: isinstance(v, str) and bool(_SECRET.match(str(k))) for k, v in value.items()}
        return {whole_text(str(k)): "(not stored)" if hidden[k] else storable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(v) for v in value]
    if isinstance(value, str):
        text = _USERINFO.sub("", value) if "://" in value else value
        return whole_text(text)
    return value


def whole_text(text: str) -> str:
    """The text, lone surrogates replaced by U+FFFD: UTF-8 has no bytes for them."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class LogReader:
    """Reads all logs of a store, and on a second reading only what was appended since."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._chains: dict[str, _Chain] = {}

    def read(self) -> tuple[list[Line], list[Break]]:
        """Every line of every log, oldest first, and every place where a chain does not hold.

        A broken chain is reported, not obeyed: its lines are still read, since segments carry hashes of their own.
        """
        for name in self._place.names("log"):
            parts = name.split("/")
            if len(parts) == 2 and name.endswith(".jsonl"):
                self._read_file(name, self._chain(parts[1].removesuffix(".jsonl")))
            elif len(parts) == 3 and name.endswith(".json"):
                chain = self._chain(parts[1])
                if int(parts[2].removesuffix(".json")) >= chain.seen:
                    chain.take(self._place.read(name))
                    chain.seen += 1
        lines = [line for chain in self._chains.values() for line in chain.lines]
        breaks = [b for chain in self._chains.values() for b in (*chain.breaks, *chain.torn)]
        return sorted(lines, key=lambda line: (line.time, line.writer, line.n)), breaks

    def heads(self) -> dict[str, str]:
        """Writer → hash of the last line of its log: what an anchor kept elsewhere holds."""
        self.read()
        return {writer: chain.prev for writer, chain in sorted(self._chains.items()) if chain.pieces}

    def _chain(self, writer: str) -> _Chain:
        return self._chains.setdefault(writer, _Chain(writer))

    def _read_file(self, name: str, chain: _Chain) -> None:
        """Takes the whole lines after those seen; what follows the last newline was cut off by a kill."""
        size = self._place.size(name)
        if size == chain.seen:
            return
        if size < chain.seen:  # somebody cut it: what was read of it before is no longer there
            chain = self._chains[chain.writer] = _Chain(chain.writer)
        *whole, rest = self._place.read(name)[chain.seen :].split(b"\n")
        for piece in whole:
            chain.take(piece)
            chain.seen += len(piece) + 1
        where = f"log/{chain.writer} line {chain.pieces + 1}"
        chain.torn = (Break(where, "cut off", torn=True),) if rest else ()


@dataclass(slots=True)
class _Chain:
    """How far one log was read."""

    writer: str
    seen: int = 0
    """Bytes of a file, or objects."""
    pieces: int = 0
    prev: str = ""
    lines: list[Line] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    torn: tuple[Break, ...] = ()

    def take(self, piece: bytes) -> None:
        where = f"log/{self.writer} line {self.pieces + 1}"
        own = "sha256:" + hashlib.sha256(piece).hexdigest()
        try:
            body = json.loads(piece)
            line = Line(self.writer, int(body["n"]), str(body["kind"]), float(body["time"]), body)
            if "self" in body:
                own = seal_of(body)
                if body["self"] != own:
                    self.breaks.append(Break(where, "was changed: its hash is another one"))
        except (ValueError, KeyError, TypeError, RecursionError):
            self.breaks.append(Break(where, "unreadable"))
        else:
            if body.get("prev") != self.prev or line.n != self.pieces:
                self.breaks.append(Break(where, "does not follow the line before it"))
            self.lines.append(line)
        self.prev = own
        self.pieces += 1
