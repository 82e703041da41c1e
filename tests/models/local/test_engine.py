"""Packed scores are those of single rows, on every architecture; every distinct token is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saltus.models.local import packed, plain, trie
from saltus.models.local.engine import LEAST, Engine, Limits, furthest, single
from saltus.models.local.head import Head, read_logits, vocabulary
from saltus.models.local.model import read_weights
from saltus.models.local.rows import Row, Scored
from saltus.models.local.tiny import ARCHITECTURES, checkpoint
from saltus.models.local.tuning import Tuner
from saltus.records import AskPolicy

Tiny = Callable[..., Path]


def net(folder: Path, dtype: Any = "float32") -> Any:
    return read_weights(folder, AskPolicy(dtype=dtype))


def engine(network: Any, batch_tokens: int = 8192, memory_mb: int = 1024) -> Engine:
    window = getattr(network.config, "max_position_embeddings", None)
    return Engine(network, Limits(window, batch_tokens, memory_mb))


def bushy(n: int = 40, longest: int = 100, seed: int = 0) -> list[Row]:
    """Rows that branch off each other anywhere, some twice, some the prefix of another, then four letters."""
    rng = np.random.default_rng(seed)
    rows, texts = [], [()]
    for i in range(n):
        stem = texts[rng.integers(len(texts))]
        stem = stem[: rng.integers(0, len(stem) + 1)]
        text = (*stem, *rng.integers(0, 300, rng.integers(2, 40)).tolist())[:longest]
        texts.append(text)
        cut = int(rng.integers(1, min(8, len(text))))
        rows.append(Row(i, text[:-cut], text[-cut:]))
    rows.append(Row(n, rows[3].prompt, rows[3].continuation))
    rows += [Row(n + 1 + k, rows[5].prompt, (k,)) for k in range(4)]
    return rows


def always(tokens: int) -> Callable[[int, float], int]:
    return lambda *_: tokens


def worst(truth: dict[int, list[float]], scored: Sequence[Scored]) -> float:
    assert sorted(truth) == sorted(one.index for one in scored)
    return max(
        abs(ours - theirs) for one in scored for ours, theirs in zip(one.logprobs, truth[one.index], strict=True)
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_scores_are_those_of_single_rows(architecture: str, tiny: Tiny) -> None:
    """Rows of 100 tokens are wider than the sliding windows of 16; budgets of 7 cut every path."""
    network, rows = net(tiny(architecture)), bushy()
    truth = single(network, rows)
    for tokens in (7, 100, 10_000):
        for cells in (1, 2**14):
            scored = list(packed.score(network, rows, always(tokens), Head(network, cells)))
            assert worst(truth, scored) < 1e-5
    made = engine(network)
    assert worst(truth, list(made.score(rows))) < 1e-5
    assert made.describe()["mode"] == "packed"
    assert made.why_far is None


def test_ranks_are_those_of_the_sorted_vocabulary(tiny: Tiny) -> None:
    network, rows = net(tiny("gemma2")), bushy(12)
    for one in engine(network).score(rows):
        row = rows[one.index]
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([row.read])).logits[0, len(row.prompt) - 1 :]
        order = logits.argsort(descending=True).tolist()
        assert one.ranks == tuple(o.index(t) for o, t in zip(order, row.continuation, strict=True))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[int]]:
    """read(network) -> the list to which every forward pass adds how many tokens it read."""

    def watch(network: Any) -> list[int]:
        seen: list[int] = []
        table = network.get_input_embeddings()
        table.register_forward_hook(lambda _, args, __: seen.append(args[0].numel()))
        return seen

    return watch


def test_every_distinct_token_is_read_once(tiny: Tiny, read: Any) -> None:
    network, rows = net(tiny("llama")), bushy()
    nodes = {row.read[: k + 1] for row in rows for k in range(row.length)}
    for tokens in (7, 100, 10_000):
        made = engine(network, batch_tokens=tokens)
        seen = read(network)
        list(made.score(rows))
        assert sum(seen) == len(nodes)
        assert max(seen) <= max(tokens, LEAST)


def test_masks_too_large_to_keep_are_made_anew_and_groups_stay_small(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, rows = net(tiny("llama")), bushy()
    truth, head = single(network, rows), Head(network, 10**6)
    kept = list(packed.score(network, rows, always(10**6), head))
    monkeypatch.setattr(packed, "KEPT_CELLS", 0)
    monkeypatch.setattr(trie, "KEYS", 300)
    anew = list(packed.score(network, rows, always(10**6), head))
    assert max(furthest(truth, some).nats for some in (kept, anew)) < 1e-5
    chunk = trie.first(trie.build(rows), 10**6)
    groups = chunk.groups(None)
    assert len(groups) > 3
    assert all(g.keys.size <= 300 or len(g.keys) == 1 for g in groups)


def test_the_last_layer_computes_what_is_asked_and_leaves_no_hook(tiny: Tiny) -> None:
    network, rows = net(tiny("llama")), bushy()
    made, seen = engine(network), []
    last = network.model.layers[-1]
    parts = (last.mlp, last.self_attn.q_proj, last.self_attn.o_proj)
    last.mlp.gate_proj.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[1]))
    list(made.score(rows))
    nodes = {row.read[: k + 1] for row in rows for k in range(row.length)}
    asked = {row.read[: k + 1] for row in rows for k in range(len(row.prompt) - 1, row.length)}
    assert sum(seen) == len(asked) < len(nodes)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)


def test_the_head_runs_in_equal_blocks_and_gives_the_same_numbers(tiny: Tiny) -> None:
    network, rows = net(tiny("gemma2")), bushy()
    asked = {row.read[: k + 1] for row in rows for k in range(len(row.prompt) - 1, row.length)}
    truth = single(network, rows)
    for block in (len(asked) - 1, len(asked), 5):
        seen: list[int] = []
        handle = network.lm_head.register_forward_hook(lambda _, args, __, seen=seen: seen.append(len(args[0])))
        head = Head(network, block * vocabulary(network))
        hooked = list(packed.score(network, rows, lambda *_: 10**6, head))
        handle.remove()
        assert sum(seen) == len(asked)
        assert max(seen) <= block
        assert max(seen) - min(seen) < len(seen)
        bare = list(packed.score(network, rows, lambda *_: 10**6, head))
        assert [one.ranks for one in bare] == [one.ranks for one in hooked]
        assert max(furthest(truth, some).nats for some in (bare, hooked)) < 1e-5


def test_letters_after_one_prompt_cost_one_row_of_the_head(tiny: Tiny) -> None:
    network, seen = net(tiny("gpt2")), []
    made = engine(network)
    network.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[0]))
    rows = [Row(i, (5, 6, 7), (i,)) for i in range(5)]
    assert worst(single(network, rows), list(made.score(rows))) < 1e-5
    seen.clear()
    list(made.score(rows))
    assert seen == [1]


def test_the_head_keeps_to_its_budget(tiny: Tiny) -> None:
    network, seen = net(tiny("llama")), []
    network.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[0]))
    size = network.config.vocab_size
    scored = list(packed.score(network, bushy(), always(1000), Head(network, 8 * size)))
    assert len(scored) == len(bushy())
    assert max(seen) == 8


def test_blocks_see_ancestors_within_the_window_and_nothing_else() -> None:
    rows = bushy(30)
    stream = trie.build(rows)
    texts = _texts(rows)
    for window in (None, 5):
        for tokens in (9, 150):
            for chunk in _chunks(stream, tokens):
                answered = []
                for group in chunk.groups(window):
                    for q, keys, seen in zip(group.queries, group.keys, group.seen, strict=True):
                        for query, row in zip(q.tolist(), seen, strict=True):
                            node = chunk.start + query
                            answered.append(node)
                            found = sorted(chunk.known[keys[row]].tolist())
                            wanted = [k for k in range(node + 1) if texts[node][: len(texts[k])] == texts[k]]
                            assert found == wanted[-(window or 1000) :]
                assert set(answered) == set(range(chunk.start, chunk.stop))


def _texts(rows: Sequence[Row]) -> list[tuple[int, ...]]:
    """The prefix that every node stands for, in the order of a sorted list of prefixes."""
    return sorted({row.read[: k + 1] for row in rows for k in range(row.length)})


def _chunks(stream: trie.Stream, tokens: int) -> Iterator[trie.Chunk]:
    chunk = trie.first(stream, tokens)
    while len(chunk):
        yield chunk
        chunk = chunk.after(tokens)


def test_a_network_whose_positions_come_from_the_mask_is_batched_plainly(tiny: Tiny) -> None:
    """BLOOM's ALiBi counts tokens in the mask; packing it would be wrong, and it is found out."""
    from transformers import BloomConfig, BloomForCausalLM

    torch.manual_seed(0)
    config = BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
    network, rows = BloomForCausalLM(config).eval(), bushy(20)
    made = engine(network)
    about = made.describe()
    assert about["mode"] == "plain"
    assert about["why_plain"]
    assert worst(single(network, rows), list(made.score(rows))) < 1e-5


