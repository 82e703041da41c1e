"""The results table: one row per number, the only shape in which results, ours or anybody's, reach the statistics.

`COLUMNS` is the schema (names, types, meaning); `normalise` brings a table of other names and types into it, and
refuses with file, column and row what it cannot read. A number that cannot be used keeps its row: `value` is
null and `why_missing` says why. Columns that are not in the schema are kept, guards and `--factor` may read them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import polars as pl

from saltus.errors import UserError, nearest
from saltus.results.names import in_revision
from saltus.results.units import parse_quantity

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table. `also` are other names it is known by, all lower case."""

    name: str
    dtype: Any
    about: str
    also: tuple[str, ...] = ()


_TEXT, _NUMBER, _WHOLE = pl.String, pl.Float64, pl.Int64

COLUMNS: dict[str, Column] = {
    c.name: c
    for c in (
        Column("series", _TEXT, "Label of the series the model is a point of; the family's name where there is none."),
        Column(
            "family",
            _TEXT,
            "Family of the model, where results name one; a run in it is labelled family/model.",
            ("model_family",),
        ),
        Column("model", _TEXT, "Name of the model, without its training step.", ("model_name",)),
        Column("params", _NUMBER, "Parameters.", ("n_params", "parameters", "num_params", "size")),
        Column(
            "tokens",
            _NUMBER,
            "Training tokens seen; 0 is the untrained model.",
            ("train_tokens", "n_tokens", "tokens_seen", "training_tokens"),
        ),
        Column(
            "flops",
            _NUMBER,
            "Training compute in floating-point operations.",
            ("train_flops", "compute", "training_flops"),
        ),
        Column("step", _NUMBER, "Training step; 0 is the untrained model.", ("global_step", "train_step", "iteration")),
        Column("loss", _NUMBER, "Pre-training loss of the model, nats per token.", ("train_loss", "val_loss")),
        Column("date", _NUMBER, "Date of the model in years, 2023.5 for the middle of 2023."),
        Column("seed", _TEXT, "Training seed; seeds of a series belong to one finding.", ("train_seed",)),
        Column("repeat", _WHOLE, "Number of the repetition of the same question to the same model."),
        Column("task", _TEXT, "Name of the task.", ("benchmark", "task_name", "dataset")),
        Column("skill", _TEXT, "The skill the task needs, where format and elicitation are apart."),
        Column("format", _TEXT, "How the answer is asked for: cloze, letters, generate."),
        Column("elicitation", _TEXT, "How it is brought out: prompt style, chain of thought, instruction."),
        Column("condition", _TEXT, "Condition under which it was asked; null is baseline."),
        Column("condition_level", _TEXT, "Level of the condition."),
        Column("n_shot", _WHOLE, "Worked examples before the question.", ("num_fewshot", "n-shot", "shots", "nshot")),
        Column("edit", _TEXT, "Intervention on the network, such as zero(z.5.h3); null is the network as it is."),
        Column("environment", _TEXT, "Where it was asked: processor or card, and the software that computes."),
        Column("slice", _TEXT, "The part of the items the number is about; null is all."),
        Column("metric", _TEXT, "Name of the metric; see metrics.py.", ("metric_name",)),
        Column("role", _TEXT, "hard, soft or mechanism; null is looked up by the metric's name."),
        Column("value", _NUMBER, "The number, raw, in the metric's own range.", ("score", "metric_value", "result")),
        Column("stderr", _NUMBER, "Its standard error, in the same unit.", ("std_err", "standard_error", "se")),
        Column("n_items", _WHOLE, "Items behind it.", ("n", "n_samples", "num_items", "n_examples")),
        Column("target_tokens", _NUMBER, "Mean tokens of the right answer.", ("target_len", "target_length")),
        Column("floor", _NUMBER, "What an answerer without the skill scores, computed or declared."),
        Column("floor_stderr", _NUMBER, "Standard error of the floor."),
        Column("floor_source", _TEXT, "How the floor was computed."),
        Column("nominal_floor", _NUMBER, "1/k and the like.", ("chance_level", "chance", "random_baseline")),
        Column("higher_is_better", pl.Boolean, "Direction of a metric that metrics.py does not know."),
        Column("variant", _TEXT, "Run condition that must not be pooled with others."),
        Column("source", _TEXT, "Where the number comes from: file, page, study.", ("source_file",)),
        Column("item_id", _TEXT, "The item, in item-level rows; null in aggregated ones."),
        Column("parent_id", _TEXT, "The item it was made from."),
        Column("relation", _TEXT, "What it is to its parent: fresh, perturbed, identity-swap."),
        Column("group", _TEXT, "Items that share something: clustered errors, slices."),
        Column("difficulty", _NUMBER, "Difficulty of the item."),
        Column("rater", _TEXT, "Who judged, where judgement was needed."),
        Column("why_missing", _TEXT, "Why value is null; null where there is a value."),
    )
}

