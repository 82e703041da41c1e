"""Published results, detected from their content: one file per format, gathered here. A plug point (base.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from saltus import plugins
from saltus.errors import UserError, reason
from saltus.results.formats import bigbench, every_eval_ever, helm, inspect_log, lighteval, lm_eval, olmes
from saltus.results.formats.base import Document, Format, Left
from saltus.results.formats.detect import load_json, look
from saltus.results.formats.guarded import Guarded
from saltus.results.formats.others import BROKEN, NOTHING, OTHERS

FORMATS: tuple[Format, ...] = (
    lighteval.FORMAT,
    inspect_log.FORMAT,
    every_eval_ever.FORMAT,
    helm.FORMAT,
    olmes.FORMAT,
    bigbench.FORMAT,
    lm_eval.FORMAT,
)
"""Ours, in the order they are asked."""
COMPANIONS: tuple[Left, ...] = (
    lm_eval.SAMPLES,
    every_eval_ever.SAMPLES,
    helm.STATISTICS,
    lighteval.DETAILS,
    olmes.PREDICTIONS,
)
"""Files that belong to a file of ours."""
TABLES = {"csv": "csv", "tsv": "tsv", "table": "table", "parquet": "parquet", "lines": "jsonl", "json": "json"}
"""Kind of file → the name under which a tidy table of that kind is read (tidy.py)."""


def of_others(given: Sequence[Any] = ()) -> tuple[list[Guarded], list[str]]:
    """The formats asked before ours: those given, then those of installed packages; and which of these are broken.

    A broken package must not cost files it has nothing to do with, so it is a note. Raises UserError for a given one.
    """
    parts = {id(part): Guarded(part, getattr(part, "name", type(part).__name__)) for part in given if not _ours(part)}
    notes = []
    for name in plugins.names("formats"):
        try:
            part = plugins.load("formats", name)
            if not _ours(part):
                parts.setdefault(id(part), Guarded(part, name))
        except Exception as error:  # noqa: BLE001  whatever a package does when it is imported
            why = error.found if isinstance(error, UserError) else reason(error)
            notes.append(f"the installed format `{name}` cannot be used, so its files are not known: {why}")
    return list(parts.values()), notes


def _ours(part: Any) -> bool:
    return any(part is one for one in FORMATS)


def detect(path: Path, formats: Sequence[Format] = ()) -> Format | Left | str:
    """The same as `seen`, but raises UserError for broken JSON."""
    found = seen(path, formats)
    if found is BROKEN:
        load_json(path)
    return found


def seen(path: Path, formats: Sequence[Format] = ()) -> Format | Left | str:
    """What the file is: a format, a known kind that is left, or the name of a table's kind.

    formats: asked before ours. Raises UserError where the file cannot be opened.
    """
    document = look(path)
    found = tell(document, formats)
    if found is NOTHING and document.kind == "json" and isinstance(document.value, dict):
        if document.head.strip().count("\n"):
            return NOTHING
        return tell(replace(document, kind="lines"), formats)  # a table of a single row
    return found


def tell(document: Document, formats: Sequence[Format] = ()) -> Format | Left | str:
    """Who recognises the document first, else its kind of table.

    Other tools' files that are left come before our formats: promptfoo's have `results` and `config` as lm-eval's have.
    """
    asked: tuple[Format | Left, ...] = (*formats, *OTHERS, *FORMATS, *COMPANIONS)
    for one in asked:
        if one.recognises(document):
            return one
    listed = document.kind != "json" or (
        isinstance(document.value, list) and document.value and isinstance(document.value[0], dict)
    )
    if document.kind in TABLES and listed:
        return TABLES[document.kind]
    return BROKEN if BROKEN.recognises(document) else NOTHING
