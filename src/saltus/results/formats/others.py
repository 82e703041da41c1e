"""Files of other tools that are recognised, named and left: no numbers can be taken from them as they are."""

from __future__ import annotations

from saltus.results.formats.base import Document, Left

TABLE = "a table with task, metric and value, or lm-eval results JSON"


def _promptfoo(d: Document) -> bool:
    return d.kind == "json" and ("evalId" in d.names or {"results", "prompts", "stats"} <= d.names)


def _bigbench(d: Document) -> bool:
    return d.kind == "json" and "examples" in d.names and bool({"preferred_score", "metrics"} & d.names)


OTHERS = (
    Left(
        "Git LFS pointer",
        lambda d: d.head.startswith("version https://git-lfs.github.com/spec/"),
        "the file itself, which Git LFS keeps elsewhere",
        "fetch it with `git lfs pull`",
    ),
    Left(
        "Excel workbook",
        lambda d: d.kind == "archive" and "xl/workbook.xml" in d.names,
        TABLE,
        "save the sheet as CSV and give that file",
    ),
    Left(
        "OpenDocument sheet",
        lambda d: d.kind == "archive" and {"mimetype", "content.xml"} <= d.names,
        TABLE,
        "save the sheet as CSV and give that file",
    ),
    Left(
        "OpenCompass summary",
        lambda d: d.kind in ("csv", "tsv") and "dataset,version,metric,mode" in d.head.split("\n", 1)[0],
        TABLE,
        "turn the columns of models into rows (model, task, metric, value)",
    ),
    Left("promptfoo results", _promptfoo, TABLE, "export a table of results and add the models' size or training step"),
    Left(
        "transformers trainer state",
        lambda d: d.kind == "json" and "log_history" in d.names,
        TABLE,
        "it holds no task results; `saltus run dir:…` reads it beside a checkpoint",
    ),
    Left("BIG-bench task", _bigbench, TABLE, "use it as a task: `saltus run SOURCE --task bigbench:FILE`"),
    Left("empty file", lambda d: d.kind == "empty", TABLE, "check that it was written whole"),
)
BROKEN = Left("no JSON", lambda d: d.kind == "other" and d.head.lstrip()[:1] in ("{", "["), TABLE, "copy it again")
"""Begins like JSON and is none: another tool's text, or JSON cut short. Parsing it says what is wrong."""
NOTHING = Left("no results", lambda d: True, TABLE, "give a file that holds results")
