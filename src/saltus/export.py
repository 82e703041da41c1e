"""The results table of a study as a file, for any other tool."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from saltus.errors import UserError
from saltus.running import load_with_store


def export_table(document: Path, to: Path, *, items: bool = False) -> int:
    """Writes one row per number, or per item and metric, as Parquet or CSV; returns the number of rows.

    Raises UserError where the study never ran, the ending is another, or the file cannot be written.
    """
    if to.suffix not in (".parquet", ".csv"):
        raise UserError(
            f"`{to.suffix or to.name}` is no known ending", where=str(to), wanted=".parquet or .csv"
        )
    study, store = load_with_store(document)
    table = (store.item_table(study) if items else store.table(study)).collect()
    table = table.with_columns(pl.col(pl.Binary).bin.encode("hex"))
    try:
        table.write_parquet(to) if to.suffix == ".parquet" else table.write_csv(to)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(to)) from error
    return table.height
