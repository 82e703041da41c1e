"""YAML documents whose mistakes are reported by file, line, key and nearest valid word.

PyYAML keeps positions only on its node tree, and pydantic reports a path into the data; this module joins the two.
Duplicate keys, which YAML loaders silently overwrite, are refused.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from saltus.errors import UserError, nearest

Document = TypeVar("Document", bound=BaseModel)
Path_ = tuple[int | str, ...]


def read_yaml(text: str, name: str) -> tuple[Any, yaml.Node]:
    """The data of a YAML text and its node tree. Raises UserError with the line of a mistake."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise UserError("the document is empty", where=name, do="`saltus new NAME` writes an example")
        _refuse_duplicates(node, name)
        return yaml.safe_load(text), node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise UserError(
            f"this is not valid YAML: {error.problem or error.context}",
            where=where,
            wanted="`key: value` lines, lists with `- `, text with special characters in quotes",
            do="fix the line, then run the same command again",
        ) from error
    except yaml.YAMLError as error:  # unreadable characters carry no mark
        raise UserError(f"this is not valid YAML: {error}", where=name) from error


def parse(kind: type[Document], data: Any, node: yaml.Node, name: str) -> Document:
    """data as a document of that kind. Raises UserError listing every mistake with its line."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        mistakes = [_explain(kind, dict(e), node, name) for e in error.errors()]
        first, rest = mistakes[0], mistakes[1:]
        found = first[1] + "".join(f"\n{where}: {what}" for where, what in rest[:9])
        raise UserError(
            found, where=first[0], do="`saltus new NAME` writes a commented example; `docs/study.md` lists every key"
        ) from error


def line_of(node: yaml.Node, path: Path_) -> int:
    """Line (from 1) of the deepest part of path that the document has."""
    line = node.start_mark.line
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _explain(kind: type[BaseModel], error: dict[str, Any], node: yaml.Node, name: str) -> tuple[str, str]:
    path: Path_ = tuple(error["loc"])
    where = f"{name}:{line_of(node, path)}"
    key = ".".join(str(p) for p in path)
    if error["type"] == "extra_forbidden":
        known = _keys_at(kind, path[:-1])
        return where, f"unknown key `{path[-1]}`; {nearest(str(path[-1]), known)}"
    if error["type"] == "missing":
        return where, f"the key `{key}` is missing"
    if error["type"] == "literal_error":
        words = [w.strip("' ") for w in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return where, f"`{key}` is {error['input']!r}; {nearest(str(error['input']), words)}"
    return where, f"`{key}` is {_short(error['input'])}: {error['msg'].lower()}"


def _keys_at(kind: type[BaseModel], path: Path_) -> list[str]:
    """The keys a document may have at path."""
    here: Any = kind
    for step in path:
        if isinstance(step, str) and _is_model(here):
            field = next((f for n, f in here.model_fields.items() if step in (n, f.alias)), None)
            here = _inner(field.annotation) if field else None
    return [f.alias or n for n, f in here.model_fields.items()] if _is_model(here) else []


def _inner(annotation: Any) -> Any:
    """The model inside list[Model] or Model | None."""
    if get_origin(annotation) in (list, tuple, Union, types.UnionType):
        return next((m for m in map(_inner, get_args(annotation)) if _is_model(m)), None)
    return annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _refuse_duplicates(node: yaml.Node, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise UserError(
                    f"the key `{key.value}` stands twice (first on line {seen[key.value]})",
                    where=f"{name}:{line}",
                    do="remove one of the two",
                )
            seen[key.value] = line
            _refuse_duplicates(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_duplicates(value, name)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def read_text(path: Path) -> str:
    """A document's text. Raises UserError where there is no such file or it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        beside = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise UserError(
            "no such file",
            where=str(path),
            wanted=nearest(path.name, beside) if beside else "a study document",
            do=f"`saltus new {path.stem}` writes one",
        ) from error
    except (UnicodeDecodeError, IsADirectoryError, PermissionError) as error:
        raise UserError(f"cannot be read as text: {error}", where=str(path)) from error
