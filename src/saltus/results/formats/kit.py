"""What readers of published results share: the columns they fill, twins of one item, versions.

Where a model stands is read in `results.placing`. Known limit: a seed in a file is a training seed only where the file
says so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError
from saltus.records import Answer, Item
from saltus.results.formats.base import Read
from saltus.results.placing import Row
from saltus.results.units import parse_quantity
from saltus.scoring import choice_scores, edit_similarity

ROWS: dict[str, Any] = {
    "series": pl.String,
    "family": pl.String,
    "model": pl.String,
    "params": pl.Float64,
    "tokens": pl.Float64,
    "flops": pl.Float64,
    "step": pl.Float64,
    "loss": pl.Float64,
    "seed": pl.String,
    "repeat": pl.Int64,
    "task": pl.String,
    "skill": pl.String,
    "format": pl.String,
    "elicitation": pl.String,
    "condition": pl.String,
    "condition_level": pl.String,
    "n_shot": pl.Int64,
    "slice": pl.String,
    "metric": pl.String,
    "role": pl.String,
    "value": pl.Float64,
    "stderr": pl.Float64,
    "n_items": pl.Int64,
    "floor": pl.Float64,
    "floor_stderr": pl.Float64,
    "floor_source": pl.String,
    "nominal_floor": pl.Float64,
    "target_tokens": pl.Float64,
    "higher_is_better": pl.Boolean,
    "variant": pl.String,
    "source": pl.String,
    "item_id": pl.String,
    "parent_id": pl.String,
    "relation": pl.String,
    "group": pl.String,
    "difficulty": pl.Float64,
    "why_missing": pl.String,
    "dtype": pl.String,
    "task_version": pl.String,
    "asked_on": pl.String,
    "limit": pl.Float64,
    "prompt_hash": pl.String,
    "prompt_text": pl.String,
    "filter": pl.String,
    "template": pl.String,
    "bos": pl.String,
    "harness": pl.String,
    "transformers": pl.String,
    "named": pl.String,
    "model_args": pl.String,
    "low": pl.Float64,
    "high": pl.Float64,
    "truncated": pl.Float64,
}
LONGEST = 400
"""Characters of a written answer compared with its target; answers may run on for thousands."""
_MISSHAPEN = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, pl.exceptions.PolarsError)
_SAME_THING = ("task", "condition", "slice", "n_shot", "elicitation", "metric")


def refusing(what: str) -> Callable[[Callable[[Path], Read]], Callable[[Path], Read]]:
    """A reader that says UserError where a file is not shaped as its format wants, whichever part that is."""

    def wrap(reader: Callable[[Path], Read]) -> Callable[[Path], Read]:
        @functools.wraps(reader)
        def read(path: Path) -> Read:
            try:
                return reader(path)
            except _MISSHAPEN as error:
                raise UserError(
                    f"not shaped as {what}: {type(error).__name__}: {error}",
                    where=str(path),
                    wanted=f"{what} as the tool writes it",
                    do="copy it again, update saltus if the tool is newer, or leave it out",
                ) from error

        return read

    return wrap


def frame(rows: Sequence[Row], model: Row, source: Path) -> pl.DataFrame:
    """The rows with what is known of their model, in the columns of ROWS."""
    whole = [{**model, **r, "source": str(source)} for r in rows]
    return pl.DataFrame(whole, schema=ROWS, strict=False)


def number(value: Any) -> float | None:
    """A number, or a text that is one (`160M`); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return parse_quantity(value)


def whole(value: Any) -> int | None:
    """The number where it is a whole one."""
    read = number(value)
    return int(read) if read is not None and read.is_integer() else None


def text(value: Any) -> str | None:
    """The value as text; None where there is none."""
    return None if value in (None, "") else str(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: optional parts of published files come in any shape."""
    return value if isinstance(value, Mapping) else {}


def items_over_aggregates(rows: Sequence[Row], items: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The aggregates whose items are not known, and a note for each that its items contradict by more than 1e-6."""
    values: dict[tuple[Any, ...], list[float]] = {}
    for item in items:
        if item.get("value") is not None:
            values.setdefault(_same(item), []).append(item["value"])
    kept, notes = [], []
    for row in rows:
        known = values.get(_same(row))
        if known is None:
            kept.append(row)
            continue
        mean = math.fsum(known) / len(known)
        if row["value"] is not None and abs(mean - row["value"]) > 1e-6:
            notes.append(
                f"`{row['metric']}` of {row['task']} is {row['value']:.6g} in the results and {mean:.6g} over its"
                f" {len(known)} samples; the samples are used"
            )
    return kept, notes


def _same(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(c) for c in _SAME_THING)


def choice_twins(totals: Sequence[float], gold: Sequence[int]) -> Iterator[tuple[str, float]]:
    """(metric, value) of a multiple choice from the log-likelihoods of its choices, in nats."""
    item = Item(id="", choices=tuple(map(str, range(len(totals)))), gold=tuple(gold))
    score = choice_scores(item, [Answer(key="", token_logprobs=(t,)) for t in totals])[0]
    if score.hard is None or score.soft is None:
        return
    yield "acc", score.hard
    yield "gold_logprob", score.soft
    yield "choice_prob", float(score.detail["choice_prob"])  # type: ignore[arg-type]
    yield "brier", float(score.detail["brier"])  # type: ignore[arg-type]


def text_twins(answer: str, targets: Sequence[str]) -> Iterator[tuple[str, float]]:
    """(metric, value) of a written answer: without white space, and with partial credit; nothing without targets."""
    wanted = [w for t in targets if (w := " ".join(t.split()))]
    if wanted:
        plain = " ".join(answer[:LONGEST].split())
        yield "exact_match_stripped", float(plain in wanted)
        yield "edit_similarity", max(edit_similarity(plain, w[:LONGEST]) for w in wanted)


def version_notes(
    what: str, found: Any, *, known: tuple[int, ...], oldest: tuple[int, ...], where: Path, do: str
) -> list[str]:
    """Nothing for the known version, a note for a newer or older minor one. Raises UserError for another major one."""
    parts = str(found).split(".")
    version = tuple(int(p) for p in parts if p.isdigit())
    shown = ".".join(map(str, known))
    if not version or version < oldest or version[0] > known[0]:
        raise UserError(f"{what} of version `{found}`", where=str(where), wanted=f"version {shown}", do=do)
    if version[: len(known)] == known:
        return []
    age = "newer" if version > known else "older"
    return [f"{what} of version {found}, {age} than the {shown} known here; read as that"]
