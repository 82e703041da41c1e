"""Gathers rows of one model and commits them as segments: files first, then the one log line that makes them exist.

A commit happens every `every_seconds`, after `most_bytes` or `most_rows`, at the end of a model and on interruption. A
kill at any instant leaves at worst files that no log names. Items already in the store are not written again.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from saltus.records import Answer
from saltus.store.base import Segments, blob_name
from saltus.store.digests import Digests, key_digest
from saltus.store.log import LogWriter
from saltus.store.rows import AskRow, Kind, to_table


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPolicy:
    """When a segment ends."""

    every_seconds: float = 30.0
    most_bytes: int = 64 << 20
    """Estimated size in memory."""
    most_rows: int = 10_000
    """Answers; keeps memory flat where answers are small and fast."""


class Writer:
    """One writer of a store: its own log, its own file names. Not for use by two threads."""

    def __init__(
        self, store: Segments, policy: CommitPolicy | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._policy, self._clock = store, policy or CommitPolicy(), clock
        self._log = LogWriter(store.place)
        self._items_known: Digests | None = None
        self._count = 0
        self._model = self._base = ""
        self._blobs: set[str] = set()
        self._asking = 0.0
        self._empty()

    @property
    def name(self) -> str:
        """Of the log."""
        return self._log.name

    def record(self, kind: str, body: Mapping[str, Any]) -> None:
        """Appends a line that is no segment: "study", "model", "gap"."""
        self._store.mark()
        self._log.append(kind, body)

    def begin(self, model: str, base: str | None = None) -> None:
        """All rows from here are of this model identity. base: the identity of the model that was opened, where this
        one is an edit of it; identities of one base share segments, and anything else that was buffered is committed.
        """
        if (base or model) != self._base:
            self.commit()
        self._model, self._base = model, base or model

    @property
    def identity(self) -> str:
        """Of the model whose rows are being gathered."""
        return self._model

    def add_blob(self, data: bytes) -> str:
        """Stores bytes under their hash, `sha256:…`, at once; the same bytes are stored once."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        name = blob_name(digest)
        if name not in self._blobs and not self._store.place.exists(name):
            self._store.mark()
            self._store.place.write(name, data)
        self._blobs.add(name)
        return digest

    def add_item(self, digest: str, item_id: str, raw: bytes) -> None:
        """An item by its content hash and canonical JSON; known ones cost nothing."""
        if self._items_known is None:
            self._items_known = self._store.item_digests()
        short = key_digest(digest)
        if short not in self._items_known:
            self._items_known.add(short)
            self._items.append((digest, item_id, raw.decode()))
            self._bytes += len(raw) + 200

    def add_ask(self, row: AskRow) -> None:
        self._asks.append(row)
        self._bytes += 500 + 120 * len(row.keys)

    def add_answer(self, answer: Answer) -> None:
        """An answer or a failure, as it came."""
        self._answers[answer.key] = (self._model, answer)
        self._bytes += 400 + 64 * len(answer.token_ids) + len(answer.text)
        self._tokens += answer.tokens_in + answer.tokens_out

    def buffered(self, key: str) -> Answer | None:
        """An answer that no segment holds yet."""
        found = self._answers.get(key)
        return found[1] if found is not None else None

    def asking(self, seconds: float) -> None:
        """Notes wall time that the model spent on what is being gathered; speeds come from it."""
        self._asking += seconds

    def tick(self) -> bool:
        """Commits if it is time to; True if it did."""
        due = (
            self._bytes >= self._policy.most_bytes
            or len(self._answers) >= self._policy.most_rows
            or self._clock() - self._since >= self._policy.every_seconds
        )
        return due and self.commit()

    def commit(self) -> bool:
        """Writes what is buffered as one segment; False if there is nothing. Raises UserError if it
        cannot, and then still holds everything."""
        buffers: dict[Kind, Sequence[Any]] = {
            "items": self._items,
            "asks": self._asks,
            "answers": list(self._answers.values()),
        }
        if not any(buffers.values()):
            self._since = self._clock()
            return False
        self._store.mark()
        folder = f"segments/{self._base.removeprefix('sha256:')[:16]}"
        stem = f"{folder}/{self._log.name}-{self._count:05d}"
        files = {
            kind: put_rows(self._store, f"{stem}.{kind}.parquet", kind, rows) for kind, rows in buffers.items() if rows
        }
        speed = {"tokens": self._tokens, "seconds": round(self._asking, 3)}
        self._count += 1  # before the line: what is interrupted right after it is written again, under new names
        inside = sorted({i for i, _ in self._answers.values()} | {row.model for row in self._asks})
        more = {"models": inside} if inside not in ([], [self._base]) else {}
        self._log.append("segment", {"model": self._base, "files": files, **more, **speed})
        self._empty()
        return True

    def _empty(self) -> None:
        self._items: list[tuple[str, str, str]] = []
        self._asks: list[AskRow] = []
        self._answers: dict[str, tuple[str, Answer]] = {}
        self._bytes = self._tokens = 0
        self._asking = 0.0
        self._since = self._clock()


def put_rows(store: Segments, name: str, kind: Kind, rows: Sequence[Any]) -> dict[str, Any]:
    """Writes one file of a segment and returns its entry in the log."""
    return put_table(store, name, to_table(kind, rows))


def put_table(store: Segments, name: str, table: Any) -> dict[str, Any]:
    """The same for an Arrow table: name, hash, rows, bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue()
    store.place.write(name, data)
    return {
        "name": name,
        "sha256": "sha256:" + hashlib.sha256(data).hexdigest(),
        "rows": table.num_rows,
        "bytes": len(data),
    }
