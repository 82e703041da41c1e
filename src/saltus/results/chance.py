"""What guessing gives on tasks that lm-eval's users know by name: 1/k for k choices, 0 where an answer is written.

A nominal floor only: untrained models miss it in both directions, so an empirical floor always wins. Tasks whose items
differ in their number of choices are left out unless samples say how many there are.
"""

from __future__ import annotations

import re

_BY_CHOICES: dict[int, tuple[str, ...]] = {
    2: (
        "piqa",
        "winogrande",
        "wsc",
        "wsc273",
        "boolq",
        "copa",
        "xcopa.*",
        "rte",
        "wic",
        "wnli",
        "blimp.*",
        "xwinograd.*",
        "xstory_?cloze.*",
        "storycloze.*",
        "qnli",
        "mrpc",
        "qqp",
        "sst2?",
        "webgpt",
        "pubmed_qa_2",
    ),
    3: ("cb", "anli_r[123]", "mnli.*", "xnli.*", "social_i?qa", "siqa", "pubmedqa"),
    4: (
        "arc_easy",
        "arc_challenge",
        "sciq",
        "openbookqa",
        "hellaswag",
        "race",
        "logiqa2?",
        "hendrycksTest-.*",
        "mmlu.*",
        "c_?eval.*",
        "cmmlu.*",
        "swag",
        "qa4mre.*",
        "medmcqa",
    ),
    5: ("commonsense_qa", "mathqa", "csqa"),
}
_WRITTEN = ("lambada.*", "triviaqa", "trivia_qa", "nq_open", "webqs", "gsm8k.*", "squad.*", "coqa", "drop")
CHOICE_METRICS = frozenset({"acc", "acc_norm", "accuracy", "acc_len_norm", "acc_bytes", "acc_raw"})
"""Shares of right choices; 1/k says nothing about other metrics of the task."""
_PATTERNS = [(re.compile("|".join(names)), 1.0 / k) for k, names in _BY_CHOICES.items()]
_PATTERNS.append((re.compile("|".join(_WRITTEN)), 0.0))


def nominal_floor(task: str, output_type: str | None = None) -> float | None:
    """1/k, or 0 for written answers; None where the task is not known."""
    if output_type in ("generate_until", "greedy_until", "loglikelihood"):
        return 0.0
    return next((floor for pattern, floor in _PATTERNS if pattern.fullmatch(task)), None)
