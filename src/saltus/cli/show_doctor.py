"""An examination for people: facts, warnings, then each request token by token with its continuation marked.

Tokens are parted by a thin bar, what was scored or generated stands after ▶; a space is ·, a line break ⏎.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saltus.models.base import Bos, Description, Template
from saltus.records import ModelRef
from saltus.runner.doctor import Asked, Examination


def render(examination: Examination) -> RenderableType:
    """Everything that was seen."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(examination):
        facts.add_row(name, Text(value))
    parts: list[RenderableType] = [facts]
    parts += [Text.assemble(("! ", "bold yellow"), warning) for warning in examination.warnings]
    if not examination.warnings:
        parts.append(Text("Nothing suspicious was seen.", "green"))
    for asked in examination.asked:
        parts += [Text(""), *_drawn(asked)]
    return Group(*parts)


def _facts(seen: Examination) -> Iterator[tuple[str, str]]:
    about = seen.about
    yield "model", _model(seen)
    yield "series", f"{seen.ref.series}   {_place(seen.ref)}"
    yield "kind", _kind(about)
    yield "BOS", _bos(about.bos)
    yield "template", _template(about.template)
    yield "offers", ", ".join(seen.offers)
    yield "identity", seen.identity
    yield "weights", about.weights_hash or "no files"
    yield "tokenizer", about.tokenizer.hash or about.tokenizer.by or "no files"
    yield "speed", _speed(seen)
    if seen.task:
        yield "task", f"{seen.task}, item {seen.item}"


def _model(seen: Examination) -> str:
    ref = seen.ref
    name = f"{ref.location}@{ref.revision}" if ref.revision else ref.location
    return f"{name}, the last of {seen.found} behind {seen.source}" if seen.found > 1 else name


def _place(ref: ModelRef) -> str:
    return " ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in ref.coords.items())


def _kind(about: Description) -> str:
    parts = [about.architecture or about.kind, about.dtype or "number format unknown"]
    if about.quantisation:
        parts[-1] += f" of {about.quantisation}"
    if about.params:
        parts.append(f"{about.params:,.0f} parameters")
    if about.window:
        parts.append(f"window {about.window}")
    return ", ".join(parts)


def _bos(bos: Bos) -> str:
    state = {True: "prepended", False: "not prepended", None: f"left to {bos.by or 'the model'}"}[bos.prepended]
    token = bos.token if bos.token is not None else bos.id
    return f"{state} (policy {bos.policy or 'unknown'}, token {'unknown' if token is None else token})"


def _template(template: Template) -> str:
    state = {True: "applied", False: "not applied", None: f"left to {template.by or 'the model'}"}[template.applied]
    return f"{state} (policy {template.policy or 'unknown'})"


def _speed(seen: Examination) -> str:
    if seen.tokens_per_second is None:
        return f"unknown: {seen.why_no_speed}"
    return f"{seen.tokens_per_second:,.0f} tokens/s on {seen.about.device or 'this machine'}"


def _drawn(asked: Asked) -> Iterator[RenderableType]:
    """One request: its tokens in a line, then what it cost in nats or what was generated."""
    line, part = Text(overflow="fold"), "prompt"
    for token in asked.tokens:
        if token.part != part:
            line.append(" ▶ ", "bold green")
            part = token.part
        shown = token.text.replace(" ", "·").replace("\n", "⏎") or "∅"
        line.append(shown, "bold green" if part != "prompt" else "")
        line.append("▏", "dim")
    yield Text(f"{asked.kind}, {len(asked.tokens)} tokens", "bold")
    yield line
    scored = [t for t in asked.tokens if t.logprob is not None]
    if asked.error:
        yield Text(f"failed: {asked.error}", "red")
    elif scored:
        total = sum(t.logprob or 0.0 for t in scored)
        each = " ".join(f"{t.logprob:.2f}" + ("" if not t.rank else f" (rank {t.rank})") for t in scored)
        yield Text(f"log-probability {total:.3f} nats = {each}", "dim")
    if asked.kind == "generate" and not asked.error:
        yield Text(f"generated {asked.text!r}, ended by {asked.finish}", "dim")
