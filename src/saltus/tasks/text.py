"""One task for all items that are plain text with a right answer: the machinery under `jsonl:` and `bigbench:`.

Three kinds. "multiple_choice": how likely is each choice (format cloze), or its letter after a list of the choices
(letters). "generate": the model writes, exact match decides, and the teacher-forced target gives the soft twin.
"loglikelihood": how likely is the target.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from saltus.errors import UserError
from saltus.records import Answer, Floor, Item, Request, Score, Settings
from saltus.scoring import alternatives, choice_scores, generated_scores, target_scores
from saltus.tasks import floors
from saltus.tasks.answers import Reader
from saltus.tasks.rendering import LETTERS, STYLES, Style, continuation, is_cloze, is_glued, prompt, style_of

Kind = Literal["multiple_choice", "generate", "loglikelihood"]
PRIMARY: dict[Kind, tuple[str, str | None]] = {
    "multiple_choice": ("acc", "gold_logprob"),
    "generate": ("exact_match", "token_logprob"),
    "loglikelihood": ("greedy_match", "token_logprob"),
}
FORMATS: dict[Kind, tuple[str, ...]] = {
    "multiple_choice": ("cloze", "letters"),
    "generate": ("generate",),
    "loglikelihood": ("continuation",),
}
"""The formats of each kind, the default first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextTask:
    """Items read from somewhere, asked in a style."""

    name: str
    kind: Kind
    format: str
    source: Sequence[Item]
    style: Style
    provenance: Mapping[str, Any]
    skill: str
    version: str = "1"
    listed: bool = False
    """The choices stand in the prompt."""
    settings: Settings = field(default_factory=Settings)
    examples: Sequence[Item] | None = None
    """Worked examples in their order; None: other items."""
    extract: str | None = None
    """Regular expression whose first match is the generated answer; no match is an empty one."""
    cloze: Style | None = None
    """The style of items that break off for their answer; None: that of all."""
    delimiter: str | None = None
    """Between context and question, where it is not the style's."""
    target_delimiter: str | None = None
    """Between prompt and answer, where it is not the style's."""
    glued: bool = False
    """Answers follow a question that ends in a sign such as `=` without a space; else the style's delimiter stands."""
    reader: Reader | None = None
    """What of an answer and of a target is compared; None: all of it, as it is."""
    notes: tuple[str, ...] = ()
    """What was read other than it is called."""

    styles: ClassVar[tuple[str, ...]] = tuple(STYLES)

    @property
    def needs(self) -> frozenset[str]:
        extra = {"generate"} if self.kind == "generate" else set()
        return frozenset({"loglikelihood"} | extra)

    @property
    def primary(self) -> tuple[str, str | None]:
        return PRIMARY[self.kind]

    @property
    def lettered(self) -> bool:
        return self.format == "letters"

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """The first n in the order of the source; rng is not needed."""
        return self.source if n is None or n >= len(self.source) else self.source[:n]

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> Sequence[Item]:
        """The first k of `examples`, else k other items at random, none of the item's group or kin."""
        if self.examples is not None:
            found = [e for e in self.examples if not _kin(e, item)][:k]
        else:
            found = _drawn(self.source, item, k, rng)
        if len(found) < k:
            raise UserError(
                f"{k} worked examples are wanted for `{item.id}`, and {len(found)} can be shown",
                where=self.name,
                wanted="items that share neither group nor parent with it",
                do="ask for fewer shots, or name a file of worked examples: `examples: FILE.jsonl`",
            )
        return found

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        style = self._style(item)
        text = prompt(item, style, listed=self.listed, lettered=self.lettered)
        if self.kind == "generate":
            yield Request(kind="generate", prompt=text, settings=self.settings)
        for answer in self._answers(item):
            asked = continuation(text, answer, style)
            yield Request(kind="loglikelihood", prompt=text, continuation=asked)

    def _answers(self, item: Item) -> Sequence[str]:
        if self.kind != "multiple_choice":
            return alternatives(item)
        return LETTERS[: len(item.choices)] if self.lettered else item.choices

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        if self.kind == "multiple_choice":
            sizes = None if self.lettered else [len(c.encode()) for c in item.choices]
            return choice_scores(item, answers, lengths=sizes)
        if self.kind == "loglikelihood":
            return target_scores(answers)
        if self.extract and answers:
            found = re.search(self.extract, answers[0].text)
            answers = [replace(answers[0], text=found[0] if found else ""), *answers[1:]]
        if self.reader and answers:
            answers = [replace(answers[0], text=self.reader.answer(answers[0].text)), *answers[1:]]
            item = replace(item, target=tuple(map(self.reader.target, alternatives(item))))
        return generated_scores(item, answers, delimiter=self._style(item).delimiter)

    def _style(self, item: Item) -> Style:
        style = style_of(item, self.cloze if self.cloze is not None and is_cloze(item) else self.style)
        if self.delimiter is not None:
            style = replace(style, context="{}" + self.delimiter)
        if self.target_delimiter is not None:
            return replace(style, delimiter=self.target_delimiter)
        return replace(style, delimiter="") if self.glued and is_glued(item) else style

    def floor(self, items: Sequence[Item]) -> Floor:
        """The best guesser that never reads the question."""
        if self.kind == "multiple_choice":
            return floors.of_choices(items)
        return floors.of_targets(items)


def _kin(one: Item, item: Item) -> bool:
    """Whether one gives item's answer away: itself, its parent, its twin, its group."""
    ids = {item.id, item.parent_id} - {None}
    return one.id in ids or one.parent_id in ids or (item.group is not None and one.group == item.group)


def _drawn(source: Sequence[Item], item: Item, k: int, rng: np.random.Generator) -> list[Item]:
    """k items that are no kin, by rejection while that is cheap, then by going through all."""
    found: dict[int, Item] = {}
    for index in rng.integers(0, len(source), 4 * k + 8).tolist():
        if len(found) == k:
            return list(found.values())
        if index not in found and not _kin(one := source[index], item):
            found[index] = one
    for index in rng.permutation(len(source)).tolist():
        if len(found) == k:
            break
        if index not in found and not _kin(one := source[index], item):
            found[index] = one
    return list(found.values())
