"""Puts models in their place where files do not say it, and keeps account of where each coordinate came from.

Precedence: a table of the user's (`--coords`), a pattern of theirs (`--pattern`), the file's own fields, names. Two
models that nothing read tells apart never merge: they become variants of each other, and a note says so.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError, nearest
from saltus.results.names import in_name, params_in, without
from saltus.results.placing import Row
from saltus.results.table import AXES, COLUMNS
from saltus.results.units import parse_quantity

TRAINING = ("step", "tokens", "flops")
FIELDS = ("model", "series", "seed", "step", "tokens", "params", "loss", "date", "flops")
"""What `--coords` and `--pattern` may give."""
_GROUP = ("source", "series", "model", *AXES, "seed", "variant", "named", "model_args")
_EXAMPLE = "source,step\nruns/a/results.json,1000\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the user says of places."""

    coords: Path | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """The table with places, the account of each, and what a reader should know."""

    table: pl.DataFrame
    readings: list[dict[str, Any]] = field(default_factory=list)
    """{source, field, value, from, text}; from is coords, pattern, file or name."""
    notes: list[str] = field(default_factory=list)


def with_places(table: pl.DataFrame, given: Places) -> Placed:
    """Fills in where models stand. Raises UserError where what the user gave fits no file, or several models."""
    absent = [pl.lit(None, pl.String).alias(c) for c in ("named", "model_args") if c not in table.columns]
    table = table.with_columns(absent).with_columns(source=pl.col("source").fill_null(""))
    groups = table.select(_GROUP).unique(maintain_order=True).with_row_index("_group")
    places = [dict(row) for row in groups.iter_rows(named=True)]
    old = [dict(row) for row in places]
    came: list[dict[str, tuple[str, str]]] = [_stated(row) for row in places]
    notes = _by_names(places, came)
    if given.pattern:
        notes += _by_pattern(places, came, given.pattern)
    if given.coords:
        notes += _by_coords(places, came, given.coords)
    notes += _stages(places, came) + _apart(places, came)
    if places != old:
        table = _filled(table, groups, places)
    readings = _account(places, came)
    return Placed(table.drop("named", "model_args", strict=False), readings, notes)


def _stated(row: Row) -> dict[str, tuple[str, str]]:
    """Field → (from, text) of what the readers found."""
    named = dict(part.split("=", 1) for part in (row["named"] or "").split("|") if "=" in part)
    fields = [f for f in (*FIELDS, "variant") if f not in ("model", "series") and row.get(f) is not None]
    return {f: ("name", named[f]) if f in named else ("file", "") for f in fields if f in named or f != "variant"}


def _by_names(places: Sequence[Row], came: Sequence[dict[str, tuple[str, str]]]) -> list[str]:
    """Tables name a checkpoint in their model column; results without any other hint, in their path."""
    for row, where in zip(places, came, strict=True):
        if row["model_args"] is None and row["model"] and all(row[a] is None for a in TRAINING):
            found = in_name(row["model"])
            for name, value in (("step", found.step), ("tokens", found.tokens), ("seed", found.seed)):
                if value is not None and row[name] is None:
                    row[name], where[name] = value, ("name", row["model"])
            if found.stage and row["variant"] is None:
                row["variant"], where["variant"] = found.stage, ("name", row["model"])
        elif row["model_args"] is None and row["model"] and row["seed"] is None:
            seed = in_name(row["model"]).seed  # a run is its name without the seed
            if seed is not None:
                row["seed"], where["seed"] = seed, ("name", row["model"])
    lacking = [
        (i, params_in(without(row["model"])))
        for i, row in enumerate(places)
        if row["model_args"] is None and row["model"] and all(row[a] is None for a in AXES)
    ]
    if len({size for _, size in lacking if size is not None}) > 1:  # one size alone is no place for many points
        for i, size in lacking:
            if size is not None:
                places[i]["params"], came[i]["params"] = size, ("name", places[i]["model"])
    return _by_paths(places, came)


def _by_paths(places: Sequence[Row], came: Sequence[dict[str, tuple[str, str]]]) -> list[str]:
    """Where files of one model say nothing that differs, what differs in their paths does."""
    lacking: dict[Any, list[int]] = {}
    for i, row in enumerate(places):
        if all(row[a] is None for a in TRAINING):
            lacking.setdefault((row["series"], row["model"], row["model_args"]), []).append(i)
    for rows in lacking.values():
        sources = {places[i]["source"] for i in rows}
        steps = {s: in_name(s) for s in sources}
        if len(sources) < 2 or len({(n.step, n.tokens) for n in steps.values()}) < 2:
            continue
        for i in rows:
            found = steps[places[i]["source"]]
            for name, value in (("step", found.step), ("tokens", found.tokens), ("seed", found.seed)):
                if value is not None and places[i][name] is None:
                    places[i][name], came[i][name] = value, ("name", places[i]["source"])
    return []


