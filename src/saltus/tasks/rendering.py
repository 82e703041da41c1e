"""From a structured item to the text a model reads: styles, worked examples, letters before choices.

The only place where prompts are glued together, so white space between prompt and answer is decided once: the prompt
never ends in the delimiter, the answer starts with it (` 42`), as tokenizers expect. Where the prompt already
ends in white space, or the answer starts with it, none is added.
"""

from __future__ import annotations

from dataclasses import dataclass

from saltus.errors import UserError, nearest
from saltus.records import Item

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CLOSING = "\"')]}»”’*"
_ENDING = "?:.!？：。！…؟;"
STYLE_KEY = "asked_in_style"
"""Where in `Item.meta` the condition `style` leaves its level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The fixed words around the parts of an item."""

    header: str = ""
    """Once, before everything."""
    context: str = "{}\n"
    question: str = "{}"
    option: str = "\n{letter}. {choice}"
    """One per choice, where choices are listed."""
    answer: str = ""
    """What asks for the answer, after the question and the listed choices."""
    delimiter: str = " "
    """White space between the prompt and an answer."""
    separator: str = "\n\n"
    """Between worked examples."""


STYLES: dict[str, Style] = {
    "plain": Style(),
    "qa": Style(question="Question: {}", answer="\nAnswer:"),
    "short": Style(question="Q: {}", answer="\nA:"),
    "instruct": Style(
        header="Give the correct answer to each question.\n\n", question="Question: {}", answer="\nCorrect answer:"
    ),
    "dialogue": Style(question="User: {}", answer="\nAssistant:"),
}
"""plain: the question alone; the others say who speaks, or what is wanted."""


def style_named(name: str) -> Style:
    """The style of that name. Raises UserError naming the nearest."""
    if name not in STYLES:
        raise UserError(
            f"unknown style `{name}`", wanted=nearest(name, STYLES), do=f"choose among: {', '.join(STYLES)}"
        )
    return STYLES[name]


def style_of(item: Item, default: Style) -> Style:
    """The style a condition gave the item, else the task's."""
    name = item.meta.get(STYLE_KEY)
    return default if name is None else style_named(name)


def is_cloze(item: Item) -> bool:
    """Whether the question breaks off for the answer to complete it: it ends like no sentence, and is one line."""
    text = item.question.rstrip().rstrip(_CLOSING)
    return bool(text) and "\n" not in item.question and text[-1] not in _ENDING


def is_glued(item: Item) -> bool:
    """Whether the question ends in a sign that its answer follows without a space, as in `7+6=` or `f(`."""
    return item.question[-1:] in tuple("=([{/\"“‘'")


def prompt(item: Item, style: Style, *, listed: bool = False, lettered: bool = False) -> str:
    """Header, worked examples with their answers, then the item up to where its answer starts.

    listed: the choices stand in the prompt. lettered: answers are letters, not texts.
    """
    parts = [style.header]
    for demo in item.demos:
        begun = _begun(demo, style, listed)
        answer = answer_text(demo, lettered=lettered)
        parts += [begun, continuation(begun, answer, style), style.separator]
    parts.append(_begun(item, style, listed))
    return "".join(parts)


def continuation(prompt: str, answer: str, style: Style) -> str:
    """The answer with the delimiter before it, where one is needed."""
    if not prompt or prompt[-1].isspace() or answer[:1].isspace():
        return answer
    return style.delimiter + answer


def answer_text(item: Item, *, lettered: bool = False) -> str:
    """How a worked example answers: the letter or text of its (first) right choice, or its first target."""
    if item.choices:
        return LETTERS[item.gold[0]] if lettered else item.choices[item.gold[0]]
    return item.target if isinstance(item.target, str) else item.target[0]


def _begun(item: Item, style: Style, listed: bool) -> str:
    """One problem up to where its answer starts."""
    text = style.context.replace("{}", item.context) if item.context else ""
    text += style.question.replace("{}", item.question)
    if listed:
        for letter, choice in zip(LETTERS, item.choices, strict=False):
            text += style.option.replace("{letter}", letter).replace("{choice}", choice)
    return text + style.answer
