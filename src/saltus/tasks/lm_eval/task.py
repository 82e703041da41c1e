"""`lm_eval:NAME`: tasks of the lm-eval harness, asked with its own prompts, judged with our scores and statistics.

Prompts are the harness's byte for byte (chat template off), worked examples drawn by its sampler with its seed; see
`lm_eval_docs.py`. Its log-likelihoods, its evaluator and its averages are not used. A group or tag is all its tasks.
`shots: [5]` shows the worked examples that `num_fewshot: 5` shows. Known limit: a metric of the task's own judges
the document as it stands in the data set.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saltus.errors import UserError
from saltus.hashing import seed_from
from saltus.records import Answer, Floor, Item, Request, Score, Settings
from saltus.scoring import alternatives
from saltus.tasks import floors, options
from saltus.tasks.draws import LazyItems
from saltus.tasks.lm_eval.docs import Source, pairs, prompt
from saltus.tasks.lm_eval.harness import SHOT_SEED, about, build, set_shots
from saltus.tasks.lm_eval.scores import Scorer
from saltus.tasks.lm_eval.settings import settings_of

OPTIONS = ("include_path", "num_fewshot", "fewshot_seed", "target_logprob", "confirm_run_unsafe_code")


@dataclass(frozen=True, kw_only=True, eq=False)
class LmEvalTask:
    """One task of the harness."""

    name: str
    version: str
    source: Source
    scorer: Scorer
    shots: int
    format: str
    settings: Settings
    target_logprob: bool
    """Generated answers get a soft twin: how likely is the target."""
    provenance: Mapping[str, Any]

    @property
    def skill(self) -> str:
        return str(self.source.task.task_name)

    @property
    def kind(self) -> str:
        return str(self.source.task.OUTPUT_TYPE)

    @property
    def needs(self) -> frozenset[str]:
        if self.kind != "generate_until":
            return frozenset({"loglikelihood"})
        return frozenset({"generate", "loglikelihood"} if self.target_logprob else {"generate"})

    @property
    def primary(self) -> tuple[str, str | None]:
        hard, soft = self.scorer.primary()
        return hard, soft if "loglikelihood" in self.needs else "edit_similarity"

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """The first n documents in their order; rng is not needed."""
        count = len(self.source.docs) if n is None else min(n, len(self.source.docs))
        self._refuse_ragged(count)
        return LazyItems(lambda index: self.source.item(index, self.shots), count)

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> Sequence[Item]:
        """What the harness shows before this document with `num_fewshot: k`; rng is not needed."""
        found = self.source.item(int(item.meta["doc_id"]), k).demos
        if len(found) < k:
            raise UserError(
                "the harness's worked examples cannot be distinguished in the prompt of this task",
                where=self.name,
                do=f"use `{{{self.name}: {{num_fewshot: {k}}}}}`",
            )
        return found

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        if "fault" in item.meta:
            raise UserError(str(item.meta["fault"]), where=self.name)
        if self.kind == "generate_until":
            yield from self._generation(item)
        elif self.kind == "loglikelihood_rolling":
            yield Request(kind="loglikelihood", continuation=str(item.target))
        else:
            for before, target_text in pairs(item):
                yield Request(kind="loglikelihood", prompt=before, continuation=target_text)

    def _generation(self, item: Item) -> Generator[Request, Answer, None]:
        before = prompt(item)
        for sample in range(self.scorer.samples):
            sampled = sample and self.settings.temperature
            seed = seed_from("lm_eval", item.id, sample) if sampled else None
            yield Request(kind="generate", prompt=before, settings=self.settings, seed=seed)
        delimiter = self.source.task.config.target_delimiter
        for target in alternatives(item) if self.target_logprob else ():
            if target:
                apart = not before or before[-1].isspace() or target[0].isspace()
                target_text = target if apart else delimiter + target
                yield Request(kind="loglikelihood", prompt=before, continuation=target_text)

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        return self.scorer.score(item, answers)

    def floor(self, items: Sequence[Item]) -> Floor:
        """The best guesser that never reads the question."""
        sound = [item for item in items if "fault" not in item.meta]
        if self.kind == "multiple_choice":
            return floors.of_choices(sound)
        if self.kind == "loglikelihood_rolling":
            return Floor(
                value=0.0,
                source="a running text has no right answer to guess",
                why_no_soft="a guesser that does not read gives no log-probability",
            )
        return floors.of_targets(sound)

    def _refuse_ragged(self, count: int) -> None:
        """lm-eval's Brier score is summed over choices, so documents must agree in their number."""
        if self.kind != "multiple_choice" or "brier_score" not in self.provenance["metrics"]:
            return
        sizes = [len(self.source.task.doc_to_choice(self.source.docs[i])) for i in range(count)]
        odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
        if odd is not None:
            raise UserError(
                f"ragged choices: document {odd} has {sizes[odd]}, document 0 has {sizes[0]}, and lm-eval's "
                "`brier_score` needs one number of them",
                where=self.name,
                wanted="as many choices in every document",
                do="take `brier_score` out of the YAML's metric_list (saltus computes `brier` and `choice_prob` "
                "itself, which bear ragged choices), or split the task",
            )


