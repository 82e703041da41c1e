"""Scores the samples lm-eval logged, item by item, from its raw responses: the hard score and its soft twin.

Only responses, targets and arguments are taken; numbers come as text there ("-20.57", "False"), its per-item Brier as a
printed array, and of repeats it scores the first alone. Known limits: log-likelihoods are sums without tokens, so the
soft twin is per answer, not per token; where a task scores written answers by rules of its own
(`exact_match` with regular expressions), its per-item 0 or 1 is taken as it is.
"""

from __future__ import annotations

import ast
import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.metrics import base_name, lookup
from saltus.records import Answer, Item
from saltus.scoring import choice_scores, edit_similarity

Row = dict[str, Any]
_LONGEST = 400
"""Characters of a written answer compared with its target; lm-eval's answers may run on for thousands."""


def read(file: Path, beside: Path) -> tuple[list[Row], list[str]]:
    """Item-level rows (item_id, metric, value or why_missing, nominal_floor) and notes. Raises UserError."""
    rows: list[Row] = []
    unscored: dict[str, int] = {}
    for line, sample in _lines(file):
        try:
            scores = dict(_score(sample))
        except (KeyError, ValueError, TypeError, IndexError, SyntaxError) as error:
            unscored[f"responses not understood ({error}), first in line {line}"] = 1
            continue
        kept = str(sample.get("filter", "none"))
        suffix = "" if kept == "none" else f",{kept}"
        shared = {"item_id": str(sample.get("doc_id")), "nominal_floor": scores.pop("_floor", None)}
        for name, value in scores.items():
            bad = None if value is not None and math.isfinite(value) else "log-likelihood is not finite"
            rows.append({**shared, "metric": name + suffix, "value": None if bad else value, "why_missing": bad})
            if lookup(name).role != "hard":
                rows[-1]["nominal_floor"] = None
    notes = [f"{count} samples left out: {why}" for why, count in unscored.items()]
    if not rows:
        notes.append(f"no sample could be scored; the aggregates of {beside.name} stand")
    return rows, notes


def _lines(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    opened = gzip.open if file.read_bytes()[:2] == b"\x1f\x8b" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"broken JSON: {error}",
                    where=f"{file}, line {number}",
                    do="copy the file again, or remove it: the results beside it can be read without",
                ) from error


def _score(sample: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """(metric, value) of one sample; `_floor` is its chance where it has choices."""
    answers = [_first(r) for r in sample["resps"]]
    likelihoods = [_likelihood(a) for a in answers]
    if likelihoods and all(ll is not None for ll in likelihoods):
        if len(likelihoods) == 1:
            yield from _one_target(sample, *likelihoods[0])  # type: ignore[misc]
        else:
            yield from _choices(sample, [ll[0] for ll in likelihoods])  # type: ignore[index]
        return
    yield from _written(sample)


def _first(responses: Any) -> Any:
    """The first repeat: responses are a list of repeats, or the answer itself in some versions."""
    pair = isinstance(responses, list) and len(responses) == 2 and not isinstance(responses[0], list)
    return responses if pair or not isinstance(responses, list) else responses[0]


def _likelihood(answer: Any) -> tuple[float, bool] | None:
    """(log-likelihood, greedy) from `["-20.57", "False"]`; None where the answer is text."""
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        return None
    try:
        return float(answer[0]), str(answer[1]).strip().lower() in ("true", "1")
    except ValueError:
        return None


def _one_target(sample: Mapping[str, Any], total: float, greedy: bool) -> Iterator[tuple[str, float | None]]:
    yield "acc", float(greedy)
    yield "gold_logprob", total


def _choices(sample: Mapping[str, Any], totals: list[float]) -> Iterator[tuple[str, float | None]]:
    texts = _texts(sample)
    if "acc_mutual_info" in sample and len(totals) % 2 == 0:
        totals = totals[: len(totals) // 2]  # the second half is the unconditional likelihoods
    gold = _gold(sample["target"], texts, len(totals))
    if not all(map(math.isfinite, totals)):
        yield from ((name, None) for name in ("acc", "gold_logprob", "choice_prob", "brier"))
        return
    item = Item(id="", choices=tuple(map(str, range(len(totals)))), gold=gold)
    score = choice_scores(item, [Answer(key="", token_logprobs=(t,)) for t in totals])[0]
    yield "acc", score.hard
    yield "gold_logprob", score.soft
    yield "choice_prob", float(score.detail["choice_prob"])  # type: ignore[arg-type]
    yield "brier", float(score.detail["brier"])  # type: ignore[arg-type]
    yield "_floor", len(gold) / len(totals)
    if "acc_norm" in sample and len(set(texts)) > 1:
        scaled = [t / max(1, len(text)) for t, text in zip(totals, texts)]
        yield "acc_norm", float(scaled.index(max(scaled)) in gold)


def _texts(sample: Mapping[str, Any]) -> list[str]:
    """The continuations asked, in order: the choices without the delimiter before them."""
    asked = sample.get("arguments") or {}
    parts = list(asked.values()) if isinstance(asked, Mapping) else list(asked)
    return [str(p["arg_1"] if isinstance(p, Mapping) else p[1]).lstrip() for p in parts]


def _gold(target: Any, texts: Sequence[str], k: int) -> tuple[int, ...]:
    """Indices of the right choices: lm-eval writes an index, a list of them, or the choice's text, all as text."""
    value = target
    if isinstance(target, str):
        text = target.strip()
        matching = tuple(i for i, t in enumerate(texts[:k]) if t.strip() == text)
        if matching and not text.isdigit():
            return matching
        value = ast.literal_eval(text)
    indices = tuple(int(v) for v in value) if isinstance(value, list | tuple) else (int(value),)
    if not indices or not all(0 <= i < k for i in indices):
        raise ValueError(f"target {target!r} is none of {k} choices")
    return indices


def _written(sample: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Written answers: the task's own per-item scores, and ours that ignore white space and give partial credit."""
    given = sample.get("filtered_resps", sample["resps"])
    answer = str(_first(given[0]) if isinstance(given, list) and given else given)
    hard = False
    for name in sample.get("metrics") or [m for m in sample if lookup(m).role == "hard" and not lookup(m).guessed]:
        value = sample.get(name)
        if isinstance(value, bool | int | float) and lookup(base_name(name)).role != "mechanism":
            hard = hard or lookup(name).role == "hard"
            yield name, float(value)
    target = sample["target"]
    if hard and isinstance(target, str) and target.strip():
        plain, wanted = " ".join(answer[:_LONGEST].split()), " ".join(target.split())
        yield "exact_match_stripped", float(plain == wanted)
        yield "edit_similarity", edit_similarity(plain, wanted)
