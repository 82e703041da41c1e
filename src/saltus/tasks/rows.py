"""From one JSON object to an Item: which fields a row may have, and what is wrong with a bad one.

`schemas/items.schema.json` says the same for machines. Fields that no rule knows are kept in `Item.meta`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from saltus.errors import UserError, nearest
from saltus.records import Item
from saltus.tasks.fields import Fields
from saltus.tasks.rendering import LETTERS
from saltus.tasks.text import PRIMARY, Kind

KINDS = tuple(PRIMARY)
ANSWER = ("answer", "target", "gold")
TEXTS = ("question", "context", "group", "parent_id", "relation", "skill", "format")
FIELDS = frozenset((*TEXTS, *ANSWER, "id", "kind", "choices", "difficulty", "demos"))


def kind_of(row: Mapping[str, Any], where: str) -> Kind:
    """What a row states, else what its fields imply: choices → multiple choice, else log-likelihood."""
    stated = row.get("kind")
    if stated is None:
        return "multiple_choice" if row.get("choices") is not None else "loglikelihood"
    for kind in KINDS:
        if stated == kind:
            return kind
    raise UserError(f"`kind` is {stated!r}", where=where, wanted=nearest(str(stated), KINDS))


def row_id(row: Mapping[str, Any], where: str) -> str:
    """The row's id, or one made from its content, so that inserting rows renames none."""
    stated = row.get("id")
    if isinstance(stated, str | int) and not isinstance(stated, bool) and stated != "":
        return str(stated)
    if stated is not None:
        raise UserError(f"`id` is {stated!r}", where=where, wanted="a text or a whole number")
    content = json.dumps(row, sort_keys=True, separators=(",", ":"))
    return "row-" + hashlib.sha256(content.encode()).hexdigest()[:12]


def row_item(
    row: Mapping[str, Any], kind: Kind, where: str, id_: str | None = None, fields: Fields | None = None
) -> Item:
    """The item of a row in our fields. Raises UserError naming the field, what was wanted and what to do.

    fields: how its answer names a choice, and how the rows of its `demos` are read.
    """
    fields = fields or Fields()
    texts = {name: _text(row, name, where) for name in TEXTS}
    if not texts["question"] and not texts["context"]:
        raise UserError(
            f"no `question` (fields: {', '.join(row)})",
            where=where,
            wanted=_hint(row, "question"),
            do='add "question": "…"',
        )
    name, answer = _answer(row, where)
    if kind == "multiple_choice":
        choices = _choices(row, where)
        gold = _gold(answer, name, choices, where, fields)
        target: tuple[str, ...] = tuple(choices[g] for g in gold)
    else:
        choices, gold = (), ()
        target = _targets(answer, name, where)
    return Item(
        id=row_id(row, where) if id_ is None else id_,
        question=texts["question"] or "",
        context=texts["context"] or "",
        choices=choices,
        gold=gold,
        target=target[0] if len(target) == 1 else target,
        demos=_demos(row, kind, where, fields),
        group=texts["group"],
        difficulty=_difficulty(row, where),
        parent_id=texts["parent_id"],
        relation=texts["relation"],
        skill=texts["skill"],
        format=texts["format"],
        source=where,
        meta={k: v for k, v in row.items() if k not in FIELDS},
    )


def _hint(row: Mapping[str, Any], *wanted: str) -> str:
    """The field a misspelt one was probably meant to be."""
    for name in row:
        if name not in FIELDS:
            guess = nearest(name, wanted)
            if guess.startswith("did"):
                return f"`{name}`: {guess}"
    return " or ".join(f"`{w}`" for w in wanted)


def _text(row: Mapping[str, Any], name: str, where: str) -> str | None:
    value = row.get(name)
    if name == "group" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise UserError(f"`{name}` is {value!r}", where=where, wanted="a text")
    return value


def _difficulty(row: Mapping[str, Any], where: str) -> float | None:
    value = row.get("difficulty")
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise UserError(f"`difficulty` is {value!r}", where=where, wanted="a number")