def test_a_recurrence_across_tokens_is_batched_plainly(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that reads its left neighbour in the row reads a stranger in a trie."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    forward = LlamaMLP.forward

    def mixing(self: Any, x: torch.Tensor) -> torch.Tensor:
        left = torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        return forward(self, x + 0.1 * left)

    monkeypatch.setattr(LlamaMLP, "forward", mixing)
    network, rows = net(tiny("llama")), bushy(20)
    made = engine(network)
    assert "differ from plain ones" in str(made.why)
    assert worst(single(network, rows), list(made.score(rows))) < 1e-5


def test_rows_beyond_a_window_that_is_not_kept_are_batched_plainly(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    network, rows = net(tiny("mistral", sliding_window=40)), bushy()
    attention = packed._Pass.attend

    def unwindowed(self: Any, q: Any, k: Any, v: Any, how: dict[str, Any]) -> torch.Tensor:
        return attention(self, q, k, v, {**how, "window": None})

    monkeypatch.setattr(packed._Pass, "attend", unwindowed)
    made = engine(network)
    assert worst(single(network, rows), list(made.score(rows))) < 1e-5
    assert made.why is None
    assert "differ" in str(made.why_far)


def test_nan_after_one_token_does_not_reach_other_rows(tiny: Tiny) -> None:
    network = net(tiny("qwen2"))
    made = engine(network)
    network.model.embed_tokens.weight.data[7] = float("nan")
    rows = [Row(0, (5, 7), (3, 4)), Row(1, (5, 8), (3, 4)), Row(2, (9,), (3,))]
    truth = single(network, rows)
    scored = {one.index: one for one in made.score(rows)}
    assert not np.isfinite(scored[0].logprobs).any()
    for i in (1, 2):
        assert scored[i].logprobs == pytest.approx(truth[i], abs=1e-5)


def test_positions_that_stretch_with_the_batch_are_asked_alone(tmp_path: Path) -> None:
    """Under dynamic scaling a row's rotary angles depend on the longest row beside it, or before it."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    folder = checkpoint(tmp_path, "llama", rope_parameters=rope, max_position_embeddings=32)
    network, rows = net(folder), bushy()
    truth = {}
    for row in rows:
        network(input_ids=torch.tensor([[0]]))
        truth |= single(network, [row])
    made = Engine(network, Limits(128, 8192, 1024))
    assert worst(truth, list(made.score(rows))) < 1e-5
    assert worst(truth, list(plain.score(network, rows, 8192, 2**20))) > 1e-4


def test_half_precision_records_how_far_packed_scores_are_from_single_ones(tiny: Tiny) -> None:
    made = engine(net(tiny("llama"), "bfloat16"))
    assert made.describe()["mode"] == "packed"
    assert 0 < made.noise < 1
    assert made.net.dtype == torch.bfloat16


def test_paths_that_do_not_fit_the_memory_are_not_carried(tiny: Tiny, read: Any) -> None:
    network, rows = net(tiny("llama")), bushy()
    made = engine(network, memory_mb=1)
    assert made.budget.tokens < 8192
    made.budget = replace(made.budget, path=30)
    assert worst(single(network, rows), list(made.score(rows))) < 1e-5


def test_read_logits_reads_several_tokens_of_one_row() -> None:
    logits = torch.randn((3, 50), generator=torch.Generator().manual_seed(0))
    logits[1, 4] = logits[1, 9]
    rows, tokens = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([3, 8, 4, 9, 0])
    logprobs, ranks = read_logits(logits, tokens, rows)
    assert logprobs.tolist() == pytest.approx(logits.log_softmax(-1)[rows, tokens].tolist(), abs=1e-6)
    order = (-logits).argsort(dim=-1, stable=True).tolist()
    assert ranks.tolist() == [order[r].index(t) for r, t in zip(rows.tolist(), tokens.tolist(), strict=True)]


def test_the_tuner_stops_where_more_is_no_faster() -> None:
    tuner, rate = Tuner(16_384), {1024: 1.0, 2048: 1.5, 4096: 1.6, 8192: 1.2}
    tokens = tuner(0, 0.0)
    asked = []
    for _ in range(20):
        asked.append(tokens)
        tokens = tuner(tokens, tokens / rate[tokens])
    assert asked[0] == 1024
    assert max(asked) == 8192
    assert set(asked[8:]) == {4096}
    assert Tuner(100)(0, 0.0) == 100
