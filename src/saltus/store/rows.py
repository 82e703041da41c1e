"""The three kinds of stored rows, and how records become rows and come back.

`items` one question as asked (content-addressed, shared by all models), `asks` one row per model × task × condition
× repeat × item with the keys of its answers in order, `answers` what came back, with the identity of who gave it.
Records go to JSON without loss, but tuples inside `Item.meta` come back as lists and whole numbers beyond 2⁵³ as text:
tasks must not tell them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from saltus import plugins
from saltus.hashing import canonical
from saltus.records import Answer, Item
from saltus.tasks.base import Task

Kind = Literal["items", "asks", "answers"]
State = Literal["done", "failed", "refused"]

SCHEMAS: dict[Kind, pa.Schema] = {
    "items": pa.schema({"item_hash": pa.string(), "item_id": pa.string(), "item": pa.string()}),
    "asks": pa.schema(
        {
            "model": pa.string(),
            "ask_id": pa.binary(16),
            "task": pa.string(),
            "task_version": pa.string(),
            "condition": pa.string(),
            "repeat": pa.int32(),
            "study_seed": pa.int64(),
            "index": pa.int64(),
            "item_id": pa.string(),
            "item_hash": pa.string(),
            "keys": pa.list_(pa.string()),
            "state": pa.string(),
            "why": pa.string(),
            "time": pa.float64(),
        }
    ),
    "answers": pa.schema(
        {
            "identity": pa.string(),
            "key": pa.string(),
            "text": pa.string(),
            "token_ids": pa.list_(pa.int32()),
            "token_logprobs": pa.list_(pa.float64()),
            "token_ranks": pa.list_(pa.int32()),
            "greedy": pa.bool_(),
            "trace": pa.string(),
            "finish": pa.string(),
            "observed": pa.string(),
            "error": pa.string(),
            "tokens_in": pa.int64(),
            "tokens_out": pa.int64(),
            "seconds": pa.float64(),
        }
    ),
}


@dataclass(frozen=True, slots=True)
class AskRow:
    """One question put to one model: which, and where its answers are."""

    model: str
    """Identity."""
    ask_id: bytes
    """16 bytes over everything below that is known before asking, the model apart, and the first requests."""
    task: str
    task_version: str
    condition: str
    repeat: int
    study_seed: int
    index: int
    """Place of the item in the task's sequence, so that a smaller limit selects."""
    item_id: str
    item_hash: str | None
    """None where a condition refused the item."""
    keys: tuple[str, ...]
    state: State
    why: str | None
    """Reason of a failure or a refusal."""
    time: float
    """Seconds since 1970."""


def version_of(task: Task) -> str:
    """The task's version, with the start of its data's hash where its provenance states one (`sha256`), else of the
    Python file it is made from, so that scores of a file that was edited are not those of the old one."""
    digest = str(task.provenance.get("sha256") or plugins.file_of(task) or "")
    return f"{task.version}+{digest[-64:][:12]}" if digest else task.version


def to_table(kind: Kind, rows: Sequence[Any]) -> pa.Table:
    """Rows (tuples for items, AskRow, (identity, Answer)) as an Arrow table of the kind's schema."""
    schema = SCHEMAS[kind]
    if kind == "items":
        columns: Iterable[Any] = zip(*rows, strict=True)
    elif kind == "answers":
        names = schema.names[1:]
        columns = [[i for i, _ in rows], *([getattr(a, name) for _, a in rows] for name in names)]
    else:
        columns = ([getattr(row, name) for row in rows] for name in schema.names)
    arrays = [_array(list(c), f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has no bytes for
        clean = [v if v is None else _encodable(v) for v in values]
        return pa.array(clean, kind)


def _encodable(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def answers_from(table: pa.Table) -> Iterator[Answer]:
    """The Answers of a table of the `answers` schema, in order."""
    frame = pl.from_arrow(table.select(_ANSWER_FIELDS))
    assert isinstance(frame, pl.DataFrame)
    for key, text, ids, logprobs, ranks, *rest in frame.iter_rows():
        lists = (tuple(ids or ()), tuple(logprobs or ()), tuple(ranks or ()))
        yield Answer(**dict(zip(_ANSWER_FIELDS, (key, text, *lists, *rest), strict=True)))


_ANSWER_FIELDS = SCHEMAS["answers"].names[1:]


def item_json(item: Item) -> bytes:
    """Canonical JSON of an item: what its hash is taken over. Raises ValueError for text with lone surrogates."""
    return canonical(item)


def item_from_json(text: str) -> Item:
    """The item back, demonstrations included."""
    return _item(json.loads(text))


def _item(data: dict[str, Any]) -> Item:
    for name in _TUPLES & data.keys():
        data[name] = tuple(data[name])
    if "demos" in data:
        data["demos"] = tuple(_item(demo) for demo in data["demos"])
    if isinstance(data.get("target"), list):
        data["target"] = tuple(data["target"])
    if data.get("difficulty") is not None:
        data["difficulty"] = float(data["difficulty"])
    return Item(**data)


_TUPLES = frozenset({"choices", "gold", "images"}) & {f.name for f in fields(Item)}
