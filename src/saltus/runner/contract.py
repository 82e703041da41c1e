"""What the runner needs to know of a study: the document's `Study` has it, and so has any object of this shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from saltus.conditions.base import Condition
from saltus.records import AskPolicy, SeriesEntry
from saltus.tasks.base import Task


class Study(Protocol):
    """What to ask of whom. It must survive pickling: workers get a copy."""

    @property
    def study_id(self) -> str:
        """Hash of what the study means."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """The document as plain data, for the store's log."""
        ...

    @property
    def base(self) -> Path:
        """Folder that relative paths start from."""
        ...

    @property
    def seed(self) -> int: ...

    @property
    def repeats(self) -> int:
        """Answers per item."""
        ...

    @property
    def limit(self) -> int | None:
        """Items per task; None is all."""
        ...

    @property
    def ask(self) -> AskPolicy: ...

    def entries(self) -> Sequence[SeriesEntry]:
        """The sources of models."""
        ...

    def tasks(self) -> Sequence[Task]: ...

    def asked(self, entry: SeriesEntry, tasks: Sequence[Task]) -> Sequence[Task]:
        """Of the tasks, those that the models of an entry are asked."""
        ...

    def conditions(self) -> Sequence[tuple[Condition, ...]]:
        """Baseline first; each is applied in order."""
        ...

    def condition_id(self, conditions: tuple[Condition, ...]) -> str: ...
