"""Tells by content what a file is, and what to do with the files of tools saltus does not read.

Only the shape of the first object decides; names and endings do not.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Set
from enum import Enum
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

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
    HELM = "HELM run"
    HELM_STATS = "HELM statistics"
    LIGHTEVAL = "lighteval results"
    LIGHTEVAL_DETAILS = "lighteval details"
    OPENCOMPASS = "OpenCompass summary"
    PROMPTFOO = "promptfoo results"
    EVERY_EVAL_EVER = "Every Eval Ever record"
    EVERY_EVAL_EVER_SAMPLES = "Every Eval Ever samples"
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
    Form.HELM_STATS: (
        "the run_spec.json that HELM wrote beside it: it names model and task",
        "give the folder of the run; its statistics are picked up by themselves",
    ),
    Form.LIGHTEVAL_DETAILS: (
        "the results_….json of the same run and date",
        "give the output folder of the run; its details are picked up by themselves",
    ),
    Form.OPENCOMPASS: (_TABLE, "turn the columns of models into rows (model, task, metric, value)"),
    Form.PROMPTFOO: (_TABLE, "export a table of results and add the models' size or training step"),
    Form.EVERY_EVAL_EVER_SAMPLES: (
        "the .json record of the same name beside it",
        "give the folder or the record; its samples are picked up by themselves",
    ),
    Form.TRAINER_STATE: (_TABLE, "it holds no task results; `saltus run dir:…` reads it beside a checkpoint"),
    Form.BIGBENCH_TASK: (_TABLE, "use it as a task: `saltus run SOURCE --task bigbench:FILE`"),
    Form.EMPTY: (_TABLE, "check that it was written whole"),
    Form.UNKNOWN: (_TABLE, "give a file that holds results"),
}


def detect(path: Path) -> Form:
    """What the file is. Raises UserError where it cannot be opened or is JSON cut short."""
    try:
        with open(path, "rb") as raw:
            head = _head(raw)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as packed:
                head = _head(packed)
    except (OSError, EOFError) as error:
        raise UserError(f"cannot be opened: {error}", where=str(path)) from error
    if not head.strip():
        return Form.EMPTY
    if head[:4] == b"PAR1":
        return _parquet_form(path)
    if head[:2] == b"PK":
        return _archive_form(path)
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


def _head(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """The beginning of the file: 64 kB, or the first line where that is longer."""
    head = file.read(65536)
    return head if b"\n" in head else head + file.readline()


def _parquet_form(path: Path) -> Form:
    try:
        columns = set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return Form.PARQUET  # whoever reads it says what is wrong
    plain = {c.strip("_") for c in columns}
    new = {"doc", "model_response", "metric"} <= plain
    old = {"full_prompt", "gold_index", "metrics", "predictions"} <= plain
    return Form.LIGHTEVAL_DETAILS if new or old else Form.PARQUET


def _archive_form(path: Path) -> Form:
    """Inspect's archives have a header or a journal; one cut short has no list of entries, so its name decides."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return Form.INSPECT if path.suffix == ".eval" else Form.UNKNOWN
    return Form.INSPECT if names & {"header.json", "_journal/start.json"} else Form.UNKNOWN


def load_json(path: Path) -> Any:
    """The file's JSON, unpacked if need be. Raises UserError where it is cut short or broken."""
    data = path.read_bytes()
    try:
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(
            f"broken JSON: {error}", where=str(path), wanted="a whole file", do="copy it again, or leave it out"
        ) from error


def _json_form(path: Path, head: str) -> Form:
    first = head.split("\n", 1)[0].strip()
    if first.startswith("{") and first.endswith("}"):
        try:
            line = json.loads(first)
        except ValueError:
            line = None
        if isinstance(line, dict) and (head.count("\n") > 1 or not _whole_document(line)):
            return _line_form(line.keys())
    return document_form(load_json(path))


def _line_form(keys: Set[str]) -> Form:
    if {"doc_id", "resps"} <= keys or {"doc_id", "filtered_resps"} <= keys:
        return Form.LM_EVAL_SAMPLES
    if {"evaluation_id", "sample_id", "evaluation"} <= keys:
        return Form.EVERY_EVAL_EVER_SAMPLES
    return Form.JSONL


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
    if {"adapter_spec", "name"} <= keys:
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
    if (isinstance(first.get("name"), dict) and "count" in first) or {"instance_id", "stats"} <= first.keys():
        return Form.HELM_STATS
    return Form.JSON
