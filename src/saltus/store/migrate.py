"""Rewrites a store of format 1 (saltus 0.1) as format 2, beside it; the old one is kept under another name.

What is rewritten: the logs (each line gets its own hash, times stay), answers (they say whose they are),
store.json. What stays as it was: every answer, item, ask, and their keys. Keys of format 1 were hashes over JSON, so
they cannot be recomputed from this release's contract, and a question that only shares its prompt with an old
one is asked again; questions that were asked are known. Identities of local models that this release computes
otherwise are found through `alias` lines when the model is next opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.store import events
from saltus.store.base import Segments
from saltus.store.contents import Contents, Segment, contents
from saltus.store.log import STAMP, LogReader, LogWriter
from saltus.store.rows import SCHEMAS
from saltus.store.upkeep import verify
from saltus.store.writer import put_table


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was rewritten."""

    segments: int
    answers: int
    kept: str
    """Where the old store lies now."""


def migrate(folder: Path) -> Migrated:
    """Rewrites the store in a folder. Raises UserError where it is no store of format 1, or a damaged one.

    A kill leaves the old store where it was, or under its new name with the rewritten one beside it; the same command
    goes on.
    """
    draft, kept = (folder.with_name(f"{folder.name}.{suffix}") for suffix in ("migrating", "format-1"))
    if not folder.exists() and kept.exists() and draft.exists():
        draft.rename(folder)  # the last step was all that was left
    old = Segments(folder)
    if not old.exists() or old.format != 1:
        raise UserError(
            "this is a store of format 2 already" if old.exists() else "there is no store",
            where=str(folder),
            wanted="a store that saltus 0.1 wrote",
        )
    damage = [p for p in verify(old) if p.severity == "damage"]
    if damage:
        raise UserError(
            f"{len(damage)} places are damaged, the first: {damage[0].where}: {damage[0].what}",
            where=str(folder),
            wanted="a whole store: what is copied must be what was written",
            do=f"saltus verify {folder} lists them; restore those files from a copy",
        )
    if kept.exists():
        raise UserError("an old copy is in the way", where=str(kept), do="move it elsewhere, then run this again")
    if draft.exists():
        shutil.rmtree(draft)
    done = _rewrite(old, Segments(draft), kept)
    folder.rename(kept)
    draft.rename(folder)
    return done


def _rewrite(old: Segments, new: Segments, kept: Path) -> Migrated:
    new.mark()
    lines, _ = LogReader(old.place).read()
    found = contents(lines)
    live = {_name(s): s for s in found.segments}
    logs: dict[str, LogWriter] = {}
    for line in lines:
        log = logs.setdefault(line.writer, LogWriter(new.place, line.writer))
        body = {k: v for k, v in line.body.items() if k not in STAMP}
        if line.kind not in ("segment", "compact"):
            log.append(line.kind, body, at=line.time)
            continue
        segment = live.get(_named(body))
        if segment is not None:
            files = {kind: _file(old, new, segment, kind) for kind in segment.files}
            rest = {k: v for k, v in body.items() if k not in ("files", "replaces")}
            log.append("segment", {**rest, "files": files}, at=line.time)
    events.append(
        new.place,
        "migrated",
        subject=str(kept.name),
        data={"from": 1, "to": 2, "heads": LogReader(old.place).heads(), "segments": len(live)},
    )
    return Migrated(len(live), _answers(found), str(kept))


def _file(old: Segments, new: Segments, segment: Segment, kind: str) -> dict[str, Any]:
    table = old.read(segment.files[kind])
    return put_table(new, segment.files[kind].name, table.cast(SCHEMAS[kind]))  # type: ignore[index]


def _name(segment: Segment) -> str:
    return min(file.name for file in segment.files.values())


def _named(body: Mapping[str, Any]) -> str:
    return min((file["name"] for file in body["files"].values()), default="")


def _answers(found: Contents) -> int:
    return sum(file.rows for file in found.files("answers"))
