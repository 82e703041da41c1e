"""Rows as other tools write them, in our fields: `options` as choices, `prompt` and `completion`, `input` and `ideal`.

Only what our own fields leave open is looked for, so a row that says `question`, `choices` and `answer` is read as it
is, and every other field of it stays metadata. What was mapped is reported; where two fields could be
meant, the row is refused with the option that settles it, `fields.question=NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from saltus.errors import UserError
from saltus.tasks import options

QUESTION = ("prompt", "input", "query", "problem", "stem", "instruction", "ctx", "text", "sentence")
CHOICES = ("options", "endings", "candidates", "alternatives", "answer_choices", "possible_answers")
ANSWER = ("completion", "ideal", "output", "label", "answer_key", "answerKey", "correct_answer", "expected", "response")
OURS = {"question": ("question",), "choices": ("choices",), "answer": ("answer", "target", "gold")}
KNOWN = {"question": QUESTION, "choices": CHOICES, "answer": ANSWER}
ANSWERS = ("auto", "text", "letter", "index", "number")
"""How an answer names its choice: by its text, its letter, counted from 0 or counted from 1; auto: as it fits."""

_NUMBERED = re.compile(r"(?P<name>choice|option|ending|sol|candidate|alternative)[ _-]?(?P<at>[A-Za-z]|\d{1,2})")


@dataclass(frozen=True)
class Fields:
    """How a file's rows are read, and what was mapped so far."""

    stated: Mapping[str, str | None] = field(default_factory=dict)
    """Of question, choices and answer the field that holds it, by the user's word; None: no field does."""
    answers: str = "auto"
    seen: dict[str, None] = field(default_factory=dict, compare=False)
    """Mappings in words, in the order met."""

    def read(self, row: Mapping[str, Any], kind: str | None, where: str) -> Mapping[str, Any]:
        """The row in our fields, the same object where nothing is mapped. kind: where choices cannot be meant.

        Raises UserError where two fields could be meant, or a stated one is missing.
        """
        found = {ours: self._of(row, ours, kind, where) for ours in KNOWN}
        moved = {theirs: ours for ours, theirs in found.items() if theirs}
        left = {name for ours in moved.values() for name in OURS[ours]}
        made = {k: v for k, v in row.items() if k not in moved and k not in left}
        for theirs, ours in moved.items():
            made[ours] = _content(row[theirs], ours, theirs, made, where)
            self.note(f"`{theirs}` is read as `{ours}`")
        if found["choices"] is None and _open(row, "choices") and self._wants_choices(kind, row):
            self._gather(made, where)
        labels = self._unlabel(made)
        return made if moved or labels or made.keys() != row.keys() else row

    def note(self, what: str) -> None:
        """Something was read other than it is called."""
        self.seen.setdefault(what)

    def _of(self, row: Mapping[str, Any], ours: str, kind: str | None, where: str) -> str | None:
        """The field that is mapped to ours, or None."""
        if ours in self.stated:
            theirs = self.stated[ours]
            if theirs is not None and theirs not in row:
                raise UserError(
                    f"no field `{theirs}` (fields: {', '.join(row)})",
                    where=where,
                    wanted=f"the field that `fields.{ours}` names",
                )
            return None if theirs in OURS[ours] else theirs
        if not _open(row, ours) or (ours == "choices" and not self._wants_choices(kind, row)):
            return None
        names = KNOWN[ours][:4] if ours == "question" and row.get("context") else KNOWN[ours]
        usable = [name for name in names if name in row and _usable(row[name], ours)]
        if len(usable) > 1:
            raise _ambiguous(usable, ours, where)
        if not usable and ours == "choices":
            self._refuse_near(row, where)
        return usable[0] if usable else None

    def _wants_choices(self, kind: str | None, row: Mapping[str, Any]) -> bool:
        if "choices" in self.stated:
            return False
        return (row.get("kind") or kind or "multiple_choice") == "multiple_choice"

    def _refuse_near(self, row: Mapping[str, Any], where: str) -> None:
        """A field that is probably meant to be the choices and is not called so: asked without, it would mislead."""
        for name, value in row.items():
            if not (isinstance(value, list) and _usable(value, "choices")) or name in ("answer", "target", "gold"):
                continue
            close = get_close_matches(name.lower(), ("choices", "options", "distractors"), n=1, cutoff=0.75)
            if close or "choice" in name.lower() or "option" in name.lower():
                raise UserError(
                    f"`{name}` may be the choices, and is not called so",
                    where=where,
                    wanted="choices in `choices`",
                    do=f"--set fields.choices={name}, or --set fields.choices=null to keep it beside the question",
                )

    def _unlabel(self, made: dict[str, Any]) -> bool:
        """Labelled choices as a list, and an answer that is a label as the text of its choice."""
        held = made.get("choices")
        if not isinstance(held, dict) or not _usable(held, "choices"):
            return False
        labels, texts = _labelled(held)
        made["choices"] = list(texts)
        name = next((n for n in OURS["answer"] if not _empty(made.get(n))), None)
        if name is not None and str(made[name]) in labels[: len(texts)] and str(made[name]) not in texts:
            made[name] = str(texts[labels.index(str(made[name]))])
            self.note(f"`{name}` is read as a label of `choices`")
        return True

    def _gather(self, made: dict[str, Any], where: str) -> None:
        """Choices in a field each: A, B, C, …, or choice1, choice2, …."""
        names = _lettered(made) or _numbered(made)
        if names:
            made["choices"] = [made.pop(name) for name in names]
            self.note(f"{', '.join(f'`{n}`' for n in names)} are read as `choices`")


