"""Finds out what the given files are, reads them all into one results table, and keeps account of every row.

The format is detected from the content, not from the name. A file of another tool is refused with what to do; in a
folder, files that hold no results are listed, not refused.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError
from saltus.hashing import file_hash
from saltus.results.cleaning import clean, collapse
from saltus.results.coordinates import Places, with_places
from saltus.results.direction import with_direction
from saltus.results.formats import detect, of_others, seen
from saltus.results.formats.base import Format, Left, Read
from saltus.results.formats.detect import load_json, look
from saltus.results.formats.guarded import Guarded
from saltus.results.formats.others import BROKEN
from saltus.results.formats.tidy import read_frame
from saltus.results.layout import to_long
from saltus.results.left_out import Place, unread_columns
from saltus.results.table import column_mapping, normalise, require_axis
from saltus.results.wide import Tables

Found = tuple[Path, bool, Format | Left | str]
"""A file, whether the user named it, and what it is: a format, a kind that is left, or a table's kind."""
_MINIMUM = {"task", "metric", "value"}
"""A table in a folder that has none of these is no results table."""
_SKIPPED = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        "__MACOSX",
        ".ipynb_checkpoints",
        ".venv",
        "venv",
        "node_modules",
        ".cache",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".huggingface",
        ".tox",
        ".idea",
        ".vscode",
        ".DS_Store",
        "wandb-metadata.json",
    ]
)
"""Folders and files that hold no results; any other hidden one may: lm-eval names folders `.__out__checkpoint-10`."""


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
    coordinates: tuple[Mapping[str, Any], ...] = ()
    """Where every place came from: {source, field, value, from, text}; from is coords, pattern, file or name."""

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
            "coordinates": [dict(c) for c in self.coordinates],
        }


def read(
    paths: Sequence[str | Path],
    *,
    rename: Mapping[str, str] | None = None,
    formats: Sequence[Format] = (),
    tables: Tables | None = None,
    places: Places | None = None,
) -> Reading:
    """All results under paths (files, folders, globs) as one table.

    Args:
        paths: files, folders or globs.
        rename: column found → column wanted.
        formats: formats of the user's own, asked before the installed ones.
        tables: what the user says of tables: columns that are tasks, the metric, per cent.
        places: where models stand, as far as the files do not say it.

    Raises UserError where a path is missing, a file is no results file, or a cell cannot be read.
    """
    others, faults = of_others(formats)
    tables = tables or Tables()
    files, skipped = _files(paths, others)
    inputs: list[Input] = []
    frames: list[pl.DataFrame] = []
    known = {path.resolve(): found for path, _, found in files}
    done: set[Path] = set()
    for one, heads in _by_format(files, others):
        mine = [path for path in heads if path.resolve() not in done]  # not another format's companion
        if mine:
            table, account = _published(mine, one, known, tables)
            frames.append(table)
            inputs += account
            done |= {Path(i.path).resolve() for i in account}
    faults += [note for other in others for note in other.note()]
    for path, named, found in files:
        if path.resolve() in done:
            continue
        try:
            plain, one_input = _unclaimed(path, named, found, rename or {}, tables)
        except UserError as error:  # it may well be a file of the format that failed on it
            raise next((fault for other in others if (fault := other.fault_on(path))), error) from error
        frames += plain
        inputs.append(one_input)
    if not frames:
        left = [n for i in inputs for n in i.notes][:2]
        raise UserError(
            "; ".join([f"no results among {len(files)} files" if files else "no files", *faults, *skipped, *left]),
            where=", ".join(map(str, paths)),
            wanted="a table (CSV, Parquet, JSON lines) with task, metric and value, or results of lm-eval, Inspect, "
            "HELM, lighteval, Every Eval Ever",
            do="give the folder or files that hold results",
        )
    placed = with_places(pl.concat(frames, how="diagonal_relaxed"), places or Places())
    directed, doubts = with_direction(placed.table, tables.better)
    whole, repeated = collapse(directed)
    notes = [*skipped, *(n for i in inputs for n in i.notes), *placed.notes, *doubts]
    require_axis(whole, ", ".join(map(str, paths)), notes)
    if repeated:
        notes.append(f"{repeated} rows repeat another row exactly and count once")
    return Reading(table=whole, inputs=tuple(inputs), notes=(*notes, *faults), coordinates=tuple(placed.readings))


def _unclaimed(
    path: Path, named: bool, found: Format | Left | str, rename: Mapping[str, str], tables: Tables
) -> tuple[list[pl.DataFrame], Input]:
    """A file that no format recognised: its table if it is one. Raises UserError where the user named what is none."""
    if found is BROKEN:
        load_json(path)
    if isinstance(found, Left):
        if named:
            raise found.refusal(path)
        return [], _unread(path, found.name, found.why)
    kind, where = str(found), str(path)
    try:
        frame, skipped = read_frame(path, kind)
    except UserError:
        if named or _MINIMUM & set(column_mapping(sorted(look(path).names), rename, where).values()):
            raise
        return [], _unread(path, kind, "not read: no results table")
    long = to_long(frame, where, rename, tables)
    if not named and not _MINIMUM & set(column_mapping(long.frame.columns, rename, where).values()):
        return [], _unread(path, kind, "not read: no column for task, metric or value")
    table, one_input = _tidy(long.frame, path, kind, rename, Tables() if long.scaled else tables)
    return [table], replace(one_input, notes=(*skipped, *long.notes, *one_input.notes))


def _unread(path: Path, form: str, why: str) -> Input:
    return Input(path=str(path), sha256=file_hash(path), format=form, rows=0, notes=(f"{path.name}: {why}",))


