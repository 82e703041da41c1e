"""Tasks and settings as typed on the command line: `--task jsonl:items.jsonl --set style=plain`.

A task may be typed as it is printed, `jsonl:items.jsonl[style=plain]`. A setting goes where its key belongs: to the
tasks (`task.KEY` in any case, else what `jsonl:` tasks know as an option), to `ask`, else to the models' entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from saltus import plugins
from saltus.documents import read_yaml
from saltus.errors import UserError
from saltus.records import AskPolicy
from saltus.tasks.jsonl import OPTIONS

LITERAL = frozenset({"extract", "delimiter", "target_delimiter", "stop", "name"})
"""Options that are texts: read as they are typed, but for quotes around them and `\\n` and `\\t` in them."""
PREFIX = "task."

_PRINTED = re.compile(r"(?P<name>.+?)\[(?P<options>[a-z_]+=.*)\]", re.DOTALL)
_ASK = frozenset(f.name for f in fields(AskPolicy))


@dataclass(frozen=True)
class Given:
    """Settings by where they belong."""

    rows: dict[str, Any] = field(default_factory=dict)
    """Options of `jsonl:` tasks."""
    task: dict[str, Any] = field(default_factory=dict)
    """Options of every task."""
    ask: dict[str, Any] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)

    def options_of(self, task: str) -> dict[str, Any]:
        """Those that a task takes."""
        return {**(self.rows if plugins.split(task).name == "jsonl" else {}), **self.task}


def given(settings: Iterable[str], tasks: Sequence[str]) -> Given:
    """The settings of a command line. Raises UserError for what is no `key=value`, or belongs to no task typed."""
    found, ours = Given(), any(plugins.split(task).name == "jsonl" for task in tasks)
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not key:
            raise UserError(f"--set {setting}", wanted="key=value, e.g. --set dtype=bfloat16 or --set style=plain")
        first = key.partition(".")[0]
        if key.startswith(PREFIX):
            if not tasks:
                raise UserError(f"--set {setting}", wanted="a task that it is an option of", do="add --task NAME")
            _put(found.task, key.removeprefix(PREFIX), text)
        elif ours and first in OPTIONS:
            _put(found.rows, key, text)
        else:
            _put(found.ask if key in _ASK else found.entry, key, text)
    return found


def task_entry(task: Any, settings: Given, include: Sequence[str] = ()) -> Any:
    """A task, typed or of a document, as a document names it: the name alone, or `{name: options}`.

    include: folders with task files of lm-eval, for an `lm_eval:` task.
    """
    name, own = next(iter(task.items())) if isinstance(task, dict) else taken_apart(task)
    both = {**(own or {}), **settings.options_of(name)}
    if include and name.startswith("lm_eval:"):
        both["include_path"] = include[0] if len(include) == 1 else list(include)
    return {name: both} if both else name


def taken_apart(text: str) -> tuple[str, dict[str, Any]]:
    """(name, options) of a task as it is typed or printed."""
    match = _PRINTED.fullmatch(text)
    if match is None:
        return text, {}
    options: dict[str, Any] = {}
    for one in re.split(r",(?=[a-z_]+=)", match["options"]):
        key, _, value = one.partition("=")
        _put(options, key, value)
    return match["name"], options


def _put(into: dict[str, Any], key: str, text: str) -> None:
    """A value under a key, which may go deeper: `fields.question`."""
    *path, last = key.split(".")
    for step in path:
        into = into.setdefault(step, {})
        if not isinstance(into, dict):
            raise UserError(f"--set {key}={text}", wanted=f"`{step}` as one value, or with parts, not both")
    into[last] = _value(path[0] if path else last, text)


def _value(key: str, text: str) -> Any:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if key in LITERAL and not text.startswith("["):
        return (text[1:-1] if quoted else text).replace("\\n", "\n").replace("\\t", "\t")
    return read_yaml(text, f"--set {key}")[0] if text.strip() else ""
