"""What models and users wrote, made safe to look at: invisible characters shown, endless text cut and the cut counted.

Escaping for HTML is jinja's; this is about characters that escaped text can still deceive with (control and
direction marks, lone surrogates) and about white space, which decides exact matches and cannot be seen.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from markupsafe import Markup, escape

MOST_SHOWN = 1_600
MOST_NAME = 160
_CODE = re.compile(r"`([^`\n]{1,200})`")
_EDGE = re.compile(r"^ +| +(?=\n|$)|(?<= ) ", re.MULTILINE)


def without_home(text: str) -> str:
    """The text with `~` for the home folder of whoever made it: a page that is passed on need not name its maker."""
    home = str(Path.home())
    return text if home in ("", "/") else re.sub(rf"{re.escape(home)}(?=[/\\\\\"'\s]|$)", "~", text)


def safe(text: str) -> str:
    """Control, direction and surrogate characters as \\u escapes; everything else as it is."""
    return "".join(_escaped(c) if _deceives(c) else c for c in text)


def _deceives(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") and character not in "\n\t"


def name(text: str) -> str:
    """A name on one line, shortened in its middle."""
    return shortened(" ".join(safe(text).split()), MOST_NAME)


def visible(text: str) -> str:
    """White space shown: ␣ for a space at an edge or next to another, ⇥, ↵ before each line break."""
    shown = _EDGE.sub(lambda m: "␣" * len(m.group()), safe(shortened(text, MOST_SHOWN)))
    shown = shown.replace("\t", "⇥\t").replace("\n", "↵\n")
    return shown or "(empty)"


def prose(text: str) -> Markup:
    """Escaped, with `code` between back-ticks set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def shortened(text: str, most: int) -> str:
    """At most so many characters, the middle left out and counted."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters left out … {text[-half:]}"


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
