"""Finds out what the given files are, reads them all into one results table, and keeps account of every row.

The format is told by the content, not by the name. A file of another tool is refused by name with what to do; in a
folder, files that hold no results are listed, not refused.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError
from saltus.hashing import file_hash
from saltus.results.cleaning import clean, collapse
from saltus.results.formats import every_eval_ever, helm, inspect_log, lighteval, lm_eval
from saltus.results.formats.detect import Form, detect
from saltus.results.formats.kit import Read
from saltus.results.formats.tidy import read_frame, to_long
from saltus.results.left_out import Place, unread_columns
from saltus.results.table import column_mapping, normalise, require_axis

READERS: Mapping[Form, Callable[[Path], Read]] = {
    Form.LM_EVAL: lm_eval.read,
    Form.INSPECT: inspect_log.read,
    Form.EVERY_EVAL_EVER: every_eval_ever.read,
    Form.HELM: helm.read,
    Form.LIGHTEVAL: lighteval.read,
}
"""Form of the file that says what was run → its reader; each finds its companions by itself."""
_COMPANIONS: Mapping[Form, tuple[Form, Callable[[Path], Path | None] | None]] = {
    Form.LM_EVAL: (Form.LM_EVAL_SAMPLES, None),
    Form.EVERY_EVAL_EVER: (Form.EVERY_EVAL_EVER_SAMPLES, every_eval_ever.aggregate_of),
    Form.HELM: (Form.HELM_STATS, helm.spec_beside),
    Form.LIGHTEVAL: (Form.LIGHTEVAL_DETAILS, None),
}
"""Form → the form of its companions, and how the file they belong to is found from one of them."""

_MINIMUM = {"task", "metric", "value"}
"""A table in a folder that has none of these is no results table."""


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
                {
                    "path": i.path,
                    "sha256": i.sha256,
                    "format": i.format,
                    "rows": i.rows,
                    "mapping": dict(i.mapping),
                    "left_out": dict(i.left_out),
                    "notes": list(i.notes),
                }
                for i in self.inputs
            ],
            "notes": list(self.notes),
        }


def read(paths: Sequence[str | Path], *, rename: Mapping[str, str] | None = None) -> Reading:
    """All results under paths (files, folders, globs) as one table. rename: column found → column wanted.

    Raises UserError where a path is missing, a file is no results file, or a cell cannot be read.
    """
    files = _files(paths)
    inputs: list[Input] = []
    tables: list[pl.DataFrame] = []
    for form in READERS:
        mine = _whole_runs(files, form)
        if mine:
            table, account = _published(mine, form)
            tables.append(table)
            inputs += account
    done = {Path(i.path).resolve() for i in inputs}
    for path, named, form in files:
        if path.resolve() in done:
            continue
        if form.unreadable:
            if named:
                raise form.refusal(path)
            inputs.append(_unread(path, form.value, form.why))
            continue
        frame = to_long(read_frame(path, form.value), str(path), rename or {})
        if not named and not _MINIMUM & set(column_mapping(frame.columns, rename or {}, str(path)).values()):
            inputs.append(_unread(path, form.value, "not read: no column for task, metric or value"))
            continue
        table, one = _tidy(frame, path, form, rename or {})
        tables.append(table)
        inputs.append(one)
    if not tables:
        raise UserError(
            f"no results among {len(files)} files" if files else "no files",
            where=", ".join(map(str, paths)),
            wanted="a table (CSV, Parquet, JSON lines) with task, metric and value, or results of lm-eval, Inspect, "
            "HELM, lighteval, Every Eval Ever",
            do="give the folder or files that hold results",
        )
    whole, repeated = collapse(pl.concat(tables, how="diagonal_relaxed"))
    notes = [n for i in inputs for n in i.notes]
    require_axis(whole, ", ".join(map(str, paths)), notes)
    if repeated:
        notes.append(f"{repeated} rows repeat another row exactly and count once")
    return Reading(table=whole, inputs=tuple(inputs), notes=tuple(notes))


def _unread(path: Path, form: str, why: str) -> Input:
    return Input(path=str(path), sha256=file_hash(path), format=form, rows=0, notes=(f"{path.name}: {why}",))


def _tidy(frame: pl.DataFrame, path: Path, form: Form, rename: Mapping[str, str]) -> tuple[pl.DataFrame, Input]:
    where = str(path)
    table, mapping = normalise(frame, where, rename)
    place = Place(where, called={canonical: found for found, canonical in mapping.items()})
    table, said = clean(table.with_columns(source=pl.col("source").fill_null(where)), place)
    said += unread_columns(frame.columns, mapping, place)
    return table, Input(
        path=where,
        sha256=file_hash(path),
        format=form.value,
        rows=table.height,
        mapping=mapping,
        left_out=_left_out(table),
        notes=tuple(said),
    )


def _whole_runs(files: Sequence[tuple[Path, bool, Form]], form: Form) -> list[Path]:
    """The files of that form, and those that a named companion belongs to; each once."""
    companion, head_of = _COMPANIONS.get(form, (None, None))
    heads = {path.resolve(): path for path, _, found in files if found is form}
    for path, _, found in files:
        if companion is not None and found is companion and head_of is not None:
            head = head_of(path)
            if head is not None and detect(head) is form:
                heads.setdefault(head.resolve(), head)
    return list(heads.values())


def _published(files: Sequence[Path], form: Form) -> tuple[pl.DataFrame, list[Input]]:
    """All results of one tool at once: they share their columns, and a sweep has a thousand files."""
    read_files = {path: READERS[form](path) for path in files}
    where = str(files[0]) if len(files) == 1 else f"{len(files)} {form.value} files, first {files[0]}"
    frames = [frame for frame, _, _ in read_files.values()]
    table, mapping = normalise(pl.concat(frames), where, placed=False)
    if not table.height:
        raise UserError(
            "the file has no numbers" if len(files) == 1 else "the files have no numbers",
            where=where,
            wanted="scores of items or tasks",
            do="; ".join(n for _, _, notes in read_files.values() for n in notes) or "leave it out",
        )
    table, said = clean(table, Place(where, rows=False))
    found = {rows["source"][0]: rows for rows in table.partition_by("source", maintain_order=True)}
    inputs = []
    companion, _ = _COMPANIONS.get(form, (form, None))
    for path, (_, used, notes) in read_files.items():
        rows = found.get(str(path), table.clear())
        inputs.append(
            Input(
                path=str(path),
                sha256=file_hash(path),
                format=form.value,
                rows=rows.height,
                mapping=mapping,
                left_out=_left_out(rows),
                notes=tuple(notes),
            )
        )
        inputs += [Input(path=str(c), sha256=file_hash(c), format=companion.value, rows=0) for c in used]
    inputs[0] = replace(inputs[0], notes=(*inputs[0].notes, *said))
    return table, inputs


def _left_out(table: pl.DataFrame) -> dict[str, int]:
    left = table.filter(pl.col("value").is_null()).group_by("why_missing").len().sort("why_missing")
    return dict(left.iter_rows())


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
        matches = [path] if path.is_file() else [Path(m) for m in sorted(glob.glob(str(given), recursive=True))]
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
