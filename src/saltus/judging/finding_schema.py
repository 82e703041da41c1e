"""The JSON Schema of a finding, and the rule it rests on: null always comes with a reason.

`python -m saltus.judging.finding_schema` writes the schema that ships as schemas/finding.schema.json; a test holds the
two together. The schema is made from the records themselves, their field docstrings become descriptions.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saltus.judging.findings import FINDING_SCHEMA_VERSION, QUANTITIES
from saltus.records import Evidence, Finding, Guard, Quantity, Replication

SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "finding.schema.json"


def finding_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line of findings.jsonl; a newer file may carry more fields."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Finding).json_schema()
    _describe(schema, Finding)
    for record in (Evidence, Guard, Quantity, Replication):
        _describe(schema["$defs"][record.__name__], record)
    schema["$defs"]["Quantity"]["allOf"] = [_reason_if_null("value", beside="why")]
    schema["allOf"] = [_reason_if_null(name) for name in nullable_fields()]
    schema["title"] = f"saltus finding {FINDING_SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def nullable_fields() -> tuple[str, ...]:
    """Fields of a finding that may be null, each then with an entry in `reasons`."""
    return tuple(f.name for f in dataclasses.fields(Finding) if "None" in str(f.type))


def check_reasons(finding: Finding) -> list[str]:
    """Every null of a finding that has no reason beside it, by name; an empty list is what should come back."""
    return list(_unexplained(finding))


def _unexplained(f: Finding) -> Iterator[str]:
    for name in nullable_fields():
        if getattr(f, name) is None and not f.reasons.get(name, "").strip():
            yield name
    named = {name: getattr(f, name) for name in QUANTITIES}
    named |= {f"onset_other_axes.{axis}": q for axis, q in f.onset_other_axes.items()}
    for name, quantity in named.items():
        if quantity.value is None and not (quantity.why or "").strip():
            yield name
        if quantity.value is not None and None in (quantity.low, quantity.high) and not quantity.why:
            yield f"{name}: an end of its interval"
    seeds = f.replication
    if None in (seeds.leapt, seeds.populations) and not seeds.why.strip():
        yield "replication"
    for piece in f.evidence:
        if (piece.passed is None or piece.value is None) and not piece.why.strip():
            yield f"evidence.{piece.name}"


def _reason_if_null(name: str, beside: str | None = None) -> dict[str, Any]:
    """If `name` is null, then `reasons` has an entry of that name, or the field `beside` is a text."""
    texts: dict[str, Any] = {"type": "string", "minLength": 1}
    if beside is None:
        reasons = {"required": [name], "properties": {name: texts}}
        then: dict[str, Any] = {"required": ["reasons"], "properties": {"reasons": reasons}}
    else:
        then = {"required": [beside], "properties": {beside: texts}}
    return {"if": {"properties": {name: {"const": None}}}, "then": then}


def _describe(schema: dict[str, Any], record: type) -> None:
    """Put the field docstrings of a record into its part of the schema."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(tree, ast.ClassDef)
    for statement, following in zip(tree.body, tree.body[1:]):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            text = inspect.cleandoc(str(following.value.value))
            part = schema["properties"][statement.target.id]
            if "$ref" not in part:
                part["description"] = text
            else:
                schema["properties"][statement.target.id] = {"allOf": [part], "description": text}


def write_schema(path: Path = SCHEMA_FILE) -> Path:
    """Write the schema as the package ships it."""
    path.write_text(json.dumps(finding_schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path


if __name__ == "__main__":
    print(write_schema())
