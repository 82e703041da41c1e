"""The store: answers under a folder `NAME.saltus/` or any fsspec URL, append-only and content-addressed.

    store.json                       what this folder is
    log/<writer>.jsonl               one hash-chained line per commit (object stores: one object per line)
    segments/<model>/*.parquet       items, asks and answers; rows.py has the columns
    derived/                         scores and floors recomputed at need; may be deleted at any time

A reader sees what the logs name and nothing else. Nothing here asks a model or pickles anything.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from saltus.errors import UserError
from saltus.records import Answer
from saltus.store.contents import Contents, StoredFile, contents
from saltus.store.digests import Digests
from saltus.store.log import LogReader
from saltus.store.place import Place, StoreError
from saltus.store.rows import SCHEMAS, answers_from

_FORMAT = {"format": "saltus-store", "version": 1}


@dataclass(frozen=True, slots=True)
class Known:
    """What a store holds of one model, compactly."""

    answered: Digests
    """Keys of answers that are no failures."""
    complete: Digests
    """ask_ids that need nothing more: done or refused."""


class Segments:
    """Opens the segments of a store, or names a store that the first commit creates."""

    def __init__(self, path: str | Path) -> None:
        """Raises UserError where the path is something else."""
        self.place = Place(path)
        self._logs = LogReader(self.place)
        self._marked = False
        self._check()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place.url!r})"

    def exists(self) -> bool:
        """Something was committed here."""
        return self.place.exists("store.json")

    def contents(self) -> Contents:
        """What the logs say now."""
        return contents(self._logs.read()[0])

    def answers_count(self) -> int:
        """Answers and failures in all segments; more than 0 means that looking came first."""
        return sum(file.rows for file in self.contents().files("answers"))

    def known(self, model: str) -> Known:
        """What is there of a model identity. Raises StoreError on a damaged segment."""
        answered, complete = bytearray(), bytearray()
        for table in self._each("answers", model, ["key", "error"]):
            keys = table.filter(pc.is_null(table["error"]))["key"]
            answered += bytes.fromhex("".join(pc.utf8_slice_codeunits(keys, 0, 32).to_pylist()))
        for table in self._each("asks", model, ["ask_id", "state"]):
            ids = table.filter(pc.not_equal(table["state"], "failed"))["ask_id"]
            complete += b"".join(ids.to_pylist())
        return Known(Digests(answered), Digests(complete))

    def item_digests(self) -> Digests:
        """All items stored, for whatever model."""
        packed = bytearray()
        for table in self._each("items", None, ["item_hash"]):
            digits = pc.utf8_slice_codeunits(table["item_hash"], 7, 39).to_pylist()
            packed += bytes.fromhex("".join(digits))
        return Digests(packed)

    def fetch(self, model: str, keys: Iterable[str]) -> dict[str, Answer]:
        """Those of the answers that are stored and no failures."""
        wanted = pa.array(list(keys), pa.string())
        found: dict[str, Answer] = {}
        for table in self._each("answers", model, None):
            hit = pc.and_(pc.is_in(table["key"], value_set=wanted), pc.is_null(table["error"]))
            found.update((answer.key, answer) for answer in answers_from(table.filter(hit)))
        return found

    def answers(self, model: str | None = None) -> pl.LazyFrame:
        """All stored answers and failures of a model or of all, as the columns of `rows.SCHEMAS`."""
        return self._scan("answers", model)

    def asks(self, model: str | None = None) -> pl.LazyFrame:
        return self._scan("asks", model)

    def items(self) -> pl.LazyFrame:
        """item_hash, item_id and the item's JSON (`rows.item_from_json` reads it)."""
        return self._scan("items", None).unique("item_hash", keep="any")

    def read(self, file: StoredFile, columns: Sequence[str] | None = None) -> pa.Table:
        """A stored file as an Arrow table. Raises StoreError naming a damaged or missing one."""
        try:
            return pq.read_table(io.BytesIO(self.place.read(file.name)), columns=columns)
        except (FileNotFoundError, pa.ArrowException, OSError) as error:
            raise StoreError(
                f"a segment cannot be read: {error}",
                where=f"{self.place.url}/{file.name}",
                wanted=f"{file.rows} rows with hash {file.sha256}",
                do="`saltus verify` lists all damage; restore the file from a copy, or give the study a new store",
            ) from error

    def _each(self, kind: str, model: str | None, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """Every live file of a kind. A row may come twice when another process merges files meanwhile."""
        read: set[str] = set()
        while True:
            found = self.contents()
            try:
                for file in found.files(kind, model):
                    if file.name not in read:
                        table = self.read(file, columns)
                        read.add(file.name)
                        yield table
                return
            except StoreError:
                if self.contents().replaced <= found.replaced:
                    raise  # it was not merged away: it is lost

    def mark(self) -> None:
        """Writes store.json before the first commit."""
        if not self._marked:
            if not self.exists():
                self.place.write("store.json", json.dumps(_FORMAT).encode())
            self._marked = True

    def _scan(self, kind: Any, model: str | None) -> pl.LazyFrame:
        files = self.contents().files(kind, model)
        if not files:
            empty = pl.from_arrow(SCHEMAS[kind].empty_table())
            assert isinstance(empty, pl.DataFrame)
            return empty.lazy()
        return self.place.scan([file.name for file in files])

    def _check(self) -> None:
        if self.place.local is not None and self.place.local.is_file():
            raise UserError("this is a file", where=self.place.url, wanted="a store: a folder or a URL")
        try:
            marker = json.loads(self.place.read("store.json"))
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_other_folder()
            return
        except ValueError:
            marker = {}
        if marker.get("format") != _FORMAT["format"]:
            raise UserError(
                "store.json does not say that this is a store",
                where=self.place.url,
                do="give another path, or restore store.json: " + json.dumps(_FORMAT),
            )
        if marker.get("version", 0) > 1:
            raise UserError(
                f"written by a newer saltus (store version {marker['version']})",
                where=self.place.url,
                wanted="version 1",
                do="pip install --upgrade saltus",
            )

    def _refuse_other_folder(self) -> None:
        # Logs without store.json are a store whose first commit was killed; other files are not ours.
        others = [n for n in self.place.names() if n.split("/")[0] not in ("log", "segments")]
        others = [n for n in others if not n.rsplit("/", 1)[-1].startswith(".")]
        if others:
            raise UserError(
                f"this folder holds other things, such as {others[0]}",
                where=self.place.url,
                wanted="a store, or a path where nothing is yet",
                do="give another path",
            )
