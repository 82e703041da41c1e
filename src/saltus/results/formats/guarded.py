"""Calls other people's formats, so that a fault in one is a message that names it and costs no other file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from saltus.errors import UserError, reason
from saltus.results.formats.base import Document, Read

T = TypeVar("T")
_PARTS = ("recognises", "read", "companions")


class Guarded:
    """Somebody else's format, behind the contract of ours. Raises UserError for an object that is no format."""

    def __init__(self, part: Any, origin: str) -> None:
        lacks = ["name"] if not isinstance(getattr(part, "name", None), str) or not part.name else []
        lacks += [m for m in _PARTS if not callable(getattr(part, m, None))]
        if lacks or isinstance(part, type):
            raise UserError(
                f"the format `{origin}` is a class"
                if not lacks
                else f"the format `{origin}` has no {', '.join(lacks)}",
                wanted=f"an object with name, {', '.join(_PARTS)}",
                do="write `format = MyFormat()` (docs/add-a-format.md)",
            )
        self.name: str = part.name
        self.faults: dict[Path, str] = {}
        """File → what `recognises` raised on it."""
        self._part = part

    def recognises(self, document: Document) -> bool:
        """A fault counts as no, so that the other formats are still asked; it is kept in `faults`."""
        try:
            return bool(self._part.recognises(document))
        except Exception as error:  # noqa: BLE001  a fault in one format must not cost the files of the others
            self.faults.setdefault(document.path, reason(error))
            return False

    def read(self, path: Path) -> Read:
        """With the path as `source` of every row: that is how rows are counted per file."""
        rows, notes = self._called(path, lambda: _checked(self._part.read(path)))
        return Read(rows.with_columns(source=pl.lit(str(path))), notes)

    def companions(self, path: Path) -> list[Path]:
        found = self._called(path, lambda: [Path(p) for p in self._part.companions(path)])
        absent = next((p for p in found if not p.is_file()), None)
        if absent is not None:
            raise UserError(
                f"the format `{self.name}` names a file beside it that is not there: {absent}",
                where=str(path),
                do="fix the format, or leave the file out",
            )
        return found

    def fault_on(self, path: Path) -> UserError | None:
        """For a user who named a file that nobody recognised: what this format raised on it."""
        if path not in self.faults:
            return None
        return UserError(
            f"the format `{self.name}` failed when asked whether this is its own: {self.faults[path]}",
            where=str(path),
            wanted="True or False",
            do="fix the format, or leave it out",
        )

    def note(self) -> list[str]:
        """A sentence about the files it failed on, if any."""
        if not self.faults:
            return []
        first, why = next(iter(self.faults.items()))
        files = "1 file" if len(self.faults) == 1 else f"{len(self.faults)} files"
        return [f"the format `{self.name}` failed on {files}, first {first}: {why}; that counts as not its own"]

    def _called(self, path: Path, call: Callable[[], T]) -> T:
        try:
            return call()
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"the format `{self.name}` failed: {reason(error)}",
                where=str(path),
                do="fix the format, or leave the file out",
            ) from error


def _checked(found: Any) -> Read:
    """What `read` gave, if it is what the contract says."""
    rows, notes = found if isinstance(found, tuple) and len(found) == 2 else (found, ())
    if not isinstance(rows, pl.DataFrame):
        raise TypeError(f"`read` gave a {type(rows).__name__}; wanted a polars DataFrame, or Read")
    for column, dtype in rows.schema.items():
        if not (dtype.is_numeric() or dtype in (pl.String, pl.Boolean, pl.Null, pl.Date, pl.Datetime)):
            raise TypeError(f"column `{column}` holds {dtype}; wanted numbers, text, true or false, or dates")
    if isinstance(notes, str) or not all(isinstance(note, str) for note in notes):
        raise TypeError("the notes beside the rows are no list of sentences")
    return Read(rows, list(notes))
