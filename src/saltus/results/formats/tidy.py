"""Reads tables: CSV and other text, Parquet, JSON or JSON lines, as they are; `results.layout` makes them long."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import polars as pl

from saltus.errors import UserError
from saltus.results.formats.text_table import decode, plain_csv


def read_frame(path: Path, form: str) -> tuple[pl.DataFrame, list[str]]:
    """The file as it is, and what was skipped. Raises UserError.

    form: "parquet", "csv", "tsv", "table" (other text), "json" (a list of objects) or "jsonl".
    """
    try:
        data: Path | io.BytesIO = io.BytesIO(gzip.decompress(path.read_bytes())) if _gz(path) else path
        if form == "parquet":
            return pl.read_parquet(data), []
        if form in ("csv", "tsv"):
            try:
                return _csv(data, "\t" if form == "tsv" else ","), []
            except pl.exceptions.PolarsError:  # a comment in the middle, say: what is wrong is found below
                form = "table"
        if form == "jsonl":
            return pl.read_ndjson(data, infer_schema_length=None), []
        raw = data.getvalue() if isinstance(data, io.BytesIO) else data.read_bytes()
        if form == "table":
            text, notes = plain_csv(decode(raw) or "", str(path))
            return _csv(io.BytesIO(text.encode()), ","), notes
        return pl.DataFrame(json.loads(raw), infer_schema_length=None), []
    except (pl.exceptions.PolarsError, OSError, EOFError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"cannot be read as {form}: {first}", where=str(path), do="check that the file is whole"
        ) from error


def _csv(data: Path | io.BytesIO, separator: str) -> pl.DataFrame:
    return pl.read_csv(data, separator=separator, infer_schema_length=None, glob=False)


def _gz(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"
