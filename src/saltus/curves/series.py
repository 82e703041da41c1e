"""Which rows belong together: series from key columns, runs from model names, skill and format from a mapping.

A series is the rows that agree in the key columns; a run is one training run in it, over all its checkpoints and seeds.
Known limit: checkpoints of one run are recognised by the name (`…-step1000`, `checkpoint-500`, or a name that
holds the row's own step); a run whose checkpoints have unrelated names is read as several models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from saltus.errors import UserError, nearest
from saltus.results.names import without
from saltus.results.table import COLUMNS

DEFAULT_KEYS = ("series", "variant", "n_shot")
FACTORS = ("skill", "format", "elicitation")


def with_factors(table: pl.DataFrame, factor: str | Mapping[str, str] | None) -> pl.DataFrame:
    r"""skill, format, elicitation from the named groups of a pattern: `task=(?P<skill>.*)_(?P<format>mc|rc)`.

    factor: "column=pattern", or column → pattern. Rows that do not match keep what they have. Raises UserError.
    """
    pairs = [tuple(factor.split("=", 1))] if isinstance(factor, str) else list((factor or {}).items())
    for pair in pairs:
        if len(pair) != 2 or pair[0] not in table.columns:
            raise UserError(
                f"factor `{'='.join(pair)}` names no column",
                wanted=nearest(pair[0], table.columns),
                do="write COLUMN=PATTERN, e.g. 'task=(?P<skill>.*)_(?P<format>mc|rc)'",
            )
        column, pattern = _compiled(*pair)
        values = table[column].unique().drop_nulls().cast(pl.String).to_list()
        matches = {v: m.groupdict() for v in values if (m := pattern.fullmatch(v))}
        if not matches:
            raise UserError(
                f"factor pattern `{pattern.pattern}` matches none of the {len(values)} values of `{column}`",
                wanted=f"a pattern for values like `{values[0] if values else ''}`",
            )
        for name in pattern.groupindex:
            found = {v: g[name] for v, g in matches.items() if g[name] is not None}
            table = table.with_columns(
                pl.col(column)
                .cast(pl.String)
                .replace_strict(found, default=None, return_dtype=pl.String)
                .fill_null(pl.col(name))
                .alias(name)
            )
    return table


def _compiled(column: str, text: str) -> tuple[str, re.Pattern[str]]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UserError(f"factor pattern `{text}`: {error}", do="fix the pattern") from error
    strange = set(pattern.groupindex) - set(FACTORS)
    if strange or not pattern.groupindex:
        raise UserError(
            f"factor pattern `{text}` names {', '.join(sorted(strange)) or 'no group'}",
            wanted="named groups: " + ", ".join(FACTORS),
        )
    return column, pattern


def with_series(table: pl.DataFrame, keys: Sequence[str] | None) -> pl.DataFrame:
    """The table with `series_label` and `run` (the training run in it). Raises UserError for unknown keys.

    Default keys that are empty, or constant within every task, are left out of grouping and label. skill, format and
    elicitation split a series wherever they vary within a task, or its curves would mix them.
    """
    chosen = [_canonical(k, table) for k in keys] if keys else _default_keys(table)
    chosen += [k for k in _varying(table, FACTORS) if k not in chosen]
    parts = [pl.col(k).cast(pl.String) for k in chosen]
    label = pl.concat_str(parts, separator="/", ignore_nulls=True) if parts else pl.lit("")
    table = table.with_columns(series_label=label)
    if not keys and "series" not in chosen:  # a lone family keeps its name
        name = pl.concat_str([pl.col("series").fill_null(""), label], separator="/")
        table = table.with_columns(series_label=name.str.strip_chars("/"))
    return table.with_columns(run=_runs(table))


def _canonical(key: str, table: pl.DataFrame) -> str:
    known = {alias: c.name for c in COLUMNS.values() for alias in (c.name, *c.also)}
    name = known.get(key.strip(), key.strip())
    if name not in table.columns:
        raise UserError(
            f"no column `{key}` to distinguish series by",
            where="--series",
            wanted=nearest(key, table.columns),
            do="name columns of the results, joined by commas",
        )
    return name


def _default_keys(table: pl.DataFrame) -> list[str]:
    keys = ["series"] if table["series"].n_unique() > 1 else []
    return keys + _varying(table, DEFAULT_KEYS[1:])


def _varying(table: pl.DataFrame, keys: Sequence[str]) -> list[str]:
    """The keys that take several values within a task and metric, empty counting as one."""
    per_task = table.select("task", "metric", *keys).unique().group_by("task", "metric").agg(pl.col(keys).n_unique())
    return [k for k in keys if (per_task[k] > 1).any()]


def _runs(table: pl.DataFrame) -> pl.Series:
    """The model's name without step and seed; where nothing is left of it, the series' own name."""
    names = table.select("model", "step", "series").unique()
    runs = []
    for model, step, series in names.iter_rows():
        name = without(model)
        if step is not None and name == model:
            own = rf"(?:^|(?<=[-_/@= ]))0*{int(step)}(?=$|[-_/@= ])"
            name = re.sub(own, "", model).strip("-_/@=. ") or series
        runs.append(name or series)
    names = names.with_columns(run=pl.Series(runs, dtype=pl.String))
    return table.select("model", "step", "series").join(
        names, on=["model", "step", "series"], how="left", nulls_equal=True, maintain_order="left"
    )["run"]
