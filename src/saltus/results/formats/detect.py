"""Looks at a file once: what kind of file it is and what it shows at its beginning. Names and endings do not count."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from saltus.errors import UserError
from saltus.results.formats.base import Document, Kind
from saltus.results.formats.text_table import columns, decode


def look(path: Path) -> Document:
    """What the file shows. Raises UserError where it cannot be opened."""
    try:
        with open(path, "rb") as raw:
            head = _head(raw)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as packed:
                head = _head(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be opened: {error}", where=str(path)) from error
    if not head.strip():
        return Document(path, "empty")
    if head[:4] == b"PAR1":
        return Document(path, "parquet", names=_columns(path))
    if head[:2] == b"PK":
        return Document(path, "archive", names=_entries(path))
    text = decode(head)
    if text is None:
        return Document(path, "other")
    text = text[: text.rfind("\n") + 1 or len(text)]
    if text.lstrip()[:1] in ("{", "["):
        return _json(path, text)
    table = columns(text)
    if table is None:
        return Document(path, "other", head=text)
    names, found = table
    simple = found.plain and head[:3] != b"\xef\xbb\xbf" and b"\0" not in head and _is_utf8(head)
    kind: Kind = ("tsv" if found.delimiter == "\t" else "csv") if simple else "table"
    return Document(path, kind, names=frozenset(names), head=text)


def _is_utf8(head: bytes) -> bool:
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def load_json(path: Path) -> Any:
    """The file's JSON, unpacked if need be. Raises UserError where it is cut short or broken."""
    data = path.read_bytes()
    try:
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, OSError, EOFError, zlib.error, RecursionError) as error:
        raise UserError(
            f"broken JSON: {error}", where=str(path), wanted="a whole file", do="copy it again, or leave it out"
        ) from error


def _head(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """The beginning of the file: 64 kB, or the first line where that is longer."""
    head = file.read(65536)
    return head if b"\n" in head else head + file.readline()


def _columns(path: Path) -> frozenset[str]:
    try:
        return frozenset(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return frozenset()  # whoever reads it says what is wrong


def _entries(path: Path) -> frozenset[str]:
    """An archive cut short has no list of entries."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return frozenset()


def _json(path: Path, head: str) -> Document:
    """One document, or lines: the first line is a whole object and another one follows, or it stands alone."""
    first, _, rest = head.partition("\n")
    try:
        line = json.loads(first) if first.strip().startswith("{") else None
    except (ValueError, RecursionError):
        line = None
    if isinstance(line, dict) and rest.strip():
        return Document(path, "lines", line, frozenset(line), head)
    try:
        value = line if isinstance(line, dict) else load_json(path)
    except UserError:  # other people's text may begin with a bracket too
        return Document(path, "other", head=head)
    return Document(path, "json", value, frozenset(value) if isinstance(value, dict) else frozenset(), head)