AXES = ("params", "tokens", "step", "flops", "loss", "date")
REQUIRED = ("task", "metric", "value")
IDENTITY = (
    "series",
    "model",
    "params",
    "tokens",
    "flops",
    "step",
    "loss",
    "date",
    "seed",
    "repeat",
    "task",
    "skill",
    "format",
    "elicitation",
    "condition",
    "condition_level",
    "n_shot",
    "edit",
    "slice",
    "metric",
    "variant",
    "item_id",
    "rater",
)
"""Two rows that agree in these are two readings of one number."""

EVIDENCE: tuple[str, ...] = ("dtype", "prompt_hash", "prompt_text", "task_version", "filter", "template", "harness")
EVIDENCE += ("transformers", "item_set", "bos", "n_shot", "weights_hash", "tokenizer", "trainer_step", "held_targets")
"""Columns that say how a number was made, and of what. Read by guards where they are there."""
SHARES = ("truncated", "off_menu", "cut_answers", "tied_choices", "zero_likelihoods", "changed_answers")
"""Shares of answers that went wrong (or yes and no, item by item), read by guards where they are there."""
WORDS = ("white_space",)
"""What most items say that were looked at; "" is nothing wrong."""

WEAK = {
    "trainer/global_step": "step",
    "_step": "step",
    "checkpoint": "step",
    "ckpt": "step",
    "iter": "step",
    "training_step": "step",
    "steps": "step",
    "tasks": "task",
    "subtask": "task",
    "eval_name": "model",
    "run_name": "model",
    "name": "model",
    "run": "model",
    "checkpoint_name": "model",
    "data": "series",
    "recipe": "series",
    "experiment": "series",
    "fewshot": "n_shot",
    "few_shot": "n_shot",
    "number_few_shot": "n_shot",
    "num_shots": "n_shot",
    "pretrain_tokens": "tokens",
    "num_tokens": "tokens",
    "train/num_tokens": "tokens",
    "consumed_tokens": "tokens",
    "total_tokens": "tokens",
    "train/loss": "loss",
    "total_params": "params",
    "model_size": "params",
    "n_parameters": "params",
}
"""Names that mean a column only where no other column does, in this order."""
UNITS = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "millions": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9}
UNITS |= {"billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12}
_UNIT = re.compile(r"[(\[]\s*([a-z]+)\s*[)\]]\s*$", re.IGNORECASE)

_ABSENT = ("", "n/a", "na", "nan", "none", "null", "-")


def schema() -> dict[str, Any]:
    """Column → polars type, in order."""
    return {c.name: c.dtype for c in COLUMNS.values()}


def column_mapping(columns: list[str], rename: Mapping[str, str], where: str) -> dict[str, str]:
    """Found name → canonical name, for the columns that have one. rename is found → canonical and wins.

    Raises UserError where rename names what is not there, or two columns mean the same.
    """
    for found, canonical in rename.items():
        if found not in columns:
            raise UserError(f"no column `{found}`", where=where, wanted=nearest(found, columns), do="fix the renaming")
        if canonical not in COLUMNS:
            raise UserError(f"`{found}` cannot become `{canonical}`", where=where, wanted=nearest(canonical, COLUMNS))
    mapping: dict[str, str] = {}
    for found in columns:
        canonical = rename.get(found) or _meant(found)
        if not canonical or (found not in rename and canonical in rename.values()):
            continue
        twice = next((f for f, c in mapping.items() if c == canonical), None)
        if twice is not None and found != canonical and twice != canonical:
            raise UserError(
                f"columns `{twice}` and `{found}` both mean `{canonical}`",
                where=where,
                do=f"drop one of them, or choose one: --rename {shlex.quote(f'{found}={canonical}')}",
            )
        if twice is not None and found != canonical:
            continue  # the column with the canonical name itself wins
        mapping.pop(twice or "", None)
        mapping[found] = canonical
    by_name = {_plain(c): c for c in reversed(columns)}
    for alias, canonical in WEAK.items():
        weak = by_name.get(alias)
        if weak and weak not in mapping and canonical not in mapping.values() and canonical not in rename.values():
            mapping[weak] = canonical
    return mapping


def _meant(found: str) -> str:
    """The column a header means: `Params`, `#Params (B)` and `N-shot` are params and n_shot; "" for no known one."""
    known = {alias: c.name for c in COLUMNS.values() for alias in (c.name, *c.also)}
    return known.get(found.strip().lower()) or known.get(_plain(found), "")


def _plain(header: str) -> str:
    """The header in small letters, without unit and ornament; words joined by underscores."""
    bare = _UNIT.sub("", header).strip().lower()
    return re.sub(r"[\s-]+", "_", re.sub(r"[^\w\s/.-]", "", bare).strip())


def unit_of(header: str) -> float | None:
    """What numbers under the header are multiplied with: `#Params (B)` → 1e9; None without a unit of quantity."""
    match = _UNIT.search(header)
    return UNITS.get(match[1].lower()) if match and _meant(header) in ("params", "tokens", "step", "flops") else None


def normalise(
    frame: pl.DataFrame, where: str, rename: Mapping[str, str] | None = None, *, placed: bool = True
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The frame in canonical names and types, and the mapping used; unknown columns follow the known ones.

    Every schema column is there afterwards, null where the input has none. Values are not judged here: see
    `cleaning.clean`. placed: some model has to have a place on some axis. Raises UserError with file, column and row.
    """
    mapping = column_mapping(frame.columns, rename or {}, where)
    missing = [c for c in REQUIRED if c not in mapping.values()]
    if missing:
        raise UserError(
            f"no column for {' or '.join(f'`{m}`' for m in missing)}; the columns are {', '.join(frame.columns)}",
            where=where,
            wanted="columns task, metric, value, model or series, and one of " + ", ".join(AXES),
            do=_remedy(frame, mapping, missing),
        )
    extra = [c for c in frame.columns if c not in mapping and c not in COLUMNS]
    chosen = frame.select([pl.col(f).alias(c) for f, c in mapping.items()] + [pl.col(e) for e in extra])
    casted = [_cast(chosen, COLUMNS[c], f"{where}, column `{f}`") for f, c in mapping.items()]
    absent = [pl.lit(None, dtype=c.dtype).alias(c.name) for c in COLUMNS.values() if c.name not in mapping.values()]
    table = chosen.with_columns(casted).with_columns(absent).select([*COLUMNS, *extra])
    if placed:
        require_axis(table, where)
    return table, mapping


def require_axis(table: pl.DataFrame, where: str, notes: Sequence[str] = ()) -> None:
    """Raises UserError where no row says how large or how far trained its model is. notes: what was set aside."""
    if table.height and all(table[a].null_count() == table.height for a in AXES):
        alias = {also: c for c in AXES for also in (c, *COLUMNS[c].also)}
        near = {c: get_close_matches(c.lower(), alias, n=1) for c in table.columns if c not in COLUMNS}
        hint = next((f"--rename {c}={alias[n[0]]}, or " for c, n in near.items() if n), "")
        raise UserError(
            "; ".join(["no model has a place on any axis", *notes[:2]]),
            where=where,
            wanted="numbers in one of " + ", ".join(AXES),
            do=f"{hint}add a column, e.g. params or tokens, to the results",
        )


def _remedy(frame: pl.DataFrame, mapping: Mapping[str, str], missing: Sequence[str]) -> str:
    """What to type where columns are missing: one option, quoted for the shell."""
    if list(missing) == ["metric"]:
        return "--metric acc where it is accuracy, else another metric's name"
    free = [c for c in frame.columns if c not in mapping]
    numeric = [c for c in free if frame[c].dtype.is_numeric()]
    if {"task", "value"} <= set(missing) and numeric:
        return f"--wide acc where columns such as {', '.join(numeric[:3])} are tasks and hold accuracies"
    column = shlex.quote(f"{(numeric if missing[0] == 'value' and numeric else free or ['COLUMN'])[0]}={missing[0]}")
    return f"--rename {column} if that column holds it, else name the one that does"


def _cast(frame: pl.DataFrame, column: Column, where: str) -> pl.Series:
    """The column in its type. Text that stands for nothing is null; anything else that does not fit is refused."""
    series = frame[column.name]
    if column.name == "date":
        series = _years(series)
    if series.dtype == column.dtype:
        return _blank_to_null(series) if column.dtype == pl.String else series
    if column.dtype == pl.String:
        whole = series.dtype.is_float() and (series.drop_nulls() == series.drop_nulls().floor()).all()
        text = series.cast(pl.Int64, strict=False) if whole else series
        return _blank_to_null(text.cast(pl.String, strict=False))
    if series.dtype == pl.String:
        blank = series.str.strip_chars().str.to_lowercase().is_in(_ABSENT)
        out = (
            _read_text(series, column)
            .to_frame()
            .select(pl.when(~pl.lit(blank)).then(pl.col(column.name)).alias(column.name))[column.name]
        )
        _refuse_first(series, series.is_not_null() & ~blank & out.is_null(), column, where)
        if column.name == "value":  # NaN in text is a reading that failed, not an empty cell
            nan = series.str.strip_chars().str.to_lowercase() == "nan"
            out = out.set(nan.fill_null(False), float("nan"))
        return out
    if column.dtype == pl.Int64 and series.dtype.is_float():
        series = series.fill_nan(None)
        _refuse_first(series, (series != series.round()).fill_null(False), column, where)
    out = series.cast(column.dtype, strict=False)
    _refuse_first(series, series.is_not_null() & out.is_null(), column, where)
    return out


def _years(series: pl.Series) -> pl.Series:
    """Dates as years; text that is no date stays as it is, to be read as a number or refused with its row."""

    def years(day: pl.Expr) -> pl.Expr:
        return day.dt.year() + (day.dt.ordinal_day() - 1) / 365.25

    if series.dtype.is_temporal():
        return pl.select(years(pl.lit(series.cast(pl.Date))).alias(series.name)).to_series()
    if series.dtype != pl.String:
        return series
    day = pl.lit(series).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    text = pl.coalesce(years(day).cast(pl.String), pl.lit(series))
    return pl.select(text.alias(series.name)).to_series()


def _read_text(series: pl.Series, column: Column) -> pl.Series:
    text, dtype = series.str.strip_chars(), column.dtype
    if dtype == pl.Boolean:
        low = text.str.to_lowercase()
        true, false = low.is_in(["true", "1", "yes"]), low.is_in(["false", "0", "no"])
        return pl.select(pl.when(pl.lit(true)).then(True).when(pl.lit(false)).then(False).alias(series.name))[
            series.name
        ]
    number = text.cast(pl.Float64, strict=False)
    if number.null_count() > text.null_count():
        words = text.filter(number.is_null() & text.is_not_null()).unique().to_list()
        read = {w: parse_quantity(w) for w in words}
        if column.name in ("step", "tokens"):  # `step1000`, `300B tokens`
            read = {w: getattr(in_revision(w), column.name) if v is None else v for w, v in read.items()}
        number = number.fill_null(text.replace_strict(read, default=None, return_dtype=pl.Float64))
    return number.cast(dtype, strict=False) if dtype != pl.Float64 else number


def _blank_to_null(series: pl.Series) -> pl.Series:
    return series.set(series.str.strip_chars().str.len_chars().eq(0).fill_null(False), None)


def _refuse_first(series: pl.Series, bad: pl.Series, column: Column, where: str) -> None:
    """where: file and column."""
    if not bad.any():
        return
    row = int(bad.arg_max() or 0)
    raise UserError(
        f"`{series[row]}` is not {'a whole number' if column.dtype == pl.Int64 else 'a number'}"
        f" ({int(bad.sum())} such cells)",
        where=f"{where}, row {row + 1}",
        wanted=column.about,
        do="fix the cell, or leave it empty where the number is not known",
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of one row, as shipped in `schemas/table.schema.json`."""
    kinds = {_TEXT: "string", _NUMBER: "number", _WHOLE: "integer", pl.Boolean: "boolean"}
    properties = {
        c.name: {
            "description": c.about + (f" Also read: {', '.join(c.also)}." if c.also else ""),
            "type": kinds[c.dtype] if c.name in ("task", "metric") else [kinds[c.dtype], "null"],
        }
        for c in COLUMNS.values()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "saltus results table, one row",
        "description": "One row per number; item-level rows have item_id. A row without value says why.",
        "version": SCHEMA_VERSION,
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "if": {"properties": {"value": {"type": "null"}}},
        "then": {"required": ["why_missing"], "properties": {"why_missing": {"type": "string"}}},
        "additionalProperties": True,
    }