def fields_of(part: str, given: Mapping[str, Any]) -> Fields:
    """The fields that the options `fields` and `answers` describe."""
    stated = given.get("fields") or {}
    if not isinstance(stated, Mapping):
        raise UserError(f"`fields` of `{part}` is {stated!r}", wanted="{question: NAME, choices: NAME, answer: NAME}")
    options.refuse_unknown(f"fields of {part}", stated, OURS)
    for ours, theirs in stated.items():
        if theirs is not None and not isinstance(theirs, str):
            raise UserError(f"`fields.{ours}` of `{part}` is {theirs!r}", wanted="the name of a field")
    return Fields(dict(stated), options.one_of(part, "answers", given.get("answers", "auto"), ANSWERS))


def _open(row: Mapping[str, Any], ours: str) -> bool:
    """Nothing of ours says it."""
    return all(_empty(row.get(name)) for name in OURS[ours])


def _empty(value: Any) -> bool:
    return value is None or value == "" or value == []


def _usable(value: Any, ours: str) -> bool:
    """A field of a known name that can hold ours; anything else is metadata."""
    if ours == "choices":
        texts = _labelled(value)[1] if isinstance(value, dict) else value
        return isinstance(texts, list) and len(texts) > 1 and all(isinstance(t, str | int | float) for t in texts)
    if ours == "question":
        return (isinstance(value, str) and bool(value)) or _talk(value)
    return not _empty(value) and isinstance(value, str | int | float | list) and not isinstance(value, bool)


def _talk(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, dict) and "content" in m for m in value)


def _content(value: Any, ours: str, theirs: str, made: dict[str, Any], where: str) -> Any:
    """What a mapped field holds, in our form: messages as text. A system message becomes the context."""
    if ours != "question" or not _talk(value):
        return value
    roles = [str(m.get("role", "user")) for m in value]
    texts = [str(m["content"]) for m in value]
    if roles == ["user"]:
        return texts[0]
    if roles == ["system", "user"] and not made.get("context"):
        made["context"] = texts[0]
        return texts[1]
    raise UserError(
        f"`{theirs}` holds {len(value)} messages ({', '.join(roles)})",
        where=where,
        wanted="one message of the user, or one of the system before it",
        do="write the text to ask as `question`",
    )


def _labelled(held: Mapping[str, Any]) -> tuple[list[str], Any]:
    """(labels, texts) of choices with a label each: `{text: […], label: […]}` or `{A: …, B: …}`."""
    if "text" in held:
        return list(map(str, held.get("label") or ())), held["text"]
    short = all(str(label).isalnum() and len(str(label)) <= 2 for label in held)
    return list(map(str, held)), list(held.values()) if short else None


def _lettered(row: Mapping[str, Any]) -> Sequence[str]:
    for letters in ("ABCDEFGHIJ", "abcdefghij"):
        names = [one for one in letters if isinstance(row.get(one), str | int | float)]
        if len(names) > 1 and names == list(letters[: len(names)]):
            return names
    return ()


def _numbered(row: Mapping[str, Any]) -> Sequence[str]:
    """choice1, choice2, …; of the first name that has two or more."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, value in row.items():
        match = _NUMBERED.fullmatch(name.lower())
        if match and isinstance(value, str | int | float):
            groups.setdefault(match["name"], []).append((match["at"].rjust(2), name))
    return next(([name for _, name in sorted(g)] for g in groups.values() if len(g) > 1), ())


def _ambiguous(names: Iterable[str], ours: str, where: str) -> UserError:
    names = list(names)
    return UserError(
        f"{' and '.join(f'`{n}`' for n in names)} could each be the {ours}",
        where=where,
        wanted=f"one `{ours}`",
        do=" or ".join(f"--set fields.{ours}={name}" for name in names)
        + f"; in a study: `{{fields: {{{ours}: {names[0]}}}}}` among the task's options",
    )
