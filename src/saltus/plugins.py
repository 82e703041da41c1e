"""Finds parts by name: tasks, conditions, models, checks, formats; ours and everybody else's alike.

A part is one object under an entry point `saltus.<kind>`, or in one Python file named in the study (`file:mine.py`),
which runs only with the user's permission. Names are looked up without importing the others, so a broken plug-in breaks
only the study that asks for it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

from saltus import permissions
from saltus.errors import UserError, nearest

Kind = Literal["tasks", "conditions", "models", "checks", "formats"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ATTRIBUTE: dict[Kind, str] = {
    "tasks": "make",
    "conditions": "make",
    "models": "adapter",
    "checks": "check",
    "formats": "format",
}
"""What a file's part is called there, unless `#name` says otherwise."""

_FILE = re.compile(r"file:(?P<path>.+?\.py)(?:#(?P<attribute>\w+))?(?::(?P<source>.*))?", re.DOTALL)


class Part(NamedTuple):
    """A name as a document writes it, taken apart."""

    name: str
    """What `load` takes: `jsonl`, `file:mine.py`, `file:mine.py#other`."""
    source: str | None
    """What follows: `items.jsonl` in `jsonl:items.jsonl`; None without it."""


def split(text: str) -> Part:
    """`name:source`, where the name may be a file: `file:mine.py#attribute:source`."""
    if text.startswith("file:"):
        match = _FILE.fullmatch(text)
        if match is None:
            raise UserError(
                f"`{text}` names no Python file", wanted="file:PATH.py, file:PATH.py#NAME or file:PATH.py:SOURCE"
            )
        attribute = f"#{match['attribute']}" if match["attribute"] else ""
        return Part(f"file:{match['path']}{attribute}", match["source"] or None)
    name, _, source = text.partition(":")
    return Part(name, source or None)


@cache
def _found(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"saltus.{kind}")}


def names(kind: Kind) -> list[str]:
    """The names of all installed parts of a kind, sorted."""
    return sorted(_found(kind))


def module_of(kind: Kind, name: str) -> str:
    """The module that an installed part is registered from."""
    return _found(kind)[name].module


def load(kind: Kind, name: str, where: str = "", *, base: Path | None = None) -> Any:
    """The part of that name. base: the folder that a file's path starts from; the current one by default.

    Raises UserError with the nearest known name if there is none, NotAllowed for a file without permission.
    """
    if name.startswith("file:"):
        return _from_file(kind, name, base or Path.cwd(), where)
    points = _found(kind)
    if name not in points:
        raise UserError(
            f"unknown {kind[:-1]} `{name}`",
            where=where,
            wanted=nearest(name, points),
            do=f"`saltus {kind}` lists what is installed",
        )
    try:
        return points[name].load()
    except ImportError as error:
        raise UserError(
            f"the {kind[:-1]} `{name}` cannot be imported: {error}",
            where=where or points[name].value,
            do="install what it needs, or remove the package that registers it",
        ) from error


def file_of(part: object) -> str | None:
    """The start of the hash of the file that a part's class comes from; None for installed ones."""
    match = re.match(r"saltus_file_([0-9a-f]{16})_", type(part).__module__)
    return match[1] if match else None


def _from_file(kind: Kind, name: str, base: Path, where: str) -> Any:
    match = _FILE.fullmatch(name)
    assert match is not None, name  # `split` made it
    path = (base / match["path"]).resolve()
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UserError("no such file", where=str(path), wanted=nearest(path.name, beside) if beside else "a .py file")
    permissions.require("python", path, wanted_by=f"the {kind[:-1]} `{name}`")
    module = _module(path, hashlib.sha256(path.read_bytes()).hexdigest(), where)
    attribute = match["attribute"] or ATTRIBUTE[kind]
    if not hasattr(module, attribute):
        raise UserError(
            f"the file defines no `{attribute}`",
            where=str(path),
            wanted=f"`{attribute} = …`, the {kind[:-1]} (docs/add-a-{kind[:-1]}.md)",
            do=f"define it, or name another one: file:{match['path']}#NAME",
        )
    return getattr(module, attribute)


@cache
def _module(path: Path, sha256: str, where: str) -> ModuleType:
    """The file's module, under a name that holds its hash, so that a changed file is another module."""
    name = f"saltus_file_{sha256[:16]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(
            f"the file cannot be loaded: {type(error).__name__}: {error}",
            where=f"{path}{_line(error, path)}",
            do=f"run `python {path}` to see the whole error",
        ) from error
    return module


def _line(error: Exception, path: Path) -> str:
    """`:12`, the line of the file in which it went wrong."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f":{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f":{lines[-1]}" if lines else ""
