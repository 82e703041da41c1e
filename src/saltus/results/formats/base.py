"""What a results format is: it recognises a file by what it holds, reads it, and names the files that belong to it.

A stranger's format is one file: `saltus analyze FILES --format file:mine.py`, or an entry point under `saltus.formats`
(docs/add-a-format.md). Every file is looked at once, and what was seen is shown to one format after the other: first
those the user names, then other packages', then ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import polars as pl

from saltus.errors import UserError

Kind = Literal["empty", "json", "lines", "csv", "tsv", "table", "parquet", "archive", "other"]


@dataclass(frozen=True, slots=True)
class Document:
    """What a file shows before anybody reads it."""

    path: Path
    kind: Kind
    """"lines" are JSON lines; "csv" and "tsv" are plain, "table" is any other text that holds a table; "archive" is a
    zip file; "other" is text or bytes of no kind named here."""
    value: Any = None
    """json: the parsed document; lines: the first object. None else."""
    names: frozenset[str] = frozenset()
    """Keys of `value` where that is an object, columns of a table, entries of an archive."""
    head: str = ""
    """The beginning as text, at least its first line; empty where it is no UTF-8."""

    def of(self, name: str) -> Mapping[str, Any]:
        """The object under a key of `value`; empty where there is none, so that recognising never fails."""
        found = self.value.get(name) if isinstance(self.value, Mapping) else None
        return found if isinstance(found, Mapping) else {}


class Read(NamedTuple):
    """What a file gave."""

    rows: pl.DataFrame
    """One row per number, in columns that the results table knows (results/table.py), under any of their names."""
    notes: Sequence[str] = ()
    """What the user should know, each a sentence; what was left out, above all."""


class Format(Protocol):
    """One tool's results."""

    @property
    def name(self) -> str:
        """As the account of what was read says it: "lm-eval results"."""
        ...

    def recognises(self, document: Document) -> bool:
        """Whether this is the file that says what was run. Must not read the file again, nor fail."""
        ...

    def read(self, path: Path) -> Read | pl.DataFrame:
        """All numbers of the file and its companions. Raises UserError where it is not shaped as the tool writes it."""
        ...

    def companions(self, path: Path) -> Sequence[Path]:
        """Files that `read` takes in beside it, so that nobody reads them on their own."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """A format of one file, from three functions."""

    name: str
    recognises: Callable[[Document], bool]
    read: Callable[[Path], Read | pl.DataFrame]
    companions: Callable[[Path], Sequence[Path]] = lambda path: ()


@dataclass(frozen=True, slots=True)
class Left:
    """A kind of file that is known and not read by itself, with what to do about it."""

    name: str
    recognises: Callable[[Document], bool]
    wanted: str
    do: str
    head_of: Callable[[Path], Path | None] | None = None
    """The file it belongs to, where it lies beside it: that one is read instead."""

    @property
    def why(self) -> str:
        """Why it was left, and what to do about it."""
        return f"not read: {self.name}; {self.do}"

    def refusal(self, path: Path) -> UserError:
        """The message for a user who named this file."""
        return UserError(f"this looks like: {self.name}", where=str(path), wanted=self.wanted, do=self.do)
