"""Looking after a store: does it still say what was written, and can it be smaller?"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from saltus.hashing import content_hash, former_hash
from saltus.store import events
from saltus.store.base import Segments
from saltus.store.contents import Contents, Segment, StoredFile, contents
from saltus.store.digests import Digests, key_digest
from saltus.store.log import LogReader, LogWriter
from saltus.store.rows import SCHEMAS, item_from_json
from saltus.store.signs import count_changed
from saltus.store.writer import put_table


@dataclass(frozen=True, slots=True)
class Problem:
    """Something `verify` found."""

    where: str
    what: str
    severity: Literal["damage", "stray", "torn"] = "damage"
    """damage: stored data is not what the log says. stray, torn: leftovers of a kill; nothing is lost."""


def verify(store: Segments) -> list[Problem]:
    """Every chain, file, row count and item hash, and whether every ask has its item and answers."""
    lines, breaks = LogReader(store.place).read()
    found = contents(lines)
    breaks += events.verify(store.place)
    problems = [Problem(b.where, b.what, "torn" if b.torn else "damage") for b in breaks]
    sound: dict[str, pa.Table] = {}
    items = bytearray()
    for model in sorted({s.model for s in found.segments}):
        for kind in ("items", "asks", "answers"):
            for file in found.files(kind, model):
                table, wrong = _sound(store, file)
                problems += wrong
                if table is not None and kind == "items":
                    problems += _items(file, table)
                    items += b"".join(key_digest(h) for h in table["item_hash"].to_pylist())
                elif table is not None:
                    sound[file.name] = table.select(_LINKS[kind])
    present = Digests(items)
    for model in sorted({s.model for s in found.segments}):
        problems += _links(found, model, sound, present)
    return problems + [Problem(name, "no log names it", "stray") for name in strays(store)]


_LINKS = {"asks": ["keys", "state", "item_hash"], "answers": ["key", "error"]}


def strays(store: Segments) -> list[str]:
    """Files under segments/ that no log names: left by a kill, or in flight right now."""
    names = store.place.names("segments")  # before the logs: what is committed meanwhile is no stray
    found = store.contents()
    live = {file.name for segment in found.segments for file in segment.files.values()}
    return [name for name in names if name not in live]


def compact(store: Segments, *, stray_after: float = 3600.0) -> int:
    """One segment per model; failures that were made good and scores of old segments go, the log keeps its history.

    Returns the number of files removed. Strays younger than `stray_after` seconds may be another writer's segment in
    flight and stay. Others may write meanwhile; a table being read at that moment has to be read again.
    """
    store.mark()
    found = store.contents()
    log = LogWriter(store.place)
    removed = 0
    for model in sorted({s.model for s in found.segments}):
        segments = [s for s in found.segments if s.model == model]
        if len(segments) > 1:
            removed += _merge(store, log, model, segments)
    for name in strays(store):
        age = store.place.age(name)
        if age is not None and age >= stray_after:
            store.place.remove(name)
            removed += 1
    return removed + _drop_orphaned_scores(store)


def _drop_orphaned_scores(store: Segments) -> int:
    """Takes away kept scores of segments that are no more."""
    live = {file.sha256[7:39] for file in store.contents().files("asks")}
    names = store.place.names("derived/scores")
    orphans = [n for n in names if n.rsplit("/", 1)[-1].split("-")[0] not in live]
    for name in orphans:
        store.place.remove(name)
    return len(orphans)


def _merge(store: Segments, log: LogWriter, model: str, segments: list[Segment]) -> int:
    """Writes the merged files, commits them, then removes what they replace."""
    folder = f"segments/{model.removeprefix('sha256:')[:16]}/{log.name}-compact"
    files, changed = {}, sum(s.changed for s in segments)
    for kind, schema in SCHEMAS.items():
        parts = [store.read(s.files[kind]) for s in segments if kind in s.files]
        if parts and kind == "answers":
            changed += count_changed(pl.concat([pl.DataFrame(p) for p in parts]).lazy())
        if parts:
            merged = _settled(kind, pa.concat_tables(parts)).cast(schema)
            files[kind] = put_table(store, f"{folder}.{kind}.parquet", merged)
    old = [file.name for s in segments for file in s.files.values()]
    speed = {"tokens": sum(s.tokens for s in segments), "seconds": sum(s.seconds for s in segments), "changed": changed}
    inside = sorted({i for s in segments for i in s.models})
    more = {"models": inside} if inside else {}
    log.append("compact", {"model": model, "files": files, "replaces": old, **more, **speed})
    for name in old:
        store.place.remove(name)
    return len(old)


def _settled(kind: str, table: pa.Table) -> pa.Table:
    """Each item, ask and answer once; a failure only where nothing better is known."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    if kind == "items":
        frame = frame.unique("item_hash", keep="first", maintain_order=True)
    elif kind == "answers":
        frame = _best(frame, "key", pl.col("error").is_not_null())
    else:
        frame = _best(frame, ["model", "ask_id"], pl.col("state") == "failed")
    return frame.to_arrow()


def _best(frame: pl.DataFrame, by: str | list[str], failed: pl.Expr) -> pl.DataFrame:
    ranked = frame.with_row_index("_row").with_columns(_failed=failed)
    ranked = ranked.sort(["_failed", "_row"], descending=[False, True])
    return ranked.unique(by, keep="first").sort("_row").drop("_row", "_failed")


def _sound(store: Segments, file: StoredFile) -> tuple[pa.Table | None, list[Problem]]:
    try:
        data = store.place.read(file.name)
    except FileNotFoundError:
        return None, [Problem(file.name, "missing")]
    found = "sha256:" + hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        return None, [Problem(file.name, f"its hash is {found}, the log says {file.sha256}")]
    return pq.read_table(io.BytesIO(data)), []


def _items(file: StoredFile, table: pa.Table) -> Iterator[Problem]:
    for row in table.to_pylist():
        item = item_from_json(row["item"])
        if row["item_hash"] not in (content_hash(item), former_hash(item)):
            yield Problem(f"{file.name} item {row['item_id']}", "its content has another hash")


def _links(found: Contents, model: str, sound: dict[str, pa.Table], items: Digests) -> Iterator[Problem]:
    """Asks whose item or answers are not there."""
    keys = bytearray()
    for file in found.files("answers", model):
        if file.name in sound:
            table = sound[file.name].to_pydict()
            rows = zip(table["key"], table["error"], strict=True)
            keys += b"".join(key_digest(key) for key, error in rows if error is None)
    answered = Digests(keys)
    for file in found.files("asks", model):
        if file.name not in sound:
            continue
        asks = sound[file.name].to_pydict()
        done = (k for k, s in zip(asks["keys"], asks["state"], strict=True) if s == "done")
        wanted = [key_digest(key) for some in done for key in some]
        lost = answered.holds(wanted).count(False)
        hashes = [key_digest(h) for h in asks["item_hash"] if h is not None]
        homeless = items.holds(hashes).count(False)
        if lost:
            yield Problem(file.name, f"{lost} answers that its asks name are not there")
        if homeless:
            yield Problem(file.name, f"{homeless} items that its asks name are not there")
