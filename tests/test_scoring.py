"""Both twins from the same answers; ties, several right answers, failures that never become a 0."""

from __future__ import annotations

import math
import random

import pytest

from saltus import metrics
from saltus.records import Answer, Item
from saltus.scoring import choice_scores, edit_similarity, generated_scores, target_scores


def likely(*logprobs: float, ranks: tuple[int, ...] | None = None, error: str | None = None) -> Answer:
    ranks = ranks if ranks is not None else tuple(0 for _ in logprobs)
    greedy = not any(ranks) if logprobs else None
    return Answer(key="", token_logprobs=logprobs, token_ranks=ranks, greedy=greedy, error=error)


def message(text: str, error: str | None = None) -> Answer:
    return Answer(key="", text=text, error=error)


def item(*choices: str, gold: tuple[int, ...] = (), target: str | tuple[str, ...] = "") -> Item:
    return Item(id="i", choices=choices, gold=gold, target=target)


def test_multiple_choice_gives_both_twins_of_acc_and_of_acc_norm():
    answers = [likely(-1.0, -1.0), likely(-1.5), likely(-4.0)]
    acc, norm = choice_scores(item("aa", "b", "c", gold=(1,)), answers, lengths=(20, 1, 1))
    assert (acc.metric_hard, acc.hard, acc.metric_soft, acc.soft) == ("acc", 1.0, "gold_logprob", -1.5)
    prob = math.exp(-1.5) / (math.exp(-2) + math.exp(-1.5) + math.exp(-4))
    assert acc.detail["choice_prob"] == pytest.approx(prob)
    assert acc.detail["brier"] == pytest.approx((1 - prob) ** 2)
    assert acc.detail["margin"] == pytest.approx(0.5)
    assert (norm.metric_hard, norm.hard) == ("acc_norm", 0.0), "-2 over 20 bytes beats -1.5 over one"
    assert (norm.metric_soft, norm.soft) == ("token_logprob", -1.5)


def test_ties_count_one_over_k():
    tied = [likely(-1.0), likely(-1.0), likely(-2.0)]
    assert choice_scores(item("a", "b", "c", gold=(0,)), tied)[0].hard == 0.5
    assert choice_scores(item("a", "b", "c", gold=(2,)), tied)[0].hard == 0.0
    assert choice_scores(item("a", "b", "c", gold=(0, 1)), tied)[0].hard == 1.0


def test_several_right_choices_share_probability_and_the_likeliest_speaks():
    (score,) = choice_scores(item("a", "b", "c", gold=(0, 2)), [likely(-3.0), likely(-2.0), likely(-1.0)])
    assert score.hard == 1.0
    assert score.soft == -1.0
    e = math.exp
    assert score.detail["choice_prob"] == pytest.approx((e(-3) + e(-1)) / (e(-3) + e(-2) + e(-1)))
    assert score.detail["margin"] == pytest.approx(1.0)


def test_every_choice_right_has_no_margin():
    (score,) = choice_scores(item("a", "b", gold=(0, 1)), [likely(-3.0), likely(-2.0)])
    assert "margin" not in score.detail
    assert score.detail["choice_prob"] == pytest.approx(1.0)


def test_very_unlikely_choices_do_not_underflow():
    (score,) = choice_scores(item("a", "b", gold=(0,)), [likely(-2000.0), likely(-2001.0)])
    assert score.detail["choice_prob"] == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (likely(error="out of memory"), "out of memory"),
        (likely(), "no tokens"),
        (likely(math.nan), "not finite"),
        (likely(-math.inf), "not finite"),
    ],
)
def test_a_failed_answer_is_no_score_with_a_reason(bad, word):
    one = Item(id="i", target="x")
    for scores in (
        choice_scores(item("a", "b", gold=(0,)), [likely(-1.0), bad], lengths=(1, 1)),
        target_scores([bad]),
        generated_scores(one, [message("x", error=bad.error or "no tokens not finite"), likely(-1.0)]),
    ):
        for score in scores:
            assert score.hard is None
            assert score.soft is None
            assert word in (score.why_no_hard or "")
            assert word in (score.why_no_soft or "")


