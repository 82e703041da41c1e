"""Where the commands write: text and tables for people and JSON for machines to stdout, mistakes to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn


def rich_print(*renderables: Any) -> None:
    """Tables and styled text; wide where there is no terminal to fit into."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a pipe has no width of its own
        console = Console(width=160)
    for renderable in renderables:
        console.print(renderable)


def say(text: str) -> None:
    """One line as it is."""
    sys.stdout.write(text + "\n")


def json_out(value: Any) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def fail(text: str, code: int) -> NoReturn:
    """A message and an exit code."""
    sys.stderr.write(text + "\n")
    sys.exit(code)
