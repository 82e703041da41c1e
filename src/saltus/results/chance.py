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
_ALSO = {"arc_e": "arc_easy", "arc_c": "arc_challenge", "obqa": "openbookqa", "wg": "winogrande", "nq": "nq_open"}
_ALSO |= {"arceasy": "arc_easy", "arcchallenge": "arc_challenge", "naturalquestions": "nq_open", "tqa": "triviaqa"}
_NOT_BY_CHANCE = frozenset({"mmlu_pro", "mmlu_pro_plus", "mmlu_redux_generative"})
"""Their names begin like tasks whose number of choices is known."""
_NAMED = re.compile(
    r"(ifeval|bbh|bigbench.*|math.*|minerva_math.*|gpqa.*|musr|humaneval.*|mbpp.*|truthfulqa.*|agieval.*|mgsm.*|"
    r"aime.*|naturalqs|nq|arc|lambada.*|wikitext.*|toxigen|xlsum|mt_?bench|alpaca_?eval.*|livecodebench.*|simpleqa|"
    r"mmlu_pro.*|cmath|c3|glue|superglue|squad.*|quac|drop|record|multirc|hle|swe_?bench.*|zebralogic|babi.*)"
)
"""Benchmarks known by name beside those whose chance is known."""
_PATTERNS = [(re.compile("|".join(names)), 1.0 / k) for k, names in _BY_CHOICES.items()]
_PATTERNS.append((re.compile("|".join(_WRITTEN)), 0.0))


def nominal_floor(task: str, output_type: str | None = None) -> float | None:
    """1/k, or 0 for written answers; None where the task is not known. Names in any case, `ARC-e` is arc_easy."""
    if output_type in ("generate_until", "greedy_until", "loglikelihood"):
        return 0.0
    name = _plain(task)
    known = (floor for pattern, floor in _PATTERNS if pattern.fullmatch(task) or pattern.fullmatch(name))
    return None if name in _NOT_BY_CHANCE or name.startswith("mmlu_pro") else next(known, None)


def is_benchmark(name: str) -> bool:
    """Whether a column of that name can only be a score of that benchmark."""
    plain = _plain(name)
    return nominal_floor(name) is not None or bool(_NAMED.fullmatch(plain)) or plain in _ALSO.values()


def _plain(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return _ALSO.get(plain, plain)
