"""Scores of lm-eval's tasks: our twins from the raw answers, and the task's own metric where only it knows one.

Multiple choice and log-likelihoods are scored by `scoring.py`. Generated text goes through the task's filters and its
metric (lm-eval's or the task's `process_results`), and the teacher-forced target gives the soft twin. A task that
brings a `process_results` of its own is scored by it in the other kinds as well. Two readings differ from the
harness's averages: bits per byte are those of a document, not of the whole corpus, and ties count 1/k. Metrics that
only exist for a corpus (F1 over classes, BLEU, perplexity) are not computed; `per_item` leaves them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from saltus.metrics import lookup
from saltus.records import Answer, Item, Score
from saltus.scoring import alternatives, choice_scores, generated_scores, target_scores
from saltus.tasks.lm_eval.docs import Source
from saltus.tasks.lm_eval.harness import quiet

ROLLING = ("greedy_match", "bits_per_byte")
_NO_HARD = "a running text has no right or wrong"


@dataclass(frozen=True)
class Scorer:
    """Scores the answers to one task's items; `samples`: generated texts per item, before its targets' answers."""

    source: Source
    samples: int = 1
    _latest: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The document scored last: data sets decode it again whenever it is looked at, and it is needed four times."""

    @property
    def filters(self) -> list[str]:
        return [f.name for f in self.source.task._filters]

    def primary(self) -> tuple[str, str | None]:
        """(hard, soft) that the verdict is about."""
        kind = self.source.task.OUTPUT_TYPE
        if kind == "multiple_choice":
            return "acc", "gold_logprob"
        if kind == "loglikelihood":
            return "greedy_match", "token_logprob"
        return ROLLING if kind == "loglikelihood_rolling" else (self._generated_metric(), "token_logprob")

    def score(self, item: Item, answers: Sequence[Answer]) -> tuple[Score, ...]:
        """Answers in the order asked; the first score is the primary one."""
        kind = self.source.task.OUTPUT_TYPE
        if kind == "generate_until":
            with quiet():
                return self._generated(item, answers)
        if kind == "loglikelihood_rolling":
            return (self._rolling(item, answers),)
        return self._likely(item, answers)

    def _likely(self, item: Item, answers: Sequence[Answer]) -> tuple[Score, ...]:
        """Multiple choice or one continuation. `acc_norm` is per character, as lm-eval's."""
        n = len(item.choices)
        if n and not item.gold:
            return missing(self.primary(), "the label names none of the choices")
        lengths = [len(c) for c in item.choices]
        letters = max(lengths, default=0) == 1
        ours = choice_scores(item, answers[:n], lengths=None if letters else lengths) if n else target_scores(answers)
        if ours[0].hard is None:
            return ours
        if item.meta.get("unconditional"):
            ours = (*ours, _mutual(item, answers))
        if self.source.task.config.process_results is None or not self._same_gold(item):
            return ours
        results = [(math.fsum(a.token_logprobs), a.greedy) for a in answers]
        with quiet():
            return _merged(ours, self._own(item, results))

    def _rolling(self, item: Item, answers: Sequence[Answer]) -> Score:
        found = target_scores(answers)[0]
        if found.soft is None:
            return replace(missing((ROLLING,), found.why_no_soft or "")[0])
        total = math.fsum(answers[0].token_logprobs)
        with quiet():
            theirs = self.source.task.process_results(self._doc(item), [total])
        given = theirs.get("bits_per_byte")
        size = given[1] if isinstance(given, tuple) else len(str(item.target).encode())
        names = ("token_logprob", "gold_logprob", "token_acc")
        detail = {"token_logprob": found.soft} | {k: v for k, v in found.detail.items() if k in names}
        return Score(
            metric_hard=ROLLING[0],
            hard=None,
            why_no_hard=_NO_HARD,
            metric_soft=ROLLING[1],
            soft=-total / (size * math.log(2)),
            detail=detail,
        )

    def _generated(self, item: Item, answers: Sequence[Answer]) -> tuple[Score, ...]:
        written, scored = answers[: self.samples], answers[self.samples :]
        failed = next((a.error for a in written if a.error), None)
        if failed or not written:
            why = f"the generation failed: {failed}" if failed else "nothing was generated"
            return missing((self.primary(), ("exact_match_stripped", "edit_similarity")), why)
        filtered = self._filtered(item, [a.text for a in written])
        first = next(iter(filtered.values()))
        plain = replace(written[0], text=first if isinstance(first, str) else written[0].text)
        delimiter = self.source.task.config.target_delimiter
        raw, stripped = generated_scores(item, [plain, *scored], delimiter=delimiter)
        if not self._same_gold(item):
            return raw, stripped
        own: dict[str, float] = {}
        for name, response in filtered.items():
            suffix = f",{name}" if len(filtered) > 1 else ""
            own |= {metric + suffix: v for metric, v in self._own(item, [response]).items()}
        hard = self._generated_metric()
        raw = replace(raw, metric_hard=hard) if hard in own else raw
        return _merged((raw, stripped), own)

    def _generated_metric(self) -> str:
        """The task's first metric of right and wrong, by its first filter; exact match where it has none."""
        names = [n for n in self._per_item() if lookup(n).role == "hard"]
        name = "exact_match" if "exact_match" in names else next(iter(names), None)
        if name is None or len(self.filters) < 2:
            return name or "exact_match"
        return f"{name},{self.filters[0]}"

    def _per_item(self) -> list[str]:
        return [n for n, how in self.source.task.aggregation().items() if how.__name__ == "mean"]

    def not_computed(self) -> list[str]:
        """Metrics of the task that only exist for a corpus, or that ours replace."""
        return sorted(set(self.source.task.aggregation()) - set(self._per_item()))

    def _filtered(self, item: Item, texts: list[str]) -> dict[str, Any]:
        """Filter → what it makes of the generated texts."""
        from lm_eval.api.instance import Instance

        task = self.source.task
        metadata = (task.task_name, item.meta["doc_id"], len(texts))
        one = Instance("generate_until", self._doc(item), (), 0, metadata=metadata, resps=texts)
        for pipeline in task._filters:
            pipeline.apply([one])
        return dict(one.filtered_resps)

    def _own(self, item: Item, results: list[Any]) -> dict[str, float]:
        """The task's own metrics that are numbers of one document."""
        found = self.source.task.process_results(self._doc(item), results)
        return {k: float(v) for k, v in found.items() if isinstance(v, int | float) or hasattr(v, "dtype")}

    def _doc(self, item: Item) -> Mapping[str, Any]:
        place = int(item.meta["doc_id"])
        doc = self._latest.get(place)
        if doc is None:
            doc = self.source.docs[place]
            self._latest.clear()
            self._latest[place] = doc
        return doc

    def _same_gold(self, item: Item) -> bool:
        """Whether the right answer is still the document's: the task's own metric knows no other."""
        doc = self._doc(item)
        if item.choices:
            return tuple(item.gold) == self.source.gold(doc, len(item.choices))
        return alternatives(item) == self.source.targets(doc)


