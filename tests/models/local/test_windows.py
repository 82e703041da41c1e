"""Long texts: windows as lm-eval cuts them, put together again, and the sums that its own model gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from saltus.models.base import answer_key
from saltus.models.local.model import TransformersModel
from saltus.models.local.rows import Scored
from saltus.models.local.windows import Cut, disjoint
from saltus.records import Request

TEXT = "the quick brown fox jumps over lazy dogs and an old man walked 0 1 2 3 "


@pytest.mark.parametrize("window", [2, 3, 7, 8])
@pytest.mark.parametrize("length", [1, 6, 7, 8, 9, 14, 15, 16, 30])
def test_windows_are_those_of_the_harness(window: int, length: int) -> None:
    from lm_eval import utils

    ids = list(range(100, 100 + length))
    theirs = map(
        utils.make_disjoint_window,
        utils.get_rolling_token_windows(ids, prefix_token=1, max_seq_len=window, context_len=1),
    )
    ours = [(list(context), list(given)) for context, given in disjoint([1], ids, window)]
    assert ours == list(theirs)


def test_a_prefix_of_several_tokens_leaves_less_room_and_loses_nothing() -> None:
    parts = list(disjoint((1, 2, 3), tuple(range(10, 40)), 8))
    assert [t for _, given in parts for t in given] == list(range(10, 40))
    assert all(len(context) + len(given) - 1 <= 8 for context, given in parts)
    assert parts[0] == ((1, 2, 3), tuple(range(10, 16)))
    assert all(context for context, _ in parts)


def test_parts_come_together_in_order_whichever_comes_first() -> None:
    cut = Cut()
    cut.add(5, [((1,), (2, 3)), ((3,), (4,))])
    cut.add(6, [((1,), (9,))])
    scored = [Scored(1, (-3.0,), (3,), 0.5), Scored(2, (-9.0,), (9,), 1.0), Scored(0, (-1.0, -2.0), (1, 2), 0.25)]
    alone, whole = cut.together(iter(scored))
    assert alone == (6, 1, scored[1])
    assert whole == (5, 2, Scored(0, (-1.0, -2.0, -3.0), (1, 2, 3), 0.75))


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3_text"])
def test_a_long_text_gets_the_sum_of_the_harnesss_own_model(
    architecture: str, tiny: Callable[..., Path], opened: Callable[..., TransformersModel]
) -> None:
    """BOS is added once here; the harness adds none to the text when told not to, and begins with it all the same."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    folder = tiny(architecture)
    model = opened(folder)
    texts = [TEXT * n for n in (1, 9, 14)]
    asked = [model.encode(Request(kind="loglikelihood", continuation=text)) for text in texts]
    message = {a.key: a for a in model.loglikelihood(asked)}
    answers = [message[answer_key(model.identity, request)] for request in asked]
    harness = HFLM(str(folder), device="cpu", dtype="float32", add_bos_token=False)
    assert harness.max_length == model.window == 128
    theirs = harness.loglikelihood_rolling(
        [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts], disable_tqdm=True
    )
    sums = [sum(a.token_logprobs) for a in answers]
    assert np.allclose(sums, theirs, rtol=1e-6, atol=0)
    lengths = [len(r.continuation_ids or ()) for r in asked]
    assert lengths[0] < 128 < lengths[1] < lengths[2]
    for answer, request, n in zip(answers, asked, lengths, strict=True):
        windows = -(-n // 128)
        assert answer.trace == (f"{windows} windows" if windows > 1 else None)
        assert answer.token_ids == request.continuation_ids
        assert len(answer.token_logprobs) == len(answer.token_ranks) == n


def test_only_a_text_without_a_prompt_is_cut(
    tiny: Callable[..., Path], opened: Callable[..., TransformersModel]
) -> None:
    model = opened(tiny("gpt2"))
    request = model.encode(Request(kind="loglikelihood", prompt="a", continuation=" " + TEXT * 14))
    (answer,) = model.loglikelihood([request])
    assert "exceeds the window of 128" in str(answer.error)
