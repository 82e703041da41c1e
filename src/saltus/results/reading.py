"""Finds out what the given files are, reads them all into one results table, and keeps account of every row.

The format is told by the content, not by the name. A file of another tool is refused by name with what to do; in a
folder, files that hold no results are listed, not refused.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError
from saltus.hashing import file_hash
from saltus.results import lm_eval
from saltus.results.cleaning import clean, collapse
from saltus.results.formats import Form, detect
from saltus.results.table import normalise
from saltus.results.tidy import read_frame, to_long


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One file that was read, or looked at and left."""

    path: str
    sha256: str
    format: str
    rows: int
    """Numbers it gave to the table, unusable ones included."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Column or key found → column of the results table."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason → rows that take no part in the analysis."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything read: one table and the account of it."""

    table: pl.DataFrame
    inputs: tuple[Input, ...]
    notes: tuple[str, ...] = ()

    def account(self) -> dict[str, Any]:
        """Plain data for `inputs.json`."""
        return {
            "rows": self.table.height,
            "usable": int(self.table["value"].is_not_null().sum()),
            "inputs": [
                {"path": i.path, "sha256": i.sha256, "format": i.format, "rows": i.rows,
                 "mapping": dict(i.mapping), "left_out": dict(i.left_out), "notes": list(i.notes)}
                for i in self.inputs
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def read(paths: Sequence[str | Path], *, rename: Mapping[str, str] | None = None) -> Reading:
    """All results under paths (files, folders, globs) as one table. rename: column found → column wanted.

    Raises UserError where a path is missing, a file is no results file, or a cell cannot be read.
    """
    files = _files(paths)
    tables, inputs = [], []
    companions = {s for f, _, form in files if form is Form.LM_EVAL for s in lm_eval.samples_of(f)}
    for path, named, form in files:
        if path in companions and not named:
            continue  # read with its result
        if form.unreadable:
            if named:
                raise form.refusal(path)
            inputs.append(Input(path=str(path), sha256=file_hash(path), format=form.value, rows=0,
                                notes=(form.why,)))  # fmt: skip
            continue
        table, account = _one(path, form, rename or {})
        tables.append(table)
        inputs += account
    if not tables:
        raise UserError(
            f"no results among {len(files)} files" if files else "no files",
            where=", ".join(map(str, paths)),
            wanted="a table (CSV, Parquet, JSON lines) with task, metric and value, or lm-eval results JSON",
            do="give the folder or files that hold results",
        )
    whole, repeated = collapse(pl.concat(tables, how="diagonal_relaxed"))
    notes = [n for i in inputs for n in i.notes]
    if repeated:
        notes.append(f"{repeated} rows repeat another row exactly and count once")
    return Reading(table=whole, inputs=tuple(inputs), notes=tuple(notes))


def _one(path: Path, form: Form, rename: Mapping[str, str]) -> tuple[pl.DataFrame, list[Input]]:
    where, notes = str(path), list[str]()
    if form is Form.LM_EVAL:
        frame, companions, notes = lm_eval.read(path)
    else:
        frame, companions = to_long(read_frame(path, form.value), where, rename), []
    table, mapping = normalise(frame, where, rename if form is not Form.LM_EVAL else {})
    table, said = clean(table.with_columns(source=pl.col("source").fill_null(where)), where)
    left = table.filter(pl.col("value").is_null()).group_by("why_missing").len().sort("why_missing")
    account = [
        Input(path=where, sha256=file_hash(path), format=form.value, rows=table.height, mapping=mapping,
              left_out=dict(left.iter_rows()), notes=(*notes, *said))
    ]  # fmt: skip
    account += [
        Input(path=str(c), sha256=file_hash(c), format=Form.LM_EVAL_SAMPLES.value, rows=0,
              notes=(f"items of {path.name}",))
        for c in companions
    ]  # fmt: skip
    return table, account


def _files(paths: Sequence[str | Path]) -> list[tuple[Path, bool, Form]]:
    """(file, named by the user, form), each file once, in the order given, folders in the order of names."""
    found: dict[Path, tuple[bool, Form]] = {}
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p, path))
            if not inside:
                raise UserError("the folder is empty", where=str(path), wanted="results files")
            for file in inside:
                found.setdefault(file, (False, detect(file)))
            continue
        matches = (
            [path]
            if path.is_file()
            else [Path(m) for m in sorted(glob.glob(str(given), recursive=True))]
        )
        if not matches:
            raise UserError("no such file or folder", where=str(given), do="check the path")
        for match in matches:
            if match.is_dir():
                found.update({f: (n, form) for f, n, form in _files([match]) if f not in found})
            else:
                named = path.is_file()
                found[match] = (named or found.get(match, (False, None))[0], detect(match))
    return [(path, named, form) for path, (named, form) in found.items()]


def _hidden(path: Path, base: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(base).parts)
