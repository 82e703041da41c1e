"""`jsonl:items.jsonl`: one question per line, the simplest way to ask saltus something of one's own.

A row: `{"question": "…", "choices": ["…", "…"], "answer": "…"}`, or without choices a target; see `rows.py`
and docs/add-a-task.md. The whole file is checked before anything is asked. Rows stay on disk, only where
each begins is kept, so a million rows cost some megabytes. The file must not change while it is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, overload

import numpy as np

from saltus.errors import UserError
from saltus.hashing import content_hash
from saltus.records import Item, Settings
from saltus.tasks import options
from saltus.tasks.answers import Reader, reader_of
from saltus.tasks.draws import LazyItems
from saltus.tasks.fields import Fields, fields_of
from saltus.tasks.framing import framing
from saltus.tasks.rendering import LETTERS, STYLES, is_cloze, is_glued
from saltus.tasks.rows import KINDS, kind_of, row_id, row_item
from saltus.tasks.text import FORMATS, Kind, TextTask

OPTIONS = (
    *("kind", "fields", "answers", "format", "style", "delimiter", "target_delimiter", "examples"),
    *("max_tokens", "stop", "extract", "normalise", "skill", "name", "licence"),
)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"`{word}` is no JSON")


_JSON = json.JSONDecoder(parse_constant=_no_number)


@dataclass
class Rows(Sequence[Item]):
    """The items of a JSONL file, read when looked at, each by its line's offset."""

    path: Path
    kind: Kind
    sha256: str
    offsets: array[int] = field(repr=False)
    """Byte offset of each row, then the file's size."""
    lines: array[int] = field(repr=False)
    """Line number of each row, from 1."""
    renamed: Mapping[int, str] = field(repr=False)
    """Row index → id, where rows without an id are equal to the last letter."""
    fields: Fields = field(default_factory=Fields, repr=False)
    """Which field holds what, and what was mapped."""
    clozes: int = 0
    """Rows whose question breaks off, for the answer to complete it."""
    glued: int = 0
    """Rows whose question ends in a sign that the answer follows without a space."""

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the file itself."""
        return read, (self.path, self.kind, Fields(self.fields.stated, self.fields.answers))

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            return LazyItems(lambda i: self[chosen[i]], len(chosen))
        index = range(len(self))[index]
        start, end = self.offsets[index], self.offsets[index + 1]
        where = f"{self.path.name}:{self.lines[index]}"
        row = _parsed(os.pread(self._file, end - start, start), where)
        id_ = self.renamed.get(index) or row_id(row, where)
        return row_item(self.fields.read(row, self.kind, where), self.kind, where, id_, self.fields)


def read(path: Path, kind: Kind | None = None, fields: Fields | None = None) -> Rows:
    """The items of a file, checked. kind: what every row is, where rows do not say. fields: which field holds what.

    Raises UserError for a missing or empty file, malformed JSON, a row without question or gold answer, a gold
    answer that is not among the choices, kinds that differ, or an id that stands twice.
    """
    if not path.is_file():
        raise UserError(
            f"there is no file `{path}`",
            wanted="a JSONL file of items",
            do="check the path; it starts from the study's folder",
        )
    offsets, lines, ids, stated = array("Q"), array("Q"), array("Q"), bytearray()
    digest, offset, clozes, glued, fields = hashlib.sha256(), 0, 0, 0, fields or Fields()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            digest.update(line)
            if line.strip():
                where = f"{path.name}:{number}"
                raw = _parsed(line, where)
                row = fields.read(raw, kind, where)
                kind = _same_kind(row, kind, where)
                item = row_item(row, kind, where, row_id(raw, where), fields)
                clozes += is_cloze(item)
                glued += is_glued(item)
                offsets.append(offset)
                lines.append(number)
                ids.append(_short(item.id))
                stated.append(raw.get("id") is not None)
            offset += len(line)
    if kind is None or not lines:
        raise UserError("the file has no rows", where=path.name, wanted="one JSON object per line")
    offsets.append(offset)
    rows = Rows(path, kind, f"sha256:{digest.hexdigest()}", offsets, lines, {}, fields, clozes, glued)
    rows.renamed = _renamed(rows, ids, stated)
    return rows


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = _JSON.decode(line.decode())
    except UnicodeDecodeError as error:
        raise UserError("the line is not UTF-8", where=where, do="save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"malformed JSON at column {error.colno}: {error.msg}", where=where, wanted="one JSON object per line"
        ) from error
    except ValueError as error:
        raise UserError(str(error), where=where, wanted="a number, or null where there is none") from error
    if b"\\u" in line:
        _whole_characters(row, where)
    if not isinstance(row, dict):
        raise UserError(
            f"the line holds {type(row).__name__}, no object", where=where, wanted='{"question": "…", "answer": "…"}'
        )
    return row


def _whole_characters(row: Any, where: str) -> None:
    """Half of a surrogate pair is no text: it can be neither hashed nor asked."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])[1:-1]
        raise UserError(
            f"half of a character: `{half}`",
            where=where,
            wanted="whole characters, as UTF-8 or as a pair of `\\u` escapes",
            do="write the file again from its source, or remove the character",
        ) from error


