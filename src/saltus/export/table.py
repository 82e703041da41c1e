"""What a study found as files for other tools: its results table, or records in their own formats."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from saltus.errors import UserError, nearest
from saltus.runner.open import load_with_store

if TYPE_CHECKING:
    from saltus.export.every_eval_ever_write import Written

FORMS = ("every-eval-ever", "inspect", "inspect-json")


def export_table(document: Path, to: Path, *, items: bool = False) -> int:
    """Writes one row per number, or per item and metric, as Parquet or CSV; returns the number of rows.

    Raises UserError where the study never ran, the ending is another, or the file cannot be written.
    """
    if to.suffix not in (".parquet", ".csv"):
        raise UserError(f"`{to.suffix or to.name}` is no known ending", where=str(to), wanted=".parquet or .csv")
    study, store = load_with_store(document)
    table = (store.item_table(study) if items else store.table(study)).collect()
    table = table.with_columns(pl.col(pl.Binary).bin.encode("hex"))
    try:
        table.write_parquet(to) if to.suffix == ".parquet" else table.write_csv(to)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(to)) from error
    return table.height


def export_records(document: Path, to: Path, form: str, *, by: str, developer: str, items: bool) -> Written:
    """Writes a study in another project's format into the folder `to`. Raises UserError for an unknown one."""
    if form not in FORMS:
        raise UserError(f"--as {form}", wanted=nearest(form, FORMS), do="fix --as")
    if form.startswith("inspect"):
        from saltus.export.inspect import export_inspect

        return export_inspect(document, to, form)
    from saltus.export.every_eval_ever import export_every_eval_ever
    from saltus.results.formats.every_eval_ever_record import Provenance

    source = Provenance(organization=by, developer=developer, retrieved=int(time.time()))
    return export_every_eval_ever(document, to, source, items=items)
