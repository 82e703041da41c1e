"""Sampling follows the distribution it is given; what is said depends neither on the batch nor on its cache."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saltus.models.local.caches import Unselectable, select
from saltus.models.local.decoding import Company, Row, Speaker, company, draw, generate
from saltus.models.local.model import TransformersModel
from saltus.models.local.tiny import checkpoint
from saltus.records import AskPolicy, ModelRef, Request, Settings

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "vocab_size": 320,
    "bos_token_id": 1,
    "eos_token_id": None,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 8}


def network(architecture: str, **sizes: Any) -> Any:
    """A random one, in memory only."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **{**SMALL, **sizes})).eval()


def prompts(*lengths: int) -> list[tuple[int, ...]]:
    dice = torch.Generator().manual_seed(3)
    return [tuple(torch.randint(3, 320, (n,), generator=dice).tolist()) for n in lengths]


def decoded(net: Any, rows: Sequence[tuple[int, ...]], limits: Sequence[int], way: Company) -> list[tuple[int, ...]]:
    """What is said greedily after each prompt, all of them asked at once."""
    asked = [Row(i, p, Settings(max_tokens=n), 0, n) for i, (p, n) in enumerate(zip(rows, limits, strict=True))]
    speaker = Speaker(frozenset(), lambda ids: "", way)
    return [tuple(row.ids) for row in sorted(generate(net, asked, speaker, 10**6), key=lambda r: r.index)]