def missing(pairs: Any, why: str) -> tuple[Score, ...]:
    """Scores without values; pairs: one (hard, soft), or several."""
    several = pairs if isinstance(pairs[0], tuple) else (pairs,)
    return tuple(
        Score(metric_hard=h, hard=None, metric_soft=s, soft=None, why_no_hard=why, why_no_soft=why) for h, s in several
    )


def _mutual(item: Item, answers: Sequence[Answer]) -> Score:
    """acc_mutual_info: by how much the prompt makes each choice likelier."""
    n = len(item.choices)
    totals = [math.fsum(a.token_logprobs) for a in answers]
    why = next((a.error for a in answers[n:] if a.error), None)
    if why or len(totals) < 2 * n:
        return Score(metric_hard="acc_mutual_info", hard=None, why_no_hard=why or "choices alone were not asked")
    gains = [totals[i] - totals[n + i] for i in range(n)]
    return Score(
        metric_hard="acc_mutual_info",
        hard=float(gains.index(max(gains)) in item.gold),
        why_no_soft="its graded form is that of acc",
    )


def _merged(ours: Sequence[Score], own: Mapping[str, float]) -> tuple[Score, ...]:
    """Hard scores replaced by the task's own of the same name, its other metrics beside the first."""
    names = {s.metric_hard for s in ours}
    beside = {k: v for k, v in own.items() if k not in names}
    first, *rest = [replace(s, hard=own.get(s.metric_hard, s.hard)) for s in ours]
    return replace(first, detail={**first.detail, **beside}), *rest