def test_a_missing_answer_is_no_score():
    assert choice_scores(item("a", "b", gold=(0,)), [likely(-1.0)])[0].hard is None
    assert target_scores([])[0].hard is None
    assert generated_scores(item(target="x"), [])[0].hard is None


def test_a_target_is_matched_when_every_token_is_the_likeliest():
    (yes,) = target_scores([likely(-0.5, -1.5)])
    assert (yes.metric_hard, yes.hard, yes.metric_soft, yes.soft) == ("greedy_match", 1.0, "token_logprob", -1.0)
    assert yes.detail == {"gold_logprob": -2.0, "token_acc": 1.0}
    (no,) = target_scores([likely(-0.5, -1.5, ranks=(0, 3))], soft="gold_logprob")
    assert (no.hard, no.metric_soft, no.soft) == (0.0, "gold_logprob", -2.0)
    assert no.detail == {"token_logprob": -1.0, "token_acc": 0.5}


def test_without_ranks_greedy_decoding_is_unknown_rather_than_matched():
    (score,) = target_scores([Answer(key="", token_logprobs=(-1.0,))])
    assert score.hard is None
    assert "ranks" in (score.why_no_hard or "")


def test_the_likeliest_alternative_speaks_and_any_may_match():
    (score,) = target_scores([likely(-9.0, ranks=(5,)), likely(-1.0, -1.0, ranks=(0, 1)), likely(-3.0)])
    assert score.hard == 1.0, "the third is greedy"
    assert score.soft == -1.0
    assert score.detail["gold_logprob"] == -2.0


def test_exact_match_raw_and_stripped_are_both_kept():
    right = item(target="42")
    raw, stripped = generated_scores(right, [message(" 42\t"), likely(-1.0)], delimiter=" ")
    assert (raw.metric_hard, raw.hard) == ("exact_match", 0.0)
    assert (stripped.metric_hard, stripped.hard, stripped.soft) == ("exact_match_stripped", 1.0, 1.0)
    for text in ("42", " 42"):
        assert generated_scores(right, [message(text), likely(-1.0)], delimiter=" ")[0].hard == 1.0
    assert generated_scores(right, [message(" 42"), likely(-1.0)])[0].hard == 0.0


def test_generation_takes_its_soft_twin_from_the_teacher_forced_target():
    two = item(target=("ten", "10"))
    raw, stripped = generated_scores(two, [message("tin"), likely(-4.0, ranks=(2,)), likely(-0.5, -0.1)])
    assert (raw.hard, raw.metric_soft, raw.soft) == (0.0, "token_logprob", pytest.approx(-0.3))
    assert raw.detail["greedy_match"] == 1.0
    assert raw.detail["gold_logprob"] == pytest.approx(-0.6)
    assert stripped.soft == pytest.approx(2 / 3)


def test_a_failed_teacher_forced_answer_costs_only_the_soft_twin():
    raw, stripped = generated_scores(item(target="42"), [message("42"), likely(error="boom")])
    assert raw.hard == 1.0
    assert raw.soft is None
    assert "boom" in (raw.why_no_soft or "")
    assert stripped.soft == 1.0
    assert generated_scores(item(target="42"), [message("42")])[0].why_no_soft


def naive_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def test_edit_similarity_equals_the_textbook_recursion():
    rng = random.Random(0)
    for _ in range(500):
        a, b = ("".join(rng.choices("abc", k=rng.randrange(12))) for _ in range(2))
        longer = max(len(a), len(b))
        wanted = 1 - naive_distance(a, b) / longer if longer else 1.0
        assert edit_similarity(a, b) == pytest.approx(wanted), (a, b)
    assert edit_similarity("kitten", "sitting") == pytest.approx(1 - 3 / 7)


def test_every_metric_is_known_by_name():
    scores = [
        *choice_scores(item("a", "b", gold=(0,)), [likely(-1.0), likely(-2.0)], lengths=(1, 1)),
        *target_scores([likely(-1.0)]),
        *generated_scores(item(target="x"), [message("x"), likely(-1.0)]),
    ]
    roles = {s.metric_hard: "hard" for s in scores} | {s.metric_soft: "soft" for s in scores}
    for name, role in roles.items():
        assert metrics.KNOWN[name].role == role, name
    detailed = {name for s in scores for name in s.detail} - {"margin"}
    assert detailed <= set(metrics.KNOWN)