def _answer(row: Mapping[str, Any], where: str) -> tuple[str, Any]:
    given = [(name, row[name]) for name in ANSWER if row.get(name) not in (None, "", [])]
    if not given:
        raise UserError(
            f"no gold answer (fields: {', '.join(row)})",
            where=where,
            wanted=_hint(row, *ANSWER),
            do='add "answer": … to the row',
        )
    if any(value != given[0][1] for _, value in given):
        named = " and ".join(f"`{name}`" for name, _ in given)
        raise UserError(f"{named} differ", where=where, wanted="one gold answer", do="keep one of them")
    return given[0]


def _choices(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value = row.get("choices")
    if not isinstance(value, list) or not all(isinstance(c, str | int | float) for c in value):
        raise UserError(f"`choices` is {value!r}", where=where, wanted="a list of texts")
    choices = tuple(map(str, value))
    if len(choices) < 2 or not all(choices):
        raise UserError(f"`choices` is {value!r}", where=where, wanted="two choices or more, none empty")
    return choices


def _gold(answer: Any, name: str, choices: Sequence[str], where: str, fields: Fields) -> tuple[int, ...]:
    """Indices of the right choices: a text is a choice's text, else its letter; a whole number its index."""
    found: list[int] = []
    given = answer if isinstance(answer, list) else [answer]
    counted = fields.answers == "auto" and any(isinstance(one, int) and str(one) not in choices for one in given)
    for one in given:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise _not_among(one, name, choices, where)
        indexed = counted and isinstance(one, int)
        at = [int(one)] if indexed else _places(one, choices, fields, name, where)
        if not at or not all(0 <= k < len(choices) for k in at):
            raise _not_among(one, name, choices, where)
        found += at
    if counted:
        fields.note(f"`{name}` as a whole number is read as an index of `choices`, from 0")
    return tuple(sorted(set(found)))


def _places(one: str | float, choices: Sequence[str], fields: Fields, name: str, where: str) -> list[int]:
    """The choices that one answer names; empty where none."""
    texts = [k for k, choice in enumerate(choices) if choice == str(one)]
    letter = LETTERS.find(one.upper()) if isinstance(one, str) and len(one) == 1 else -1
    count = int(one) if isinstance(one, int) or (isinstance(one, str) and one.isdecimal()) else None
    if fields.answers != "auto":
        counted = [] if count is None else [count - (fields.answers == "number")]
        return {"text": texts, "letter": [letter], "index": counted, "number": counted}[fields.answers]
    if isinstance(one, int):
        if one < len(choices) and one not in texts:  # several that are no texts are indices, see `_gold`
            raise _either(one, name, where, "text", "index")
        return texts
    if not texts and 0 <= letter < len(choices):
        fields.note(f"`{name}` as a letter is read as the place in `choices`")
        return [letter]
    if not texts and count is not None and count <= len(choices):
        raise _either(one, name, where, "index", "number")
    return texts


def _either(one: Any, name: str, where: str, *ways: str) -> UserError:
    means = {"text": "the choice of that text", "index": "the place from 0", "number": "the place from 1"}
    return UserError(
        f"`{name}` is {one!r}: {' or '.join(means[way] for way in ways)}?",
        where=where,
        wanted="the text of a choice or its letter",
        do=" or ".join(f"--set answers={way} ({means[way]})" for way in ways),
    )


def _not_among(one: Any, name: str, choices: Sequence[str], where: str) -> UserError:
    last = LETTERS[min(len(choices), 26) - 1]
    return UserError(
        f"`{name}` is {one!r}, which is not among the choices",
        where=where,
        wanted=f"the text of a choice, its letter (A to {last}) or its index (0 to {len(choices) - 1})",
        do="--set answers=number, if places are counted from 1" if one == len(choices) else "",
    )


def _targets(answer: Any, name: str, where: str) -> tuple[str, ...]:
    values = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(v, str | int | float) and not isinstance(v, bool) and v != "" for v in values):
        raise UserError(f"`{name}` is {answer!r}", where=where, wanted="a text, a number, or a list of them")
    return tuple(map(str, values))


def _demos(row: Mapping[str, Any], kind: Kind, where: str, fields: Fields) -> tuple[Item, ...]:
    value = row.get("demos")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(d, dict) for d in value):
        raise UserError(f"`demos` is {value!r}", where=where, wanted="a list of rows like this one")
    demos = []
    for i, demo in enumerate(value):
        here = f"{where}: demos[{i}]"
        demos.append(row_item(fields.read(demo, kind, here), kind, here, row_id(demo, here), fields))
    return tuple(demos)
