"""Reads tidy results: one row per number, as CSV, Parquet, JSON or JSON lines, in any of the known column names.

A table with a column per metric (`acc`, `acc_stderr`, `ppl`) is turned into one row per number when the names
are known.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from saltus.errors import UserError
from saltus.metrics import KNOWN
from saltus.results.table import column_mapping


def read_frame(path: Path, form: str) -> pl.DataFrame:
    """The file as it is. form: "parquet", "csv", "tsv", "json" (a list of objects) or "jsonl". Raises UserError."""
    try:
        data: Path | io.BytesIO = io.BytesIO(gzip.decompress(path.read_bytes())) if _gz(path) else path
        if form == "parquet":
            return pl.read_parquet(data)
        if form in ("csv", "tsv"):
            return pl.read_csv(data, separator="\t" if form == "tsv" else ",", infer_schema_length=None, glob=False)
        if form == "jsonl":
            return pl.read_ndjson(data, infer_schema_length=None)
        text = data.getvalue() if isinstance(data, io.BytesIO) else data.read_bytes()
        return pl.DataFrame(json.loads(text), infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, EOFError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"cannot be read as {form}: {first}", where=str(path), do="check that the file is whole"
        ) from error


def to_long(frame: pl.DataFrame, where: str, rename: Mapping[str, str]) -> pl.DataFrame:
    """The frame with one row per number: columns named like known metrics become rows, others stay.

    A frame that already has `metric` and `value` is returned as it is.
    """
    have = set(column_mapping(frame.columns, rename, where).values())
    if {"metric", "value"} & have:
        return frame
    wide = [c for c in frame.columns if c.split(",")[0] in KNOWN]
    if not wide:
        return frame
    errors = {m: e for m in wide if (e := f"{m}_stderr") in frame.columns}
    keep = [c for c in frame.columns if c not in wide and c not in errors.values()]

    def number(column: str | None) -> pl.Expr:
        return pl.col(column).cast(pl.Float64, strict=False) if column else pl.lit(None, pl.Float64)

    return pl.concat(
        frame.select(
            *keep, pl.lit(m).alias("metric"), number(m).alias("value"), number(errors.get(m)).alias("stderr")
        ).filter(pl.col("value").is_not_null())
        for m in wide
    )


def _gz(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"
