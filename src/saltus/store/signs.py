"""Signs of a harness at fault, read from stored answers where they are scored: one set per ask, for the guards.

Each sign is true, false, or null where it does not apply, and each is narrow on purpose: an answer that is merely
wrong, an untrained model that rambles and a choice between two equal strings are no faults. What an aggregate cannot
show any more (which answers were cut, which choices tied) is thus kept item by item, next to the scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from saltus.records import Answer, Item, Request
from saltus.store.base import Segments
from saltus.store.contents import Contents
from saltus.tasks.base import Task

SIGNS: dict[str, Any] = {
    "cut_answers": pl.Boolean,
    "off_menu": pl.Boolean,
    "tied_choices": pl.Boolean,
    "zero_likelihoods": pl.Boolean,
    "white_space": pl.String,
}
"""Column → type. `white_space` is "" where the seam between prompt and answer was looked at and is sound."""
LOOKED_AT = 8
"""Items from the first, whose prompts are written out again to look at white space."""

Signs = tuple[bool | None, bool | None, bool | None, bool | None]
NONE: Signs = (None, None, None, None)


def of_answers(item: Item, answers: Sequence[Answer], right: bool) -> Signs:
    """The first four of SIGNS. right: the scorer found the answer right."""
    stated = [a for a in answers if a.finish is not None and a.finish != "outcome"]
    likely = [a for a in answers if a.finish is None and a.token_logprobs]
    cut = _cut(item, stated[-1]) and not right if stated else None
    off = not (right or _on_menu(item, stated[-1].text)) if stated and item.choices else None
    tied = zero = None
    if likely:
        totals = [sum(a.token_logprobs) for a in likely]
        if len(likely) > 1 and len(likely) == len(item.choices):
            tied = len(set(totals)) == 1 and len(set(item.choices)) == len(item.choices)
        zeros = not any(x for a in likely for x in a.token_logprobs)
        zero = zeros and (len(likely) > 1 or likely[0].greedy is False)
    return cut, off, tied, zero


def _cut(item: Item, answer: Answer) -> bool:
    """Ended by the limit of tokens with the right answer in it, or before anything was answered at all."""
    if answer.finish not in ("length", "window"):
        return False
    wanted = item.choices or ((item.target,) if isinstance(item.target, str) else item.target)
    gold = [wanted[i] for i in item.gold] if item.choices else wanted
    text = f" {' '.join(answer.text.split())} "
    if not text.strip():
        return True
    return any(_stands_in(" ".join(g.split()), text) for g in gold if g.strip())


def _stands_in(words: str, text: str) -> bool:
    """As a whole: 12 is not in 512."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def _on_menu(item: Item, text: str) -> bool:
    """A choice, or its letter on its own, stands anywhere in the text."""
    words = " ".join(text.split()).casefold()
    if any(c.strip() and " ".join(c.split()).casefold() in words for c in item.choices):
        return True
    letters = "".join(chr(65 + i) for i in range(min(26, len(item.choices))))
    return re.search(rf"(?<![A-Za-z])[{letters}](?![A-Za-z])", text) is not None


def of_prompts(task: Task, item: Item, answers: Sequence[Answer]) -> str | None:
    """What is wrong with the seam between prompts and answers, "" for nothing, None where nobody can tell.

    The task is led through the stored answers once more; one that leads its conversations itself is left alone.
    """
    if hasattr(task, "conduct"):
        return None
    requests = [r for r in _asked(task, item, answers) if not r.messages]
    given = [r for r in requests if r.kind == "loglikelihood" and r.prompt and r.continuation]
    begins = {r.continuation[0].isspace() or r.prompt[-1].isspace() for r in given}
    if len(begins) > 1:
        return "some choices begin with a space and others do not"
    if any(_run_together(r) for r in given):
        return "prompt and answer run together without a space"
    if any(r.kind == "generate" and r.prompt.endswith((" ", "\t")) for r in requests):
        return "the prompt ends in a space, so the answer's first token is not the usual one"
    return "" if requests else None


def _asked(task: Task, item: Item, answers: Sequence[Answer]) -> Iterator[Request]:
    talk = task.ask(item)
    try:
        yield next(talk)
        for answer in answers:
            yield talk.send(answer)
    except StopIteration:
        return
    finally:
        talk.close()


def _run_together(request: Request) -> bool:
    """Two letters or digits meet, or a colon and a letter, in a text that otherwise puts spaces between words."""
    last, first = request.prompt[-1], request.continuation[0]
    meet = _of_a_word(first) and (_of_a_word(last) or last == ":")
    tail = request.prompt[-200:]
    return meet and tail.count(" ") >= max(4, len(tail) // 12)


def _of_a_word(letter: str) -> bool:
    """A digit, or a letter of a script with two cases: others write no spaces between words."""
    return letter.isdigit() or letter.lower() != letter.upper()


def changed_answers(store: Segments, found: Contents, models: Sequence[str]) -> pl.DataFrame:
    """Per model identity (`model_identity`, `changed_answers`) how many questions have two different answers.

    One writer never asks a question twice that was answered, so only identities with several are looked at.
    """
    rows = []
    for model in dict.fromkeys(models):
        segments = [s for s in found.segments if s.holds(model)]
        count = sum(s.changed for s in segments)
        if len({s.writer for s in segments}) > 1:
            count += count_changed(store.answers(model))
        if count:
            rows.append((model, count))
    schema = {"model_identity": pl.String, "changed_answers": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def count_changed(answers: pl.LazyFrame) -> int:
    """Keys under which answers differ by more than the rounding of another batch or machine."""
    stated = answers.filter(pl.col("error").is_null()).with_columns(total=pl.col("token_logprobs").list.sum())
    apart = stated.group_by("key").agg(
        changed=(pl.col("text").n_unique() > 1) | (pl.col("total").max() - pl.col("total").min() > APART)
    )
    return int(apart.select(pl.col("changed").sum()).collect().item())


APART = 0.5
"""Nats by which two answers to one question may differ: more than bfloat16 or another batch makes of them."""
