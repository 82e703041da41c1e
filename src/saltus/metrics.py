"""What each metric name means: its role, range, direction, and the transform that makes it fit to analyse.

The first hard and the first soft name of `PREFERENCE` that a task has are its primary pair, unless study or task
say otherwise. An unknown metric is kept, treated as soft when it leaves [0, 1] and hard otherwise, and the
report says that it was guessed. Known limits: a name says little about how a harness computed it (lm-eval's
`f1` is a token overlap in one task and a class average in another), so partial credit is a twin of exact match only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["hard", "soft", "mechanism"]
Transform = Literal["identity", "negate", "log", "neg_log", "complement"]


@dataclass(frozen=True, slots=True)
class Metric:
    """How to read one metric name. Range is that of the raw value."""

    name: str
    role: Role
    low: float
    high: float
    higher_is_better: bool
    transform: Transform = "identity"
    """Applied before analysis; afterwards higher is better. Perplexities become −log (nats), error rates 1 − value."""
    binomial: bool = False
    """A share of right-or-wrong items: n_items gives its sampling error."""
    about: str = ""
    twin_of: tuple[str, ...] = ()
    """The only hard metrics this soft one is the graded form of; () means any."""
    either_scale: bool = False
    """Published on 0–1 and on 0–100 alike, small values included."""
    nominal_floor: float | None = None
    """What guessing gives by construction of the metric, where that does not depend on the task."""
    guessed: bool = False
    """The name is unknown; role, range and direction are guesses from the numbers."""

    def oriented(self, value: float) -> float:
        """value after the transform: higher is better. -inf or inf at open ends, never NaN."""
        if self.transform == "negate":
            return -value
        if self.transform == "complement":
            return 1.0 - value
        if self.transform in ("log", "neg_log"):
            log = math.log(value) if 0 < value < math.inf else (math.inf if value > 0 else -math.inf)
            return -log if self.transform == "neg_log" else log
        return value

    @property
    def bottom(self) -> float:
        """The worst oriented value, -inf where there is none."""
        return min(self.oriented(self.low), self.oriented(self.high))

    @property
    def ceiling(self) -> float:
        """The best oriented value, inf where there is none."""
        return max(self.oriented(self.low), self.oriented(self.high))


def _hard(name: str, about: str = "", *, binomial: bool = True, low: float = 0.0) -> Metric:
    return Metric(name, "hard", low, 1.0, True, binomial=binomial, about=about)


def _share(name: str, about: str = "") -> Metric:
    return Metric(name, "soft", 0.0, 1.0, True, about=about)


def _logprob(name: str, about: str = "") -> Metric:
    return Metric(name, "soft", -math.inf, 0.0, True, about=about)


def _loss(name: str, about: str = "") -> Metric:
    return Metric(name, "soft", 0.0, math.inf, False, "negate", about=about)


def _perplexity(name: str, about: str = "") -> Metric:
    return Metric(name, "soft", 1.0, math.inf, False, "neg_log", about=about)


_EXACT = ("exact_match", "exact_match_stripped", "em", "quasi_exact_match", "error_rate(1-EM)")


def _partial(name: str, about: str = "") -> Metric:
    return Metric(name, "soft", 0.0, 1.0, True, about=about, twin_of=_EXACT, either_scale=True)


def _beside(name: str, high: float, about: str) -> Metric:
    return Metric(name, "mechanism", 0.0, high, True, about=about)


def _error_rate(name: str, role: Role, about: str, *, binomial: bool) -> Metric:
    return Metric(name, role, 0.0, 1.0, False, "complement", binomial=binomial, about=about)


_ERRORS = {
    "wer": "word error rate",
    "cer": "character error rate",
    "ter": "translation edit rate",
    "ece": "expected calibration error",
    "error": "share of wrong answers",
    "error_rate": "share of wrong answers",
    "toxicity": "share or mean of toxic answers",
    "toxic_fraction": "share of toxic answers",
    "hallucination_rate": "share of answers that state what is not so",
    "attack_success_rate": "share of attacks that succeed",
    "harmful_rate": "share of harmful answers",
    "repetition_rate": "share of answers that repeat themselves",
}
"""Rates of which fewer is better."""
_ERROR_WORDS = re.compile(
    r"(?:^|[^a-z])(?:errors?|err|wer|cer|ece|toxic(?:ity)?|hallucinat\w*|harmful\w*|mae|mse|rmse|fpr|fnr|mistakes?|"
    r"failures?|failure_rate|attack_success\w*|violations?|leakage|perplexity|nll|"
    r"loss|distance|regret|jailbreak\w*|unsafe\w*|false_(?:positive|negative)\w*)(?:[^a-z]|$)"
)
_RIGHT_WORDS = re.compile(
    r"(?:^|[^a-z])(?:acc|accuracy|em|match|f1|precision|recall|auc|auroc|score|pass|solved|solve_rate|correct\w*|success|"
    r"grade|bleu|rouge\w*|mcc|exact\w*|win_rate|reward|quality|hit_rate)(?:[^a-z]|@|$)"
)
_OLMES_BESIDE = (
    "sum_logits_incorr",
    "logits_per_token_incorr",
    "logits_per_char_incorr",
    "logits_per_byte_incorr",
    "incorrect_prob",
    "total_prob",
    "uncond_correct_prob",
    "uncond_total_prob",
    "no_answer",
    "predicted_index_raw",
    "predicted_index_per_token",
    "predicted_index_per_char",
    "predicted_index_uncond",
    "correct_choice",
    "num_tokens_all",
    "num_tokens",
    "max_token_length",
)


def _rate_of_errors(name: str, about: str) -> Metric:
    return _error_rate(name, "hard", about, binomial=False)


KNOWN: dict[str, Metric] = {
    m.name: m
    for m in (
        # what saltus's own task scorers write
        _hard("acc", "share of items whose most likely choice is right"),
        _hard("acc_norm", "the same, log-likelihood per byte of the choice"),
        _hard("exact_match", "generated text equals a target, byte for byte"),
        _hard("exact_match_stripped", "the same after white space is normalised"),
        _hard("greedy_match", "every target token is the most likely one"),
        _logprob("gold_logprob", "mean log-probability of the right answer per item, nats"),
        _logprob("token_logprob", "mean log-probability per target token, nats"),
        _share("choice_prob", "probability of the right choice among the choices"),
        Metric(
            "brier",
            "soft",
            0.0,
            1.0,
            False,
            "negate",
            about="(1 − choice_prob)², target-conditioned (Schaeffer et al. 2023)",
        ),
        _share("token_acc", "share of target tokens that are the most likely one, given the right ones before"),
        _share("edit_similarity", "1 − edit distance / longer length"),
        # names of published results
        _hard("accuracy", "share of right answers"),
        _hard("acc_len_norm", "most likely choice per character of its text (OLMo)"),
        _hard("acc_bytes", "most likely choice per byte of its text"),
        _hard("acc_mutual_info", "most likely choice after its unconditional probability is divided out"),
        _hard("acc_raw", "most likely choice, unnormalised"),
        _hard("acc_per_char", "most likely choice per character of its text (OLMES)"),
        _hard("acc_per_token", "most likely choice per token of its text (OLMES)"),
        _hard("acc_per_byte", "most likely choice per byte of its text (OLMES)"),
        _hard("acc_uncond", "most likely choice after its unconditional probability is divided out (OLMES)"),
        _hard("primary_score", "the task's main metric, as a share (OLMES)", binomial=False),
        _hard("primary_metric", "the task's main metric, as a share (OLMES, DataDecide)", binomial=False),
        _hard("em", "exact match"),
        _hard("quasi_exact_match", "exact match after case, articles and punctuation are removed (HELM)"),
        _hard("prefix_exact_match", "the answer begins with a target (HELM)"),
        _hard("quasi_prefix_exact_match", "the same after case, articles and punctuation are removed (HELM)"),
        _hard("extractive_match", "the answer extracted from the text equals a target (lighteval)"),
        _hard("multiple_choice_grade", "share of right choices (BIG-bench)"),
        _hard("mc1", "the one true answer is the most likely one (TruthfulQA)"),
        _hard("prompt_level_strict_acc", "all instructions of a prompt followed (IFEval)"),
        _hard("inst_level_strict_acc", "instructions followed (IFEval)"),
        _hard("pass@1", "share of problems solved by one program, averaged over samples", binomial=False),
        _hard("pass@10", "share of problems solved by one of ten programs", binomial=False),
        _hard("pass@100", "share of problems solved by one of a hundred programs", binomial=False),
        _hard("mcc", "Matthews correlation of predicted and true class", binomial=False, low=-1.0),
        _hard("leaderboard_score", "a leaderboard's main score of the task, as a share", binomial=False),
        Metric(
            "pct_stereotype",
            "hard",
            0.0,
            1.0,
            True,
            binomial=True,
            nominal_floor=0.5,
            about="share of pairs whose stereotyped sentence is the more likely one; more is more of the behaviour",
        ),
        _error_rate("error_rate(1-EM)", "hard", "1 − exact match", binomial=True),
        _error_rate("error_rate(1-acc)", "hard", "1 − accuracy", binomial=True),
        _error_rate("error_rate(1-BLEU)", "soft", "1 − BLEU", binomial=False),
        _logprob("log_p_correct_normalised", "mean log of the right choice's probability among the choices, nats"),
        _share("p_correct_normalised", "probability of the right choice among the choices"),
        _share("correct_prob", "probability of the right choice (OLMES)"),
        _share("correct_prob_per_token", "the same, per token of the choice"),
        _share("correct_prob_per_char", "the same, per character of the choice"),
        _share("norm_correct_prob", "probability of the right choice among the choices (OLMES)"),
        _share("norm_correct_prob_per_token", "the same, per token of the choice"),
        _share("norm_correct_prob_per_char", "the same, per character of the choice"),
        _logprob("sum_logits_corr", "log-probability of the right choice, nats (OLMES)"),
        _logprob("logits_per_token_corr", "the same, per token"),
        _logprob("logits_per_char_corr", "the same, per character"),
        _logprob("logits_per_byte_corr", "the same, per byte"),
        _loss("bits_per_byte_corr", "bits per byte of the right choice (OLMES)"),
        _share("mc2", "probability of the true answers among all answers (TruthfulQA)"),
        _logprob("neg_token_edit_distance", "−(token edits from answer to target)"),
        _perplexity("ppl", "perplexity of the targets; per token or per target, as the task says"),
        _perplexity("perplexity", "perplexity of the targets"),
        _perplexity("word_perplexity", "perplexity per word"),
        _perplexity("byte_perplexity", "perplexity per byte"),
        _loss("bits_per_byte", "bits per byte of text or of the right answer"),
        _loss("cross_entropy", "cross-entropy of the target, nats"),
        _loss("cross_entropy_nats", "cross-entropy per token of a text, nats"),
        _loss("val_loss_nats_per_token", "validation loss per token, nats"),
        _loss("nll_correct_response", "negative log-likelihood of the right response"),
        Metric(
            "brier_score",
            "soft",
            0.0,
            2.0,
            False,
            "negate",
            about="squared error summed over the choices (lm-eval: 0 to 2)",
        ),
        Metric(
            "bleurt", "soft", -math.inf, math.inf, True, twin_of=_EXACT, about="learned similarity to the reference"
        ),
        _partial("f1", "overlap with the target (classes averaged in some tasks, so never a twin of accuracy)"),
        _partial("sequence_f1", "token overlap with the target"),
        _partial("rouge1", "overlap of words"),
        _partial("rouge2", "overlap of word pairs"),
        _partial("rougeL", "longest common subsequence"),
        _partial("rougeLsum", "longest common subsequence, by sentence"),
        replace(_partial("bleu", "n-gram overlap"), twin_of=(*_EXACT, "accuracy")),
        _partial("chrf", "character n-gram overlap"),
        _beside(
            "likelihood_difference", math.inf, "size of the difference between paired sentences, whichever is preferred"
        ),
        _beside("likelihood_diff", math.inf, "the same under lm-eval's newer name"),
        _beside("nll_incorrect_responses", math.inf, "negative log-likelihood of the wrong responses"),
        Metric(
            "margin",
            "mechanism",
            -math.inf,
            math.inf,
            True,
            about="log-probability of the right choice over the best wrong one, nats",
        ),
        _beside("parity", 1.0, "gender parity of answers; not a score of right answers"),
        *(_rate_of_errors(name, about) for name, about in _ERRORS.items()),
        *(_beside(name, math.inf, "beside the score of right answers (OLMES)") for name in _OLMES_BESIDE),
        # how an answer was given; never a capability, read by the guards
        _beside("off_menu", 1.0, "share of answers that are none of the choices"),
        _beside("truncated", 1.0, "share of prompts cut to fit the context"),
    )
}

PREFERENCE: dict[Literal["hard", "soft"], tuple[str, ...]] = {
    "hard": (
        "acc",
        "accuracy",
        "multiple_choice_grade",
        "acc_len_norm",
        "acc_norm",
        "exact_match",
        "em",
        "exact_match_stripped",
        "quasi_exact_match",
        "greedy_match",
        "mc1",
        "pass@1",
    ),
    "soft": (
        "gold_logprob",
        "token_logprob",
        "bits_per_byte",
        "cross_entropy",
        "nll_correct_response",
        "ppl",
        "perplexity",
        "log_p_correct_normalised",
        "p_correct_normalised",
        "choice_prob",
        "mc2",
        "brier",
        "brier_score",
        "token_acc",
        "neg_token_edit_distance",
        "edit_similarity",
    ),
}
"""Which name stands for a task when it has several; those not listed follow in the order of `KNOWN`, then by name."""


def base_name(name: str) -> str:
    """The metric without lm-eval's filter: `acc,none` → `acc`, `exact_match,strict-match` → `exact_match`."""
    return name.split(",", 1)[0].strip()


