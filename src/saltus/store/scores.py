"""Scores of stored answers, computed once per (segment, task version) and kept under `derived/`.

The scores of a done ask are a pure function of stored rows, so they can be kept for good: the name of a kept file
holds the hash of the asks it scores, of the task's name and version, and the version of this module. What a
scorer failed on is not kept. `derived/` may be deleted at any time; `rescore=True` leaves it aside.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from saltus.hashing import content_hash
from saltus.metrics import KNOWN
from saltus.records import Answer, Item, Score
from saltus.store import signs
from saltus.store.base import Segments
from saltus.store.contents import Contents, Segment, StoredFile
from saltus.store.rows import answers_from, item_from_json, version_of
from saltus.tasks.base import Task

SCORES_VERSION = 3
"""Changes whenever the rows below would."""

SCORE_SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "ask_id": pl.Binary,
    "place": pl.Int64,
    "metric": pl.String,
    "role": pl.String,
    "value": pl.Float64,
    "label": pl.String,
    "why_missing": pl.String,
    "why_no_soft": pl.String,
    "target_tokens": pl.Float64,
    "n_shot": pl.Int64,
    "parent_id": pl.String,
    "relation": pl.String,
    "group": pl.String,
    "difficulty": pl.Float64,
    "skill": pl.String,
    "format": pl.String,
    **signs.SIGNS,
}
"""`place` counts the rows of one ask; `label` holds what a scorer's detail says in words; such rows have no value."""

_KEPT_ITEMS = 50_000


@dataclass
class Scorer:
    """Scores the done asks of a store with the tasks given, file by file."""

    store: Segments
    found: Contents
    rescore: bool = False
    _items: dict[str, Item] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._kept = set() if self.rescore else set(self.store.place.names("derived"))

    def scores(self, models: Set[str], tasks: Sequence[Task]) -> pl.LazyFrame:
        """Score rows of all done asks of the models; an ask that stands in two segments comes twice."""
        names: list[str] = []
        frames = [pl.DataFrame(schema=SCORE_SCHEMA).lazy()]
        for segment in self.found.segments:
            if any(map(segment.holds, models)) and "asks" in segment.files:
                for task in tasks:
                    name = self._name(segment.files["asks"], task)
                    frame = None if name in self._kept else self._made(segment, task, name)
                    if frame is None:
                        names.append(name)
                    else:
                        frames.append(frame.lazy())
        if names:
            frames.append(self.store.place.scan(names))
        return pl.concat(frames)

    def items(self, hashes: Sequence[str], near: StoredFile | None = None) -> dict[str, Item]:
        """Stored items by content hash; near is a file that probably holds them."""
        have = {h: self._items[h] for h in hashes if h in self._items}
        files = self.found.files("items")
        files = [near, *files] if near is not None else files
        for file in files:
            missing = [h for h in hashes if h not in have]
            if not missing:
                break
            table = self.store.read(file, ["item_hash", "item"])
            hit = pc.is_in(table["item_hash"], value_set=pa.array(missing, pa.string()))
            columns = table.filter(hit).to_pydict()
            fresh = zip(columns["item_hash"], map(item_from_json, columns["item"]), strict=True)
            have.update(fresh)
        if len(self._items) < _KEPT_ITEMS:
            self._items.update(have)
        return have

    def _made(self, segment: Segment, task: Task, name: str) -> pl.DataFrame | None:
        """Scores a segment; None where the rows are kept under name from now on."""
        rows, failed = self._score(segment.files, task)
        frame = pl.DataFrame(rows, schema=SCORE_SCHEMA, orient="row")
        if failed or self.rescore:
            return frame
        sink = io.BytesIO()
        frame.write_parquet(sink)
        self.store.place.write(name, sink.getvalue())
        return None

    def _name(self, asks: StoredFile, task: Task) -> str:
        by = content_hash([task.name, version_of(task), SCORES_VERSION])[7:23]
        return f"derived/scores/{asks.sha256[7:39]}-{by}.parquet"

    def _score(self, files: Mapping[str, StoredFile], task: Task) -> tuple[list[tuple[Any, ...]], bool]:
        columns = ["model", "ask_id", "task", "state", "index", "item_hash", "keys"]
        table = self.store.read(files["asks"], columns)
        mine = pc.and_(pc.equal(table["task"], task.name), pc.equal(table["state"], "done"))
        asks = table.filter(mine).to_pydict()
        if not asks["ask_id"]:
            return [], False
        items = self.items(list(dict.fromkeys(asks["item_hash"])), files.get("items"))
        answers = self._answers(files.get("answers"), asks["model"], asks["keys"])
        rows: list[tuple[Any, ...]] = []
        failed = False
        for model, ask_id, index, digest, keys in zip(
            *(asks[c] for c in ("model", "ask_id", "index", "item_hash", "keys")), strict=True
        ):
            item, given = items.get(digest), [answers[k] for k in keys if k in answers]
            if item is None or len(given) < len(keys):
                scores, lost = (missing_rows(task.primary, "the item or an answer is not stored"), True)
            else:
                scores, lost = _scored(task, item, given)
            failed |= lost
            look = not lost and index < signs.LOOKED_AT
            tail = (*_facts(item, given), *_signs(task, item, given, scores, look))
            rows += [(model, ask_id, place, *row, *tail) for place, row in enumerate(scores)]
        return rows, failed

    def _answers(
        self, near: StoredFile | None, models: Sequence[str], keys: Sequence[Sequence[str]]
    ) -> dict[str, Answer]:
        """The asks' answers: most are in their own segment, the rest anywhere in their model's."""
        have: dict[str, Answer] = {}
        if near is not None:
            have = {a.key: a for a in answers_from(self.store.read(near)) if a.error is None}
        missing: dict[str, set[str]] = {}
        for model, some in zip(models, keys, strict=True):
            for key in some:
                if key not in have:
                    missing.setdefault(model, set()).add(key)
        for model, lost in missing.items():
            have |= self.store.fetch(model, lost)
        return have


