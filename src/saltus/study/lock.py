"""Locking a study is preregistration: its hash is written down, with whether answers were already known.

The lock is a small JSON file beside the document. A later run of a changed document is not refused; what
changed is a deviation, kept in the store and printed in the report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from saltus._version import __version__
from saltus.errors import UserError
from saltus.study.document import Study


@dataclass(frozen=True)
class Lock:
    """What was promised, and when."""

    study_id: str
    document: Mapping[str, Any]
    locked_at: str
    answers_already: int
    """Answers that the store held at that time: more than 0 means that looking came first."""
    saltus_version: str


def lock_path(document: Path) -> Path:
    """`NAME.lock.json` beside `NAME.yaml`."""
    return document.with_suffix(".lock.json")


def write_lock(study: Study, document: Path, answers_already: int) -> Lock:
    """Locks the study. Raises UserError if another version of it is locked already."""
    before = read_lock(document)
    if before is not None and before.study_id != study.study_id:
        raise UserError(
            f"another version of this study was locked on {before.locked_at}",
            where=str(lock_path(document)),
            wanted="the same document, or a new name for the new study",
            do=f"keep both: rename {document.name}; or remove the lock file to give the promise up",
        )
    if before is not None:
        return before
    lock = Lock(
        study_id=study.study_id,
        document=study.data,
        locked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        answers_already=answers_already,
        saltus_version=__version__,
    )
    text = json.dumps(lock.__dict__, indent=1, sort_keys=True, ensure_ascii=False)
    lock_path(document).write_text(text + "\n", encoding="utf-8")
    return lock


def read_lock(document: Path) -> Lock | None:
    """The lock beside a document, or None. Raises UserError if the file is not one."""
    path = lock_path(document)
    if not path.exists():
        return None
    try:
        return Lock(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"this is no lock file: {error}", where=str(path), do="restore it from version control"
        ) from error


def deviations(study: Study, lock: Lock | None) -> list[str]:
    """Sentences: how the study differs from what was locked; empty when it does not."""
    if lock is None or lock.study_id == study.study_id:
        return []
    changed = sorted(k for k in {*study.data, *lock.document} if study.data.get(k) != lock.document.get(k))
    if not changed:
        return [f"the lock was written by saltus {lock.saltus_version}, whose defaults differed"]
    return [
        f"`{key}` was changed after locking on {lock.locked_at}: "
        f"{_short(lock.document.get(key))} became {_short(study.data.get(key))}"
        for key in changed
    ]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "…"