def lookup(name: str, *, low: float = 0.0, high: float = 1.0, higher_is_better: bool | None = None) -> Metric:
    """The metric of that name; an unknown one is guessed from the lowest and highest value seen, and says so."""
    known = KNOWN.get(base_name(name)) or KNOWN.get(base_name(name).lower())
    if known is not None:
        return replace(known, name=name)
    if "perplexity" in name.lower() or name.lower().endswith("ppl"):
        return replace(_perplexity(name), guessed=True)
    bounded = low >= 0.0 and high <= 1.0
    better = higher_is_better if higher_is_better is not None else not _ERROR_WORDS.search(name.lower())
    return Metric(
        name,
        "hard" if bounded else "soft",
        0.0 if bounded else -math.inf,
        1.0 if bounded else math.inf,
        better,
        "identity" if better else ("complement" if bounded else "negate"),
        about="unknown to saltus: role, range and direction guessed from its values",
        guessed=True,
    )


def rank(metric: Metric) -> tuple[int, int, str]:
    """Sort key: the metric that stands for a task first, among those of one role."""
    order = PREFERENCE["hard" if metric.role == "hard" else "soft"]
    base = base_name(metric.name)
    listed = order.index(base) if base in order else len(order)
    known = list(KNOWN).index(base) if base in KNOWN else len(KNOWN)
    return (listed, known, metric.name)


SCORED_TOGETHER = {
    "acc_norm": "token_logprob",
    "exact_match": "token_logprob",
    "greedy_match": "token_logprob",
    "exact_match_stripped": "edit_similarity",
}
"""Hard metric → the soft one its scorer gives with it; see scoring.py."""


def twin(hard: Metric, soft: Iterable[Metric]) -> Metric | None:
    """The soft metric that is the graded form of `hard`: its scorer's own, else the first by preference that fits."""
    fitting = [m for m in soft if not m.twin_of or base_name(hard.name) in m.twin_of]
    own = SCORED_TOGETHER.get(base_name(hard.name))
    same_scorer = next((m for m in fitting if m.name == own), None)
    return same_scorer or min(fitting, key=rank, default=None)


def direction_known(name: str) -> bool:
    """Whether a name says by itself which way is better: a known metric, or a word such as error in it."""
    plain = name.lower()
    return not lookup(name).guessed or bool(_ERROR_WORDS.search(plain) or _RIGHT_WORDS.search(plain))
