"""The store: answers under a folder `NAME.saltus/` or any fsspec URL, append-only and content-addressed.

    store.json                       what this folder is: {"format": 2, "hash": "sha256"}
    log/<writer>.jsonl               one hash-chained line per commit (object stores: one object per line)
    events.jsonl                     what happened to the study: locked, run, deviation, anomaly …; see events.py
    segments/<model>/*.parquet       items, asks and answers; rows.py has the columns
    blobs/<ab>/<sha256>              images by their hash
    derived/                         scores and floors recomputed at need; may be deleted at any time

Format 1 (saltus 0.1) is read; `saltus migrate` rewrites it, since new lines would not fit its logs.

A reader sees what the logs name and nothing else. Nothing here asks a model or pickles anything.
"""

from __future__ import annotations

import hashlib
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
from saltus.store.rows import SCHEMAS, Kind, answers_from

FORMAT: dict[str, Any] = {"format": 2, "hash": "sha256"}
FORMER: dict[str, Any] = {"format": "saltus-store", "version": 1}


def blob_name(digest: str) -> str:
    """Where the bytes of a hash, `sha256:…`, lie."""
    hexed = digest.removeprefix("sha256:")
    return f"blobs/{hexed[:2]}/{hexed}"


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
        self._aliases: dict[str, str] = {}
        """As the logs had them when they were last read."""
        self.format: int
        """1 or 2; format 1 is read only."""
        self._check()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place.url!r})"

    def exists(self) -> bool:
        """Something was committed here."""
        return self.place.exists("store.json")

    def contents(self) -> Contents:
        """What the logs say now."""
        found = contents(self._logs.read()[0])
        self._aliases = found.aliases
        return found

    def answers_count(self) -> int:
        """Answers and failures in all segments; more than 0 means that looking came first."""
        return sum(file.rows for file in self.contents().files("answers"))

    def known(self, model: str) -> Known:
        """What is there of a model identity. Raises StoreError on a damaged segment."""
        answered, complete = bytearray(), bytearray()
        for table in self._each("answers", model, ["identity", "key", "error"]):
            keys = table.filter(pc.is_null(table["error"]))["key"]
            answered += bytes.fromhex("".join(pc.utf8_slice_codeunits(keys, 0, 32).to_pylist()))
        for table in self._each("asks", model, ["model", "ask_id", "state"]):
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

    def blob(self, digest: str) -> bytes:
        """The bytes of a hash, `sha256:…`. Raises StoreError where they are missing or damaged."""
        name = blob_name(digest)
        try:
            data = self.place.read(name)
        except FileNotFoundError as error:
            raise StoreError("an image is missing", where=f"{self.place.url}/{name}", wanted=digest) from error
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise StoreError("an image was changed", where=f"{self.place.url}/{name}", wanted=digest)
        return data

    def heads(self) -> dict[str, str]:
        """Writer → hash of the last line of its log."""
        return self._logs.heads()

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
            data = pq.ParquetFile(io.BytesIO(self.place.read(file.name)))
            absent = "identity" in (columns or ()) and "identity" not in data.schema_arrow.names
            wanted = [c for c in columns if c != "identity"] if absent and columns is not None else columns
            table = data.read(columns=wanted)
        except (FileNotFoundError, pa.ArrowException, OSError) as error:
            raise StoreError(
                f"a segment cannot be read: {error}",
                where=f"{self.place.url}/{file.name}",
                wanted=f"{file.rows} rows with hash {file.sha256}",
                do="`saltus verify` lists all damage; restore the file from a copy, or give the study a new store",
            ) from error
        return self._present(table, file.model)

    def _present(self, table: pa.Table, model: str) -> pa.Table:
        """The table as format 2 has it: answers say whose they are, former identities are the present ones."""
        if "key" in table.schema.names and "identity" not in table.schema.names:
            table = table.add_column(0, "identity", pa.array([model] * table.num_rows, pa.string()))
        aliases = self._aliases
        column = next((c for c in ("model", "identity") if c in table.schema.names), None)
        if aliases and column is not None:
            found = table[column].to_pylist()
            if not aliases.keys().isdisjoint(found):
                renamed = pa.array([aliases.get(m, m) for m in found], pa.string())
                table = table.set_column(table.schema.get_field_index(column), column, renamed)
        return table

    def _each(self, kind: str, model: str | None, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """Every live file of a kind, rows of that identity only where one is given.

        A row may come twice when another process merges files meanwhile.
        """
        read: set[str] = set()
        column = {"asks": "model", "answers": "identity"}.get(kind)
        while True:
            found = self.contents()
            try:
                for file in found.files(kind, model):
                    if file.name not in read:
                        table = self.read(file, columns)
                        read.add(file.name)
                        if model is not None and column in table.schema.names:
                            table = table.filter(pc.equal(table[column], model))
                        yield table
                return
            except StoreError:
                if self.contents().replaced <= found.replaced:
                    raise  # it was not merged away: it is lost

    def mark(self) -> None:
        """Writes store.json before the first commit. Raises UserError for a store of format 1."""
        if self.format == 1:
            raise UserError(
                "this store is of format 1 and can only be read",
                where=self.place.url,
                wanted="format 2, to write to",
                do=f"saltus migrate {self.place.url}",
            )
        if not self._marked:
            if not self.exists():
                self.place.write("store.json", json.dumps(FORMAT).encode())
            self._marked = True

    def _scan(self, kind: Kind, model: str | None) -> pl.LazyFrame:
        found = self.contents()
        files = found.files(kind, model)
        if not files:
            empty = pl.from_arrow(SCHEMAS[kind].empty_table())
            assert isinstance(empty, pl.DataFrame)
            return empty.lazy()
        column = {"asks": "model", "answers": "identity"}.get(kind)
        if kind == "answers" and self.format == 1:
            frames = []
            for base in dict.fromkeys(file.model for file in files):
                names = [file.name for file in files if file.model == base]
                frames.append(self.place.scan(names).select(pl.lit(base).alias("identity"), pl.all()))
            rows = pl.concat(frames)
        else:
            rows = self.place.scan([file.name for file in files])
        if column is None:
            return rows
        if found.aliases:
            rows = rows.with_columns(pl.col(column).replace(found.aliases))
        return rows if model is None else rows.filter(pl.col(column) == model)

    def _check(self) -> None:
        """Raises UserError where the path holds something else; sets `format`."""
        self.format = 2
        if self.place.local is not None and self.place.local.is_file():
            raise UserError("this is a file", where=self.place.url, wanted="a store: a folder or a URL")
        try:
            marker = json.loads(self.place.read("store.json"))
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_other_folder()
            return
        except ValueError:
            marker = None
        if marker == FORMER:
            self.format = 1
            return
        version = marker.get("format") if isinstance(marker, dict) else None
        if isinstance(version, int) and version > FORMAT["format"]:
            raise UserError(
                f"written by a newer saltus (store format {version})",
                where=self.place.url,
                wanted=f"format {FORMAT['format']} or 1",
                do="pip install --upgrade saltus",
            )
        if marker != FORMAT:
            raise UserError(
                "store.json does not say that this is a store",
                where=self.place.url,
                do="give another path, or restore store.json: " + json.dumps(FORMAT),
            )

    def _refuse_other_folder(self) -> None:
        # Logs without store.json are a store whose first commit was killed; other files are not ours.
        others = [
            n
            for n in self.place.names()
            if n.split("/")[0] not in ("log", "segments", "blobs", "events", "events.jsonl")
        ]
        others = [n for n in others if not n.rsplit("/", 1)[-1].startswith(".")]
        if others:
            raise UserError(
                f"this folder holds other things, such as {others[0]}",
                where=self.place.url,
                wanted="a store, or a path where nothing is yet",
                do="give another path",
            )
