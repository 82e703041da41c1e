"""The shared twin scorers: from one item and its raw answers to a right-or-wrong score and its graded twin.

Pure functions; the first Score is the primary one. A sudden rise of the hard score that its soft twin does not share is
an artefact of the metric (Schaeffer et al. 2023, arXiv 2304.15004), so both always come from the same answers.
An answer that failed, or whose log-probabilities are unusable, gives no score and says why: it is never a 0.

Several right answers: the likeliest one stands for them. That is a lower bound of the probability of any of them,
and exact unless two are about equally likely; summing would count twice where one begins another.
Known limit: `edit_similarity` needs generated text; teacher-forced answers hold ranks, not the greedy tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from saltus.records import Answer, Item, Score

Soft = Literal["token_logprob", "gold_logprob"]
Details = dict[str, float | str | None]


def choice_scores(item: Item, answers: Sequence[Answer], *, lengths: Sequence[int] | None = None) -> tuple[Score, ...]:
    """Multiple choice by log-likelihood: one answer per choice, in the order of `item.choices`.

    lengths: bytes of each choice, for `acc_norm`; without them (letters) that score is left out. Ties count 1/k.
    """
    metrics = [("acc", "gold_logprob")] + ([("acc_norm", "token_logprob")] if lengths else [])
    if len(answers) != len(item.choices):
        return _missing(metrics, f"{len(answers)} answers for {len(item.choices)} choices")
    why = _unusable(answers, "choice")
    if why:
        return _missing(metrics, why)
    totals = [math.fsum(a.token_logprobs) for a in answers]
    gold = max(item.gold, key=lambda i: totals[i])
    top = max(totals)
    weights = [math.exp(t - top) for t in totals]
    prob = min(1.0, math.fsum(weights[i] for i in item.gold) / math.fsum(weights))
    detail: Details = {"choice_prob": prob, "brier": (1.0 - prob) ** 2}
    wrong = [t for i, t in enumerate(totals) if i not in item.gold]
    if wrong:
        detail["margin"] = totals[gold] - max(wrong)
    hard = _share_of_best(totals, item.gold)
    scores = [_score("acc", hard, "gold_logprob", totals[gold], detail)]
    if lengths:
        per_byte = [t / max(1, n) for t, n in zip(totals, lengths, strict=True)]
        mean = totals[gold] / len(answers[gold].token_logprobs)
        hard = _share_of_best(per_byte, item.gold)
        scores.append(_score("acc_norm", hard, "token_logprob", mean, {}))
    return tuple(scores)


def target_scores(answers: Sequence[Answer], *, soft: Soft = "token_logprob") -> tuple[Score, ...]:
    """Log-likelihood of a target, one answer per alternative: would greedy decoding write it, how likely is it.

    One forward pass gives both: every target token being the most likely one, given the right ones before, is
    the same as greedy decoding producing the target.
    """
    why = "no target was asked" if not answers else _unusable(answers, "target")
    if why:
        return _missing([("greedy_match", soft)], why)
    facts = _target_facts(answers)
    return (_score("greedy_match", facts.pop("greedy_match"), soft, facts.pop(soft), facts),)


def generated_scores(item: Item, answers: Sequence[Answer], *, delimiter: str = "") -> tuple[Score, ...]:
    """Exact match by generation: the generated answer first, then one log-likelihood per alternative target.

    `exact_match` is byte for byte, with or without the delimiter (the white space that the prompt's format puts
    before an answer); `exact_match_stripped` ignores white space at the ends and counts any run of it as one.
    """
    metrics = [("exact_match", "token_logprob"), ("exact_match_stripped", "edit_similarity")]
    why = "nothing was generated" if not answers else answers[0].error
    if why:
        return _missing(metrics, f"the generation failed: {why}")
    text, targets = answers[0].text, alternatives(item)
    exact = any(text in (t, delimiter + t) for t in targets)
    plain = " ".join(text.split())
    wanted = [" ".join(t.split()) for t in targets]
    similar = max(edit_similarity(plain, t) for t in wanted)
    stripped = _score("exact_match_stripped", plain in wanted, "edit_similarity", similar, {})
    why = "no target was asked" if len(answers) < 2 else _unusable(answers[1:], "target")
    if why:
        raw = Score(
            metric_hard="exact_match", hard=float(exact), metric_soft="token_logprob", soft=None, why_no_soft=why
        )
        return raw, stripped
    facts = _target_facts(answers[1:])
    raw = _score("exact_match", exact, "token_logprob", facts.pop("token_logprob"), facts)
    return raw, stripped


def alternatives(item: Item) -> tuple[str, ...]:
    """The right answers of an item without choices."""
    return (item.target,) if isinstance(item.target, str) else item.target


def edit_similarity(a: str, b: str) -> float:
    """1 − Levenshtein distance / longer length; 1 for two empty texts.

    Bit-parallel (Myers 1999, Hyyrö 2003), one step per character of the shorter text.
    """
    if len(a) < len(b):
        a, b = b, a
    if not b:
        return 0.0 if a else 1.0
    where: dict[str, int] = {}
    for i, char in enumerate(a):
        where[char] = where.get(char, 0) | 1 << i
    full, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    up, down, distance = full, 0, len(a)
    for char in b:
        match = where.get(char, 0)
        zero = (((match & up) + up) ^ up) | match | down
        grown, shrunk = down | ~(zero | up) & full, up & zero
        distance += bool(grown & last) - bool(shrunk & last)
        grown, shrunk = (grown << 1 | 1) & full, shrunk << 1 & full
        up, down = shrunk | ~(zero | grown) & full, grown & zero
    return 1.0 - distance / len(a)


def _target_facts(answers: Sequence[Answer]) -> dict[str, float]:
    """Metrics of the likeliest alternative; greedy where any alternative is."""
    totals = [math.fsum(a.token_logprobs) for a in answers]
    best = max(range(len(answers)), key=totals.__getitem__)
    n = len(answers[best].token_logprobs)
    facts = {
        "greedy_match": float(any(_greedy(a) for a in answers)),
        "token_logprob": totals[best] / n,
        "gold_logprob": totals[best],
    }
    if answers[best].token_ranks:
        facts["token_acc"] = sum(rank == 0 for rank in answers[best].token_ranks) / n
    return facts


def _greedy(answer: Answer) -> bool:
    if answer.greedy is not None:
        return answer.greedy
    return not any(answer.token_ranks)


def _unusable(answers: Sequence[Answer], what: str) -> str | None:
    """Why these log-likelihoods cannot be scored, or None."""
    for i, answer in enumerate(answers):
        if answer.error:
            return f"the answer for {what} {i + 1} failed: {answer.error}"
        if not answer.token_logprobs:
            return f"{what} {i + 1} has no tokens"
        if not all(map(math.isfinite, answer.token_logprobs)):
            return f"{what} {i + 1} has a log-probability that is not finite"
        if answer.greedy is None and not answer.token_ranks and what == "target":
            return f"{what} {i + 1} came without ranks, so greedy decoding is unknown"
    return None


def _share_of_best(values: Sequence[float], gold: Sequence[int]) -> float:
    top = max(values)
    best = [i for i, value in enumerate(values) if value == top]
    return sum(i in gold for i in best) / len(best)


def _score(hard_name: str, hard: float, soft_name: str, soft: float, detail: Details | dict[str, float]) -> Score:
    return Score(metric_hard=hard_name, hard=float(hard), metric_soft=soft_name, soft=soft, detail=detail)


def _missing(metrics: Sequence[tuple[str, str]], why: str) -> tuple[Score, ...]:
    return tuple(
        Score(metric_hard=hard, hard=None, metric_soft=soft, soft=None, why_no_hard=why, why_no_soft=why)
        for hard, soft in metrics
    )