def _by_pattern(places: Sequence[Row], came: Sequence[dict[str, tuple[str, str]]], text: str) -> list[str]:
    pattern = compiled(text)
    missed = []
    for row, where in zip(places, came, strict=True):
        texts = [row["source"], row["model_args"] or row["model"] or ""]
        match = next((m for t in texts if (m := pattern.search(t))), None)
        if match is None:
            missed.append(texts[0] or texts[1])
            continue
        for name, value in match.groupdict().items():
            row[name], where[name] = _value(name, value, f"--pattern {text}"), ("pattern", match[0])
    if len(missed) == len(places):
        raise UserError(
            "the pattern fits no file and no model",
            where=f"--pattern {text}",
            wanted=f"a pattern for texts like `{missed[0]}`" if missed else "results",
            do="write the part that varies as {step}, {tokens}, {seed} …, e.g. --pattern 'step-{step}/'",
        )
    if not missed:
        return []
    return [f"--pattern fits {len(places) - len(missed)} of {len(places)} groups; first other: {missed[0]}"]


def compiled(text: str) -> re.Pattern[str]:
    """The pattern as a regular expression: `{step}` is a number, `{seed}` a word, `*` anything within a name."""
    names = re.findall(r"{(\w*)}", text)
    bad = [n for n in names if n not in FIELDS]
    if bad or not names or len(set(names)) < len(names):
        raise UserError(
            f"`{{{bad[0]}}}` is no coordinate" if bad else "the pattern names no coordinate, or one of them twice",
            where=f"--pattern {text}",
            wanted=nearest(bad[0], FIELDS) if bad else "one of " + ", ".join(f"{{{f}}}" for f in FIELDS),
            do="write the part that varies in braces, e.g. --pattern 'step-{step}/'",
        )
    parts = re.split(r"({\w+}|\*\*|\*)", text)
    return re.compile("".join(_part(p) for p in parts))


def _part(part: str) -> str:
    if part.startswith("{"):
        name = part[1:-1]
        number = COLUMNS[name].dtype == pl.Float64 and name != "date"
        return f"(?P<{name}>" + (r"\d[\d,_]*(?:\.\d+)?(?:[kKmMbBtT](?![a-zA-Z0-9]))?" if number else r"[^/]+?") + ")"
    return {"*": "[^/]*", "**": ".*"}.get(part, re.escape(part))


def _by_coords(places: Sequence[Row], came: Sequence[dict[str, tuple[str, str]]], path: Path) -> list[str]:
    lines = _coords(path)
    unplaced = set(range(len(places)))
    for number, line in enumerate(lines, 2):
        where = f"{path}, line {number}"
        mine = _matching(places, line["source"], where)
        for i in mine:
            for name, text in line.items():
                if name != "source" and text not in (None, ""):
                    places[i][name], came[i][name] = _value(name, text, where), ("coords", f"{path}:{number}")
        unplaced -= set(mine)
    first = places[min(unplaced)]["source"] if unplaced else ""
    return [f"{path} gives no place for {len(unplaced)} of {len(places)} groups; first: {first}"] if unplaced else []


def _coords(path: Path) -> list[dict[str, str]]:
    try:
        frame = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            wanted="CSV with a column `source` and coordinates",
            do=f"write a file such as\n{_EXAMPLE}",
        ) from error
    strange = [c for c in frame.columns if c not in (*FIELDS, "source")]
    if strange or "source" not in frame.columns or len(frame.columns) < 2:
        raise UserError(
            f"column `{strange[0]}` is no coordinate" if strange else "no column `source` beside coordinates",
            where=str(path),
            wanted=nearest(strange[0], FIELDS) if strange else "source and any of " + ", ".join(FIELDS),
            do=f"write a file such as\n{_EXAMPLE}",
        )
    return list(frame.iter_rows(named=True))


def _matching(places: Sequence[Row], text: str | None, where: str) -> list[int]:
    """The groups a `source` names: files by path or glob, else one model by a part of what it was opened with."""
    text = (text or "").strip()
    by_path = [i for i, row in enumerate(places) if _is_path(row["source"], text)]
    found = by_path or _by_part(places, text)
    opened = sorted({places[i]["model_args"] or places[i]["model"] or places[i]["source"] for i in found})
    if not found or (len(opened) > 1):
        known = sorted({row["source"] for row in places} | {row["model_args"] or "" for row in places} - {""})
        raise UserError(
            f"`{text}` fits {f'{len(opened)} models: ' + ', '.join(opened[:3]) if found else 'no file and no model'}",
            where=where,
            wanted="a path, a glob or a part of the model's arguments that fits exactly one model",
            do="write more of it" if found else f"write one of: {'; '.join(known[:4])}",
        )
    return found


def _is_path(source: str, text: str) -> bool:
    if not text or not source:
        return False
    given, known = Path(text).as_posix(), Path(source).as_posix()
    return (
        known == given or known.endswith(f"/{given}") or fnmatch.fnmatch(known, given) or known.startswith(f"{given}/")
    )