def unaided(net: Any, prompt: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The same of one prompt, read from its beginning for every token."""
    ids = list(prompt)
    for _ in range(n):
        with torch.inference_mode():
            ids.append(int(net(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


def test_draws_follow_the_tempered_distribution() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    uniform = (np.arange(20_000) + 0.5) / 20_000
    for temperature in (1.0, 0.5):
        wanted = np.array([0.5, 0.3, 0.15, 0.05]) ** (1 / temperature)
        settings = Settings(temperature=temperature)
        counts = np.bincount([draw(logits, settings, u) for u in uniform], minlength=4) / 20_000
        assert counts == pytest.approx(wanted / wanted.sum(), abs=1e-3)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = np.log([0.15, 0.5, 0.05, 0.3])
    uniform = (np.arange(1000) + 0.5) / 1000

    def kept(top_p: float) -> set[int]:
        return {draw(logits, Settings(temperature=1.0, top_p=top_p), u) for u in uniform}

    assert kept(0.4) == {1}
    assert kept(0.6) == {1, 3}
    assert kept(0.9) == {0, 1, 3}
    assert kept(1.0) == {0, 1, 2, 3}
    assert draw(logits, Settings(temperature=1.0), 1 - 1e-17) in range(4)


HYBRID: dict[str, dict[str, Any]] = {
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "bamba": {"attn_layer_indices": [1, 3], **MAMBA},
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention"] * 2,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 64,
        **MAMBA,
    },
    "falcon_h1": {"mamba_d_ssm": 64, "head_dim": 8, **MAMBA},
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 2,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "mamba", "moe"],
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "n_groups": 1,
        "ssm_state_size": 8,
        "chunk_size": 8,
        "head_dim": 8,
        "n_routed_experts": 4,
        "moe_intermediate_size": 16,
        "moe_shared_expert_intermediate_size": 16,
    },
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "head_dim": 8,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "minimax": {
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "head_dim": 8,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "block_size": 8,
    },
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 8, "chunk_size": 8},
}
"""Networks that keep convolutions and recurrent states beside keys and values, and how small they can be made."""


@pytest.mark.parametrize("architecture", HYBRID)
def test_rows_that_end_apart_leave_a_cache_of_any_kind(architecture: str) -> None:
    net = network(architecture, **HYBRID[architecture])
    way = company(net, 1e-4, 128)
    assert way == ("level" if architecture == "minimax" else "padded")
    rows = prompts(3, 9, 9, 5, 1, 14)
    limits = (2, 7, 4, 5, 7, 3)
    spoken = decoded(net, rows, limits, way)
    assert spoken == [unaided(net, prompt, limit) for prompt, limit in zip(rows, limits, strict=True)]


def test_rows_stay_where_a_cache_cannot_lose_any() -> None:
    net = network("llama")
    rows, limits = prompts(3, 9, 9, 5), (2, 7, 4, 5)
    wanted = decoded(net, rows, limits, "padded")
    net.forward = folded(net.forward)
    with torch.inference_mode():
        cache = net(input_ids=torch.tensor([[5, 6], [7, 8]]), use_cache=True).past_key_values
    with pytest.raises(Unselectable, match="rows"):
        select(cache, torch.tensor([1]), 2)
    assert company(net, 1e-4, 128) == "padded"
    assert decoded(net, rows, limits, "padded") == wanted


class Folded:
    """A cache in the layout of older networks: rows and heads in one dimension."""

    def __init__(self, cache: Any) -> None:
        self.kept = [(layer.keys.flatten(0, 1), layer.values.flatten(0, 1)) for layer in cache.layers]
        self.rows = cache.layers[0].keys.shape[0]


def folded(forward: Any) -> Any:
    """The same forward pass with such a cache."""
    from transformers import DynamicCache

    @functools.wraps(forward)
    def asked(*args: Any, past_key_values: Any = None, **given: Any) -> Any:
        cache = DynamicCache()
        if past_key_values is not None:
            for i, (keys, values) in enumerate(past_key_values.kept):
                cache.update(*(t.unflatten(0, (past_key_values.rows, -1)) for t in (keys, values)), i)
        out = forward(*args, past_key_values=cache, **given)
        out.past_key_values = Folded(out.past_key_values)
        return out

    return asked


STRETCHING: dict[str, dict[str, Any]] = {
    "phi3": {
        "original_max_position_embeddings": 16,
        "max_position_embeddings": 64,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "short_factor": [1.0] * 4,
            "long_factor": [5.0] * 4,
            "original_max_position_embeddings": 16,
        },
    },
    "llama": {
        "max_position_embeddings": 16,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0},
    },
}
"""Networks that read a short row otherwise where a row of more than 16 tokens stands beside it."""


@pytest.mark.parametrize("architecture", STRETCHING)
def test_positions_that_stretch_do_not_depend_on_the_rows_beside(architecture: str) -> None:
    net = network(architecture, **STRETCHING[architecture])
    rows = prompts(3, 9, 14, 30, 1, 16, 20)
    wanted = []
    for row in rows:
        net(input_ids=torch.zeros((1, 1), dtype=torch.long))
        ids = torch.tensor([row])
        whole = net.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        wanted.append(tuple(whole[0, len(row) :].tolist()))
    assert decoded(net, rows, (8,) * len(rows), "padded") == wanted


@pytest.fixture
def turned(tmp_path: Path) -> TransformersModel:
    """A network that answers "x", <|turn_end|> (special, no EOS) and "y" after "the quick", with its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint(tmp_path / "turned", tie_word_embeddings=False)
    words = AutoTokenizer.from_pretrained(folder)
    words.add_special_tokens({"additional_special_tokens": ["<|turn_end|>"]})
    words.save_pretrained(folder)
    net = AutoModelForCausalLM.from_pretrained(folder)
    net.resize_token_embeddings(len(words), mean_resizing=False)
    asked = words("the quick").input_ids
    tokens = [words("x").input_ids[0], words.convert_tokens_to_ids("<|turn_end|>"), words("y").input_ids[0]]
    with torch.inference_mode():
        seen = [net.model(torch.tensor([asked + tokens[:n]])).last_hidden_state[0, -1] for n in range(3)]
    with torch.no_grad():
        net.lm_head.weight.zero_()
        net.lm_head.weight[tokens] = 9 * torch.linalg.pinv(torch.stack(seen).T)
    net.save_pretrained(folder)
    return TransformersModel(ModelRef(adapter="dir", location=str(folder), series="turned"), folder, AskPolicy())


@pytest.mark.parametrize(
    ("stop", "text", "tokens", "finish"),
    [
        (("<|turn_end|>",), "x", 2, "stop"),
        (("x<|turn_end|>",), "", 2, "stop"),
        (("never", "<|turn_end|>y"), "x", 3, "stop"),
        (("<|turn_end|>y", "y"), "x", 3, "stop"),
        (("xy",), "", 3, "stop"),
        ((), "xy", 3, "length"),
    ],
)
def test_a_special_token_may_be_a_stop_string(
    stop: tuple[str, ...], text: str, tokens: int, finish: str, turned: TransformersModel
) -> None:
    settings = Settings(max_tokens=3, stop=stop)
    request = turned.encode(Request(kind="generate", prompt="the quick", settings=settings))
    answer = next(turned.generate([request]))
    assert (answer.text, len(answer.token_ids), answer.finish) == (text, tokens, finish)