Row = tuple[str, str | None, float | None, str | None, str | None, str | None]
"""metric, role, value, label, why_missing, why_no_soft"""


def _scored(task: Task, item: Item, answers: Sequence[Answer]) -> tuple[list[Row], bool]:
    """(rows, whether the scorer raised)."""
    try:
        return [row for score in task.score(item, answers) for row in _rows(score)], False
    except Exception as error:  # noqa: BLE001 — a plug-in's scorer must not end the table
        why = f"the scorer failed: {type(error).__name__}: {error}"
        return missing_rows(task.primary, why), True


def _rows(score: Score) -> Iterator[Row]:
    hard_why = score.why_no_hard or "the scorer gave none"
    yield (score.metric_hard, "hard", *_number(score.hard, hard_why), score.why_no_soft)
    if score.metric_soft is not None:
        why = score.why_no_soft or "the scorer gave none"
        yield (score.metric_soft, "soft", *_number(score.soft, why), None)
    for name, value in score.detail.items():
        role = KNOWN[name].role if name in KNOWN else None
        if isinstance(value, str):
            yield (name, role, None, value, "a word, not a number", None)
        else:
            yield (name, role, *_number(value, "the scorer gave none"), None)


def _number(value: float | None, why: str) -> tuple[float | None, None, str | None]:
    """(value, label, why_missing)."""
    if value is None:
        return None, None, why
    value = float(value)
    return (value, None, None) if math.isfinite(value) else (None, None, f"the score is {value}")


def missing_rows(primary: tuple[str, str | None], why: str) -> list[Row]:
    """What stands where scores should be: both primary metrics, without values."""
    hard, soft = primary
    rows: list[Row] = [(hard, "hard", None, None, why, None)]
    if soft is not None:
        rows.append((soft, "soft", None, None, why, None))
    return rows


def _facts(item: Item | None, answers: Sequence[Answer]) -> tuple[Any, ...]:
    if item is None:
        return (None,) * 8
    return (
        _target_tokens(item, answers),
        len(item.demos),
        item.parent_id,
        item.relation,
        item.group,
        item.difficulty,
        item.skill,
        item.format,
    )


def _signs(
    task: Task, item: Item | None, answers: Sequence[Answer], scores: Sequence[Row], look: bool
) -> tuple[Any, ...]:
    """As `signs` reads them; a task that cannot be asked again shows none about its prompts."""
    if item is None:
        return (*signs.NONE, None)
    seam = None
    if look:
        with contextlib.suppress(Exception):  # the scores stand, whatever a plug-in's task does here
            seam = signs.of_prompts(task, item, answers)
    return (*signs.of_answers(item, answers, scores[0][2] == 1.0), seam)


def _target_tokens(item: Item, answers: Sequence[Answer]) -> float | None:
    """Tokens of the right answer, where its log-likelihood was asked for."""
    asked = [a for a in answers if a.finish is None and a.token_logprobs]
    if len(asked) == 1:
        return float(len(asked[0].token_logprobs))
    if len(asked) == len(item.choices) and item.gold:
        return float(len(asked[item.gold[0]].token_logprobs))
    return None