def make(source: str | None = None, base: Path | None = None, **given: Any) -> LmEvalTask | list[LmEvalTask]:
    """`lm_eval:NAME`, options include_path, num_fewshot, fewshot_seed, target_logprob, confirm_run_unsafe_code.

    NAME: a task of the harness or of a folder in include_path, or a YAML file; a group or tag gives all its tasks.
    """
    if not source:
        raise UserError("`lm_eval` names no task", wanted="`lm_eval:lambada_openai`")
    part, base = f"lm_eval:{source}", base or Path()
    options.refuse_unknown(part, given, OPTIONS)
    folders = given.get("include_path") or []
    listed = folders if isinstance(folders, list) else [folders]
    shots = given.get("num_fewshot")
    if shots is not None:
        shots = options.whole(part, "num_fewshot", shots, 0, 10_000)
    found = build(source, [(base / str(f)).resolve() for f in listed], base)
    made = [_task(one, shots, given) for one in found]
    return made[0] if len(made) == 1 else made


def _task(task: Any, shots: int | None, given: Mapping[str, Any]) -> LmEvalTask:
    part = f"lm_eval:{task.task_name}"
    seed = options.whole(part, "fewshot_seed", given.get("fewshot_seed", SHOT_SEED), 0, 1 << 62)
    target_text = options.flag(part, "target_logprob", given.get("target_logprob", True))
    if getattr(task, "UNSAFE_CODE", False) and given.get("confirm_run_unsafe_code") is not True:
        raise UserError(
            "scoring this task runs code that models wrote",
            where=part,
            wanted="your word that it may run here",
            do="`confirm_run_unsafe_code: true` in the task's options, inside a sandbox",
        )
    usual = int(task.get_config("num_fewshot") or 0)
    shots = set_shots(task, shots, seed)
    source = Source(task, seed)
    generated = task.OUTPUT_TYPE == "generate_until"
    settings = settings_of(task.config.generation_kwargs, part) if generated else Settings()
    scorer = Scorer(source, int(task.config.repeats or 1) if generated else 1)
    shown = {"num_fewshot": (shots, usual), "fewshot_seed": (seed, SHOT_SEED), "target_logprob": (target_text, True)}
    stated = about(task, len(source.docs))
    return LmEvalTask(
        name=options.named(part, shown),
        version=f"{task.VERSION}-{stated['lm_eval']}",
        source=source,
        scorer=scorer,
        shots=shots,
        format=_format(source),
        settings=settings,
        target_logprob=target_text,
        provenance={**stated, "source": part, "fewshot_seed": seed, "metrics_not_computed": scorer.not_computed()},
    )


def _format(source: Source) -> str:
    """letters where the first document's choices are single characters."""
    kind = source.task.OUTPUT_TYPE
    if kind != "multiple_choice":
        return {"generate_until": "generate", "loglikelihood": "continuation"}.get(kind, "text")
    choices = source.task.doc_to_choice(source.docs[0])
    return "letters" if all(len(str(c)) == 1 for c in choices) else "cloze"
