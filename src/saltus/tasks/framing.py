"""The words around an own question: which style, and which white space stands between its parts.

`auto` asks a cloze as it is written, since a model that completes `Arun lives in` need not know what follows
`Question: Arun lives in / Answer:`; everything else is asked as its kind is by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saltus.hashing import content_hash
from saltus.tasks import options
from saltus.tasks.rendering import STYLES, Style
from saltus.tasks.text import Kind


@dataclass(frozen=True, slots=True)
class Framing:
    """How the items of one file are framed."""

    style: str
    """Of everything that is no cloze."""
    auto: bool
    """Clozes are asked plain."""
    clozes: int
    glued: bool
    """Answers follow a sign such as `=` without a space."""
    delimiter: str | None
    target_delimiter: str | None
    shown: Mapping[str, tuple[Any, Any]]
    """Option → (value, default), for the task's name."""

    @property
    def version(self) -> str:
        """`1` where everything is asked as saltus always did."""
        version = "3" if self.glued else "2" if self.auto else "1"
        spaces = [self.delimiter, self.target_delimiter]
        return version if spaces == [None, None] else f"{version}.{content_hash(spaces)[7:13]}"

    def in_words(self, rows: int) -> str:
        """In words: which frame was used."""
        frame = framed(STYLES[self.style], self.style)
        joined = "; answers follow a sign such as = without a space" if self.glued else ""
        if not self.auto:
            return frame + joined
        plain = framed(STYLES["plain"], "plain")
        return (plain if self.clozes == rows else f"{plain} for {self.clozes} of {rows} items, else {frame}") + joined


def framing(part: str, given: Mapping[str, Any], kind: Kind, clozes: int, glued: int) -> Framing:
    """The framing that the options `style`, `delimiter` and `target_delimiter` describe.

    clozes: how many items are clozes whose choices follow them. glued: how many end in a sign that their answer follows
    directly, as in `7+6=`.
    """
    default = "plain" if kind == "loglikelihood" else "qa"
    stated = options.one_of(part, "style", given.get("style", "auto"), (*STYLES, "auto"))
    auto = stated == "auto" and kind == "multiple_choice" and clozes > 0
    style = default if stated == "auto" else stated
    # Where nothing is a cloze, `auto` is the default, and a study that names the default keeps its answers' names.
    usual = "auto" if kind == "multiple_choice" and clozes else default
    spaces = {name: options.text(part, name, given.get(name)) for name in ("delimiter", "target_delimiter")}
    shown: dict[str, tuple[Any, Any]] = {"style": ("auto" if auto else style, usual)}
    shown |= {name: (None if value is None else repr(value), None) for name, value in spaces.items()}
    joined = (style == "plain" or auto) and glued > 0 and spaces["target_delimiter"] is None
    return Framing(style, auto, clozes, joined, spaces["delimiter"], spaces["target_delimiter"], shown)


def framed(style: Style, name: str) -> str:
    """A style as its words around `…`."""
    words = f"{style.header}{style.question.replace('{}', '…')}{style.answer}".replace("\n", "⏎")
    return f"style {name} (`{words}`)"
