"""What the probe asks a server, and how it takes the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from saltus.models.base import ModelError
from saltus.models.server.client import Client, Job, Reply
from saltus.models.server.wire import Generated, WireError, generate_body, generated, mark
from saltus.records import Settings

TAIL = " The capital of Italy is Rome."
TEXTS = ("The capital of France is Paris." + TAIL, "How many green bottles fell down?" + TAIL)
"""Two sentences each, the second shared: its numbers must depend on the first."""
SHORT = Settings(max_tokens=8)
SAMPLED = Settings(max_tokens=8, temperature=1.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One property. `needed`: without it there are no log-likelihoods."""

    name: str
    passed: bool | None
    """None: could not be looked at, and `seen` says why."""
    seen: str
    needed: bool = False


@dataclass
class Server:
    """Asks without giving up, and remembers who answered."""

    client: Client
    name: str
    marks: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))

    def ask(self, *jobs: tuple[str, Mapping[str, Any]]) -> list[Reply[int]]:
        """Replies in the order of the jobs. Raises ModelError where the server cannot be reached."""
        numbered = [Job(i, path, body) for i, (path, body) in enumerate(jobs)]
        replies = sorted(self.client.each(numbered, retries=2, fatal=False), key=lambda r: r.tag)
        for reply in replies:
            if reply.error is not None and (reply.error.kind == "unreachable" or reply.error.status in (401, 402, 403)):
                raise ModelError(f"{self.client.url}: {reply.error}") from reply.error
            for seen, found in zip(self.marks, mark(reply.payload or {}), strict=True):
                if found:
                    seen[found] += 1
        return replies


def job(
    server: Server,
    ask: Mapping[str, Any],
    settings: Settings = SHORT,
    *,
    seed: int | None = None,
    most: str = "max_tokens",
) -> tuple[str, dict[str, Any]]:
    """A generation as it goes out: (path, body)."""
    path = "chat/completions" if "messages" in ask else "completions"
    return path, generate_body(server.name, ask, settings, seed, most)


def outcome(reply: Reply[int]) -> Generated | str:
    """What was answered, or why nothing was."""
    try:
        return generated(reply.payload, SHORT) if reply.payload is not None else str(reply.error)
    except WireError as error:
        return str(error)


def line_of(name: str, outcome: Generated | str) -> Line:
    """Whether there was an answer."""
    if isinstance(outcome, Generated):
        return Line(name, True, "answered")
    return Line(name, False, outcome)


def again(same: bool) -> str:
    """In words."""
    return "was the same when asked again" if same else "was another when asked again"