def _tidy(
    frame: pl.DataFrame, path: Path, form: str, rename: Mapping[str, str], tables: Tables
) -> tuple[pl.DataFrame, Input]:
    where = str(path)
    table, mapping = normalise(frame, where, rename, placed=False)
    place = Place(where, called={canonical: found for found, canonical in mapping.items()})
    table, stated = clean(table.with_columns(source=pl.col("source").fill_null(where)), place, tables.is_percent)
    stated += unread_columns(frame.columns, mapping, place)
    return table, Input(
        path=where,
        sha256=file_hash(path),
        format=form,
        rows=table.height,
        mapping=mapping,
        left_out=_left_out(table),
        notes=tuple(stated),
    )


def _by_format(files: Sequence[Found], others: Sequence[Guarded]) -> list[tuple[Format, list[Path]]]:
    """The files of every format, and those that a named companion belongs to; each once.

    Formats as they came, those of others first: a companion of theirs may look like a file of ours.
    """
    heads: dict[Path, tuple[Path, Format]] = {}
    for path, _, found in files:
        if not isinstance(found, (Left, str)):
            heads.setdefault(path.resolve(), (path, found))
    for path, _, found in files:
        head = found.head_of(path) if isinstance(found, Left) and found.head_of else None
        if head is not None:
            one = detect(head, others)
            if not isinstance(one, (Left, str)):
                heads.setdefault(head.resolve(), (head, one))
    mine: dict[int, tuple[Format, list[Path]]] = {}
    for path, one in heads.values():
        mine.setdefault(id(one), (one, []))[1].append(path)  # two formats may go by one name
    return sorted(mine.values(), key=lambda group: not isinstance(group[0], Guarded))


def _published(
    files: Sequence[Path], one: Format, known: Mapping[Path, Format | Left | str], tables: Tables
) -> tuple[pl.DataFrame, list[Input]]:
    """All results of one tool at once: they share their columns, and a sweep has a thousand files."""
    found = {path: _read(one, path) for path in files}
    where = str(files[0]) if len(files) == 1 else f"{len(files)} {one.name} files, first {files[0]}"
    frames = [rows for rows, _ in found.values()]
    table, mapping = normalise(_together(frames, one, where), where, placed=False)
    if not table.height:
        raise UserError(
            "the file has no numbers" if len(files) == 1 else "the files have no numbers",
            where=where,
            wanted="scores of items or tasks",
            do="; ".join(n for _, notes in found.values() for n in notes) or "leave it out",
        )
    table, stated = clean(table, Place(where, rows=False), tables.is_percent)
    by_source = {rows["source"][0]: rows for rows in table.partition_by("source", maintain_order=True)}
    inputs = []
    for path, (_, notes) in found.items():
        rows = by_source.get(str(path), table.clear())
        inputs.append(
            Input(
                path=str(path),
                sha256=file_hash(path),
                format=one.name,
                rows=rows.height,
                mapping=mapping,
                left_out=_left_out(rows),
                notes=tuple(notes),
            )
        )
        for beside in one.companions(path):
            kind = known.get(beside.resolve()) or seen(beside)
            name = kind if isinstance(kind, str) else kind.name
            inputs.append(Input(path=str(beside), sha256=file_hash(beside), format=name, rows=0))
    inputs[0] = replace(inputs[0], notes=(*inputs[0].notes, *stated))
    return table, inputs


def _read(one: Format, path: Path) -> Read:
    found = one.read(path)
    return Read(found) if isinstance(found, pl.DataFrame) else found


def _together(frames: Sequence[pl.DataFrame], one: Format, where: str) -> pl.DataFrame:
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.SchemaError as error:
        raise UserError(
            f"the format `{one.name}` gave one column in types that do not mix: {error}",
            where=where,
            do="fix the format",
        ) from error


def _left_out(table: pl.DataFrame) -> dict[str, int]:
    left = table.filter(pl.col("value").is_null()).group_by("why_missing").len().sort("why_missing")
    return dict(left.iter_rows())


def _files(paths: Sequence[str | Path], formats: Sequence[Format]) -> tuple[list[Found], list[str]]:
    """Each file once, in the order given, folders in the order of names; and a sentence on what was not looked at."""
    found: dict[Path, tuple[bool, Format | Left | str]] = {}
    skipped: list[str] = []
    for given in paths:
        path = Path(given)
        matches = [path] if path.exists() else [Path(m) for m in sorted(glob.glob(str(given), recursive=True))]
        if not matches:
            raise UserError("no such file or folder", where=str(given), do="check the path")
        for match in matches:
            if not match.is_dir():
                named = path.is_file()
                found[match] = (named or found.get(match, (False, None))[0], seen(match, formats))
                continue
            inside, beside = _inside(match)
            skipped += beside
            if not inside:
                raise UserError("; ".join(["the folder is empty", *beside]), where=str(match), wanted="results files")
            for file in inside:
                if file not in found:
                    found[file] = (False, seen(file, formats))
    return [(path, named, form) for path, (named, form) in found.items()], skipped


def _inside(folder: Path) -> tuple[list[Path], list[str]]:
    """The files below a folder, and a sentence naming what was skipped."""
    files, skipped = [], set()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        at = next((i for i, p in enumerate(parts) if p in _SKIPPED or re.match(r"\._[^_]", p)), None)
        if at is not None:
            skipped.add("/".join(parts[: at + 1]))
        elif path.is_file():
            files.append(path)
    if not skipped:
        return files, []
    names = sorted(skipped)
    return files, [f"{folder}: not looked into: {', '.join(names[:5])}{', …' * (len(names) > 5)}"]