def _same_kind(row: Mapping[str, Any], kind: Kind | None, where: str) -> Kind:
    own = kind_of(row, where)
    if kind is None:
        return own
    if own != kind and (row.get("kind") is not None or "multiple_choice" in (own, kind)):
        raise UserError(
            f"this row is {own}, others are {kind}",
            where=where,
            wanted="one kind per file",
            do="split the file by kind",
        )
    return kind


def _short(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "big")


def _renamed(rows: Rows, ids: array[int], stated: bytearray) -> dict[int, str]:
    """Ids for rows that repeat an earlier one and state none; UserError where a stated id stands twice."""
    _, inverse, counts = np.unique(np.frombuffer(ids, np.uint64), return_inverse=True, return_counts=True)
    renamed: dict[int, str] = {}
    seen: dict[str, list[int]] = {}
    for index in np.flatnonzero(counts[inverse] > 1).tolist():
        id_ = rows[index].id
        earlier = seen.setdefault(id_, [])
        if earlier and (stated[index] or stated[earlier[0]]):
            raise UserError(
                f"the id `{id_}` stands twice, first in line {rows.lines[earlier[0]]}",
                where=f"{rows.path.name}:{rows.lines[index]}",
                wanted="one id per item",
                do="rename one, or leave ids out: they are made from the content",
            )
        if earlier:
            renamed[index] = f"{id_}-{len(earlier) + 1}"
        earlier.append(index)
    return renamed


def make(source: str | None = None, base: Path | None = None, **given: Any) -> TextTask:
    """`jsonl:FILE` with OPTIONS; see docs/add-a-task.md."""
    if not source:
        raise UserError("`jsonl` names no file", wanted="`jsonl:items.jsonl`")
    part = f"jsonl:{source}"
    options.refuse_unknown(part, given, OPTIONS)
    folder, stated, fields = base or Path(), given.get("kind"), fields_of(part, given)
    rows = read(folder / source, _kind(part, stated) if stated is not None else None, fields)
    format_ = options.one_of(part, "format", given.get("format", FORMATS[rows.kind][0]), FORMATS[rows.kind])
    if format_ == "letters":
        _refuse_many(rows)
    framed = framing(part, given, rows.kind, rows.clozes if format_ == "cloze" else 0, rows.glued)
    reader = _reader(part, given, rows.kind)
    asked = {"format": (format_, FORMATS[rows.kind][0]), **framed.shown, **_shown(reader)}
    examples = given.get("examples")
    return TextTask(
        name=str(given.get("name") or options.named(part, asked)),
        kind=rows.kind,
        format=format_,
        source=rows,
        style=STYLES[framed.style],
        cloze=STYLES["plain"] if framed.auto else None,
        delimiter=framed.delimiter,
        target_delimiter=framed.target_delimiter,
        glued=framed.glued,
        listed=format_ == "letters",
        skill=str(given.get("skill") or rows.path.stem),
        version=framed.version + (f".{content_hash(reader)[7:13]}" if reader else ""),
        reader=reader,
        notes=tuple(fields.seen),
        settings=Settings(
            max_tokens=options.whole(part, "max_tokens", given.get("max_tokens", 64), 1, 1 << 20),
            stop=options.texts(part, "stop", given.get("stop", ["\n"])),
        ),
        examples=read(folder / examples, rows.kind, fields) if examples else None,
        provenance={
            "source": source,
            "sha256": rows.sha256,
            "n": len(rows),
            "kind": rows.kind,
            "licence": given.get("licence"),
            "style": framed.style,
            "frame": framed.in_words(len(rows)),
            "fields": "; ".join(fields.seen),
            "examples": examples,
        },
    )


def _reader(part: str, given: Mapping[str, Any], kind: Kind) -> Reader | None:
    stated = [name for name in ("extract", "normalise") if given.get(name)]
    if stated and kind != "generate":
        raise UserError(
            f"`{stated[0]}` of `{part}` reads what a model writes, and here nothing is written: the kind is {kind}",
            wanted="items of the kind generate",
            do="--set kind=generate, or leave the option out",
        )
    return reader_of(part, given)


def _shown(reader: Reader | None) -> dict[str, tuple[Any, Any]]:
    """What of a reader stands in the task's name."""
    return {
        "extract": (reader and reader.extract, None),
        "normalise": ("+".join(reader.normalise) if reader else "", ""),
    }


def _kind(part: str, stated: Any) -> Kind:
    options.one_of(part, "kind", stated, KINDS)
    return kind_of({"kind": stated}, part)


def _refuse_many(rows: Rows) -> None:
    for item in rows:
        if len(item.choices) > len(LETTERS):
            raise UserError(
                f"{len(item.choices)} choices, and the format is letters",
                where=item.source or "",
                wanted="26 choices at most",
                do="use `format: cloze`",
            )
