"""Published results told by their content: one file per format, gathered here. A plug point (base.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saltus import plugins
from saltus.results.formats import every_eval_ever, helm, inspect_log, lighteval, lm_eval
from saltus.results.formats.base import Document, Format, Left
from saltus.results.formats.detect import look
from saltus.results.formats.others import NOTHING, OTHERS

FORMATS: tuple[Format, ...] = (
    lighteval.FORMAT,
    inspect_log.FORMAT,
    every_eval_ever.FORMAT,
    helm.FORMAT,
    lm_eval.FORMAT,
)
"""Ours, in the order they are asked."""
LEFT: tuple[Left, ...] = (lm_eval.SAMPLES, every_eval_ever.SAMPLES, helm.STATISTICS, lighteval.DETAILS, *OTHERS)
TABLES = {"csv": "csv", "tsv": "tsv", "parquet": "parquet", "lines": "jsonl", "json": "json"}
"""Kind of file → the name under which a tidy table of that kind is read (tidy.py)."""


def installed() -> list[Format]:
    """Formats that other packages registered."""
    own = {"lm_eval", "inspect", "every_eval_ever", "helm", "lighteval"}
    return [plugins.load("formats", name) for name in plugins.names("formats") if name not in own]


def detect(path: Path, formats: Sequence[Format] = ()) -> Format | Left | str:
    """What the file is: a format, a known kind that is left, or the name of a table's kind.

    formats: asked before ours. Raises UserError where the file cannot be opened or is JSON cut short.
    """
    document = look(path)
    found = tell(document, formats)
    if found is NOTHING and document.kind == "json" and isinstance(document.value, dict):
        if document.head.strip().count("\n"):
            return NOTHING
        return tell(replace(document, kind="lines"), formats)  # a table of a single row
    return found


def tell(document: Document, formats: Sequence[Format] = ()) -> Format | Left | str:
    """The first format that recognises the document, else the first known kind, else its kind of table."""
    for one in (*formats, *FORMATS):
        if one.recognises(document):
            return one
    for left in LEFT:
        if left.recognises(document):
            return left
    listed = document.kind != "json" or (
        isinstance(document.value, list) and document.value and isinstance(document.value[0], dict)
    )
    return TABLES[document.kind] if document.kind in TABLES and listed else NOTHING