def _by_part(places: Sequence[Row], text: str) -> list[int]:
    if not text:
        return []
    found = [i for i, row in enumerate(places) if text in (row["model_args"] or row["model"] or "")]
    whole = re.compile(rf"(?<![a-zA-Z0-9]){re.escape(text)}(?![a-zA-Z0-9])")
    strict = [i for i in found if whole.search(places[i]["model_args"] or places[i]["model"] or "")]
    return strict or found


def _value(name: str, text: str, where: str) -> Any:
    if COLUMNS[name].dtype == pl.String:
        return text.strip()
    if name == "date" and (day := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text.strip())):
        return int(day[1]) + (int(day[2]) - 1) / 12 + (int(day[3]) - 1) / 365.25
    found = parse_quantity(text)
    if found is None:
        raise UserError(
            f"`{text}` is no number for `{name}`", where=where, wanted=COLUMNS[name].about, do="fix the cell"
        )
    return found


def _stages(places: Sequence[Row], came: Sequence[dict[str, tuple[str, str]]]) -> list[str]:
    found = sorted({row["variant"] for row, where in zip(places, came, strict=True) if "variant" in where})
    if not found:
        return []
    return [f"another stage of training is another run: {', '.join(found[:4])} is judged apart from the first stage"]


def _apart(places: Sequence[Row], came: Sequence[dict[str, tuple[str, str]]]) -> list[str]:
    """Models opened with different arguments that stand at one place become variants, the commonest arguments none."""
    at: dict[Any, list[int]] = {}
    for i, row in enumerate(places):
        if row["model_args"] is not None:
            at.setdefault(tuple(row[c] for c in ("series", "model", *AXES, "seed", "variant")), []).append(i)
    clash = {spot: rows for spot, rows in at.items() if len({places[i]["model_args"] for i in rows}) > 1}
    if not clash:
        return []
    notes = []
    for spot, rows in clash.items():
        opened = sorted({places[i]["model_args"] for i in rows})
        short = _differing(opened)
        usual = _usual(places, spot, opened)
        for i in rows:
            if places[i]["model_args"] != usual:
                places[i]["variant"] = ", ".join(filter(None, [spot[-1], short[places[i]["model_args"]]]))
                came[i]["variant"] = ("name", places[i]["model_args"])
        shown = ", ".join(f"`{short[o]}`" for o in opened[:3])
        placeless = all(value is None for value in spot[2 : 2 + len(AXES)])
        notes.append(
            f"{len(opened)} checkpoints of `{spot[1]}` could not be placed ({shown}{', …' * (len(opened) > 3)}): give "
            "their places with --coords FILE (columns source, step) or --pattern '…{step}…'"
            if placeless or len(opened) > 2
            else f"`{spot[1]}` was opened in {len(opened)} ways at one place ({shown}); they are kept apart as variants"
        )
    return notes[:5] + [f"{len(notes) - 5} more such models"] * (len(notes) > 5)


def _usual(places: Sequence[Row], spot: tuple[Any, ...], opened: Sequence[str]) -> str | None:
    """The arguments that the rest of the run was opened with, places in them aside; None where that does not decide."""
    rest = [r["model_args"] for r in places if (r["series"], r["model"]) == spot[:2] and r["model_args"]]
    bare = [re.sub(r"\d+", "#", text) for text in rest if text not in opened]
    counts = {one: bare.count(re.sub(r"\d+", "#", one)) for one in opened}
    best = max(counts.values())
    winners = [one for one, count in counts.items() if count == best]
    return winners[0] if best and len(winners) == 1 else None


def _differing(opened: Sequence[str]) -> dict[str, str]:
    """Text → the parts of it that not all have."""
    parts = {one: one.split(",") for one in opened}
    common = set.intersection(*(set(p) for p in parts.values()))
    return {one: ",".join(p for p in split if p not in common) or "without more" for one, split in parts.items()}


def _filled(table: pl.DataFrame, groups: pl.DataFrame, places: Sequence[Row]) -> pl.DataFrame:
    new = pl.DataFrame(
        {
            "_group": groups["_group"],
            **{
                f"_{c}": pl.Series([p[c] for p in places], dtype=COLUMNS[c].dtype, strict=False)
                for c in ("series", "model", *AXES, "seed", "variant")
            },
        }
    )
    joined = table.join(groups, on=list(_GROUP), how="left", nulls_equal=True, maintain_order="left")
    joined = joined.join(new, on="_group", how="left", maintain_order="left")
    names = [c.removeprefix("_") for c in new.columns if c != "_group"]
    return joined.with_columns(pl.col(f"_{c}").alias(c) for c in names).drop("_group", *(f"_{c}" for c in names))


def _account(places: Sequence[Row], came: Sequence[Mapping[str, tuple[str, str]]]) -> list[dict[str, Any]]:
    """One entry per file, field, value and origin, in the order they were met."""
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row, where in zip(places, came, strict=True):
        for name, (origin, text) in where.items():
            entry = {"source": row["source"], "field": name, "value": row[name], "from": origin, "text": text}
            out.setdefault(tuple(entry.values()), entry)
    return list(out.values())
