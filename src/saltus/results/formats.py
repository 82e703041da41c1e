"""Tells by content what a file is, and what to do with the files of tools saltus does not read.

Only the shape of the first object decides; names and endings do not.
"""

from __future__ import annotations

import gzip
import json
from enum import Enum
from pathlib import Path
from typing import Any

from saltus.errors import UserError


class Form(Enum):
    """What a file is. The tabular ones carry the name `tidy.read_frame` knows."""

    PARQUET = "parquet"
    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    LM_EVAL = "lm-eval results"
    LM_EVAL_SAMPLES = "lm-eval samples"
    INSPECT = "Inspect log"
    HELM = "HELM output"
    LIGHTEVAL = "lighteval results"
    OPENCOMPASS = "OpenCompass summary"
    PROMPTFOO = "promptfoo results"
    EVERY_EVAL_EVER = "Every Eval Ever record"
    TRAINER_STATE = "transformers trainer state"
    BIGBENCH_TASK = "BIG-bench task"
    EMPTY = "empty file"
    UNKNOWN = "no results"

    @property
    def unreadable(self) -> bool:
        """saltus takes no numbers from it."""
        return self in _REFUSALS

    @property
    def why(self) -> str:
        """Why it was left, and what to do about it."""
        wanted, do = _REFUSALS[self]
        return f"not read: {self.value}; {do or wanted}"

    def refusal(self, path: Path) -> UserError:
        """The message for a user who named this file."""
        wanted, do = _REFUSALS[self]
        return UserError(f"this looks like: {self.value}", where=str(path), wanted=wanted, do=do)


_TABLE = "a table with task, metric and value, or lm-eval results JSON"
_REFUSALS: dict[Form, tuple[str, str]] = {
    Form.LM_EVAL_SAMPLES: (
        "the results_….json that lm-eval wrote beside it",
        "give the folder or the results file; its samples are picked up by themselves",
    ),
    Form.INSPECT: (_TABLE, "export it: `inspect_ai.analysis.evals_df(DIR).to_parquet('evals.parquet')`, and rename its "
                           "columns to task, metric, value, model and an axis"),
    Form.HELM: (_TABLE, "collect stats.json of all runs into a table with one row per model, task and metric"),
    Form.LIGHTEVAL: (_TABLE, "collect its `results` into a table; its tasks are named suite|task|shots"),
    Form.OPENCOMPASS: (_TABLE, "turn the columns of models into rows (model, task, metric, value)"),
    Form.PROMPTFOO: (_TABLE, "export a table of results and add the models' size or training step"),
    Form.EVERY_EVAL_EVER: (_TABLE, "collect `evaluation_results` into a table and add size or training step"),
    Form.TRAINER_STATE: (_TABLE, "it holds no task results; `saltus run dir:…` reads it beside a checkpoint"),
    Form.BIGBENCH_TASK: (_TABLE, "use it as a task: `saltus run SOURCE --task bigbench:FILE`"),
    Form.EMPTY: (_TABLE, "check that it was written whole"),
    Form.UNKNOWN: (_TABLE, "give a file that holds results"),
}  # fmt: skip


def detect(path: Path) -> Form:
    """What the file is. Raises UserError where it cannot be opened or is JSON cut short."""
    try:
        with open(path, "rb") as raw:
            head = raw.read(65536)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as packed:
                head = packed.read(65536)
    except OSError as error:
        raise UserError(f"cannot be opened: {error}", where=str(path)) from error
    if not head.strip():
        return Form.EMPTY
    if head[:4] == b"PAR1":
        return Form.PARQUET
    if head[:2] == b"PK":
        return Form.INSPECT if path.suffix == ".eval" else Form.UNKNOWN
    try:
        text = head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8-sig")
    except UnicodeDecodeError:
        return Form.UNKNOWN
    start = text.lstrip()[:1]
    if start and start in "{[":
        return _json_form(path, text)
    first = text.split("\n", 1)[0]
    if "dataset,version,metric,mode" in first:
        return Form.OPENCOMPASS
    return Form.TSV if "\t" in first else Form.CSV if "," in first else Form.UNKNOWN


def load_json(path: Path) -> Any:
    """The file's JSON, unpacked if need be. Raises UserError where it is cut short or broken."""
    data = path.read_bytes()
    try:
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(
            f"broken JSON: {error}",
            where=str(path),
            wanted="a whole file",
            do="copy it again, or leave it out",
        ) from error


def _json_form(path: Path, head: str) -> Form:
    first = head.split("\n", 1)[0].strip()
    if first.startswith("{") and first.endswith("}"):
        try:
            line = json.loads(first)
        except ValueError:
            line = None
        if isinstance(line, dict) and (head.count("\n") > 1 or not _whole_document(line)):
            samples = {"doc_id", "resps"} <= line.keys() or {
                "doc_id",
                "filtered_resps",
            } <= line.keys()
            return Form.LM_EVAL_SAMPLES if samples else Form.JSONL
    return document_form(load_json(path))


def _whole_document(value: dict[str, Any]) -> bool:
    return document_form(value) is not Form.UNKNOWN


def document_form(value: Any) -> Form:
    """What a parsed JSON document is."""
    if isinstance(value, list):
        return _list_form(value)
    if not isinstance(value, dict):
        return Form.UNKNOWN
    keys = value.keys()
    if "config_general" in keys and "results" in keys:
        return Form.LIGHTEVAL
    if {"eval", "status"} <= keys or {"eval", "plan"} <= keys:
        return Form.INSPECT
    if "evaluation_results" in keys:
        return Form.EVERY_EVAL_EVER
    if "evalId" in keys or {"results", "prompts", "stats"} <= keys:
        return Form.PROMPTFOO
    if "adapter_spec" in keys:
        return Form.HELM
    if "log_history" in keys:
        return Form.TRAINER_STATE
    if "examples" in keys and ("preferred_score" in keys or "metrics" in keys):
        return Form.BIGBENCH_TASK
    if "results" in keys and ({"config", "versions", "configs"} & keys):
        return Form.LM_EVAL
    return Form.UNKNOWN


def _list_form(value: list[Any]) -> Form:
    first = value[0] if value else None
    if not isinstance(first, dict):
        return Form.UNKNOWN
    if (isinstance(first.get("name"), dict) and "count" in first) or "instance_id" in first:
        return Form.HELM
    return Form.JSON
