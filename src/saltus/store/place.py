"""A folder or an object store behind one small set of verbs, all of them safe to be killed in.

`write` is whole or not at all: a temporary name and a rename on a disk, a single put on an object store. Nothing
is ever locked and no name is ever written by two writers, so any number of them work side by side. Appending to
a log is one `write(2)` of a line on a disk and one small object per line elsewhere, because objects cannot grow.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from saltus.errors import UserError


class StoreError(UserError):
    """The store itself cannot be read or written: the run ends, nothing stored is lost."""


class Place:
    """Files by relative name under a folder or any fsspec URL. Every failure to write is a StoreError."""

    def __init__(self, url: str | Path) -> None:
        text = str(url)
        self.local: Path | None = None
        if "://" in text and not text.startswith("file://"):
            self.fs, self.root = _remote(text)
        else:
            self.local = Path(text.removeprefix("file://")).expanduser()
        self.url = text.rstrip("/")

    def __repr__(self) -> str:
        return f"Place({self.url!r})"

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError where there is no such file."""
        if self.local is not None:
            return (self.local / name).read_bytes()
        data: bytes = self.fs.cat_file(f"{self.root}/{name}")
        return data

    def exists(self, name: str = "") -> bool:
        if self.local is not None:
            return (self.local / name).exists()
        return bool(self.fs.exists(f"{self.root}/{name}".rstrip("/")))

    def size(self, name: str) -> int:
        """Bytes of a file. Raises FileNotFoundError where there is none."""
        if self.local is not None:
            return (self.local / name).stat().st_size
        return int(self.fs.size(f"{self.root}/{name}"))

    def names(self, folder: str = "") -> list[str]:
        """Every file under folder, relative to the root, sorted; none where the folder is absent."""
        if self.local is not None:
            top = self.local / folder
            found = (Path(d) / f for d, _, files in os.walk(top) for f in files)
            return sorted(p.relative_to(self.local).as_posix() for p in found)
        try:
            # Listings are cached by some filesystems; another writer's new object must be seen.
            self.fs.invalidate_cache()
            full = self.fs.find(f"{self.root}/{folder}".rstrip("/"))
        except FileNotFoundError:
            return []
        return sorted(name.split(f"{self.root}/", 1)[-1] for name in full)

    def write(self, name: str, data: bytes) -> None:
        """Puts a whole file there. A kill leaves nothing, or a stray temporary that `verify` names."""
        with self._blamed(name):
            if self.local is None:
                self.fs.pipe_file(f"{self.root}/{name}", data)
                return
            path = self.local / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
            try:
                with open(draft, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise

    def append(self, name: str, number: int, line: bytes) -> None:
        """Adds line `number` (without its newline) to the log `name` (without a suffix)."""
        if self.local is None:
            self.write(f"{name}/{number:08d}.json", line)
            return
        path = self.local / f"{name}.jsonl"
        with self._blamed(f"{name}.jsonl"):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            handle = os.open(path, flags, 0o644)
            try:
                before = os.fstat(handle).st_size
                _write_all(handle, line + b"\n", before)
                os.fsync(handle)
            finally:
                os.close(handle)

    def age(self, name: str) -> float | None:
        """Seconds since a file was written, or None where the place does not know."""
        try:
            if self.local is not None:
                return time.time() - (self.local / name).stat().st_mtime
            return time.time() - float(self.fs.modified(f"{self.root}/{name}").timestamp())
        except (FileNotFoundError, NotImplementedError):
            return None

    def remove(self, name: str) -> None:
        """Takes a file away; one that is gone already is no error."""
        with self._blamed(name), contextlib.suppress(FileNotFoundError):
            if self.local is not None:
                (self.local / name).unlink()
            else:
                self.fs.rm_file(f"{self.root}/{name}")

    def scan(self, names: Sequence[str]) -> pl.LazyFrame:
        """The Parquet files as one lazy frame; elsewhere than on a disk they are read file by file."""
        if self.local is not None:
            return pl.scan_parquet([self.local / name for name in names], glob=False)
        return pl.concat([pl.from_arrow(t).lazy() for t in self._tables(names)])  # type: ignore[union-attr]

    def _tables(self, names: Sequence[str]) -> Iterator[Any]:
        for name in names:
            yield pq.read_table(io.BytesIO(self.read(name)))

    @contextlib.contextmanager
    def _blamed(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(
                f"cannot be written: {error.strerror or error}",
                where=f"{self.url}/{name}",
                wanted="a folder or bucket with room that you may write to",
                do="make room or give another store; what is stored so far is whole, the same command goes on",
            ) from error


def _write_all(handle: int, data: bytes, before: int) -> None:
    """Writes all or leaves the file as it was, so that a full disk cannot tear a line."""
    done = 0
    try:
        while done < len(data):
            done += os.write(handle, data[done:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, before)
        raise


def _remote(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, root = fsspec.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UserError(
            f"no such kind of store: {error}",
            where=url,
            wanted="a folder, or a URL that fsspec reaches (s3://, gs://, memory:// …)",
            do="install the package it names, or give a folder",
        ) from error
    return fs, root.rstrip("/")
