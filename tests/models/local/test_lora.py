"""An adapter's folder answers as the base with the adapter beside it; what is no plain LoRA is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from saltus.models.base import ModelError
from saltus.models.folders import adapter
from saltus.models.local.loading import read_weights
from saltus.models.local.model import TransformersModel
from saltus.records import AskPolicy, ModelRef, Request, SeriesEntry

Tiny = Callable[..., Path]
Tensors = dict[str, torch.Tensor]
PLAIN = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "init_lora_weights": True}
ATTENTION = [f"model.layers.{i}.self_attn.{name}_proj" for i in (0, 1) for name in "qv"]


def factors(base: Path, *modules: str, seed: int = 1, ranks: Mapping[str, int] | None = None) -> Tensors:
    """Random A and B for each module, under PEFT's names."""
    dice, made = torch.Generator().manual_seed(seed), {}
    parts = dict(read_weights(base, AskPolicy()).named_modules())
    for module in modules:
        rank, (high, wide) = (ranks or {}).get(module, 4), parts[module].weight.shape
        embeds, across = isinstance(parts[module], torch.nn.Embedding), type(parts[module]).__name__ == "Conv1D"
        high, wide = (wide, high) if embeds or across else (high, wide)
        names = ("lora_embedding_A", "lora_embedding_B") if embeds else ("lora_A.weight", "lora_B.weight")
        for name, shape in zip(names, ((rank, wide), (high, rank)), strict=True):
            made[f"base_model.model.{module}.{name}"] = 0.3 * torch.randn(shape, generator=dice)
    return made


def saved(folder: Path, base: Path | str, tensors: Tensors, **config: Any) -> Path:
    """The folder that PEFT leaves: two files, no network, no tokenizer."""
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    stated = {**PLAIN, "base_model_name_or_path": str(base), **config}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    return folder


def opened(folder: Path) -> TransformersModel:
    (ref,) = adapter.series(SeriesEntry(scheme="dir", source=str(folder)), AskPolicy(), Path())
    return adapter.open(ref, AskPolicy())  # type: ignore[return-value]


def logits(net: Any) -> torch.Tensor:
    with torch.inference_mode():
        return net(input_ids=torch.arange(5, 25)[None]).logits


def beside(base: Path, tensors: Tensors, scale: Mapping[str, float]) -> torch.Tensor:
    """Logits of the base with every adapter computed beside its module, as in training: nothing merged."""
    net = read_weights(base, AskPolicy())
    parts = dict(net.named_modules())

    def adds(module: str) -> Callable[..., torch.Tensor]:
        a, b = (next(t for n, t in tensors.items() if f"{module}.lora" in n and f"_{side}" in n) for side in "AB")
        if isinstance(parts[module], torch.nn.Embedding):
            return lambda _, given, out: out + scale[module] * (a.T[given[0]] @ b.T)
        return lambda _, given, out: out + scale[module] * (given[0] @ a.T @ b.T)

    for module in scale:
        parts[module].register_forward_hook(adds(module))
    return logits(net)


@pytest.mark.parametrize(
    ("architecture", "modules"),
    [
        ("llama", [*ATTENTION, "model.layers.1.mlp.down_proj", "lm_head"]),
        ("llama", ["model.embed_tokens", ATTENTION[0]]),
        ("gpt2", ["transformer.h.0.attn.c_attn", "transformer.h.1.mlp.c_proj"]),
        ("gpt_neox", ["gpt_neox.layers.0.attention.query_key_value"]),
    ],
)
@pytest.mark.parametrize("rslora", [False, True])
def test_an_adapter_is_merged_into_its_base(
    architecture: str, modules: list[str], rslora: bool, tiny: Tiny, tmp_path: Path
) -> None:
    base = tiny(architecture)
    tensors = factors(base, *modules)
    model = opened(saved(tmp_path / "tuned", base, tensors, use_rslora=rslora))
    found = logits(model.net)
    scale = 8 / 2 if rslora else 8 / 4
    assert torch.allclose(found, beside(base, tensors, dict.fromkeys(modules, scale)), atol=2e-4)
    assert not torch.allclose(found, logits(read_weights(base, AskPolicy())), atol=0.1)


def test_ranks_and_scales_may_differ_by_module(tiny: Tiny, tmp_path: Path) -> None:
    base, ranks = tiny("llama"), {ATTENTION[0]: 2}
    tensors = factors(base, *ATTENTION, ranks=ranks)
    patterns = {"rank_pattern": {r"layers\.0.self_attn.q_proj": 2}, "alpha_pattern": {"v_proj": 16}}
    model = opened(saved(tmp_path / "tuned", base, tensors, **patterns))
    scale = {m: (16 if m.endswith("v_proj") else 8) / ranks.get(m, 4) for m in ATTENTION}
    assert torch.allclose(logits(model.net), beside(base, tensors, scale), atol=2e-4)


def test_modules_saved_whole_take_the_place_of_the_bases(tiny: Tiny, tmp_path: Path) -> None:
    base, other = tiny("llama"), load_file(tiny("llama", seed=3) / "model.safetensors")
    names = ["lm_head.weight", "model.norm.weight"]
    whole = {f"base_model.model.{name}": other[name] for name in names}
    net = opened(saved(tmp_path / "tuned", base, factors(base, ATTENTION[0]) | whole, modules_to_save=["x"])).net
    for name in names:
        assert torch.equal(net.get_parameter(name), other[name])


def test_an_identity_is_of_base_and_adapter(tiny: Tiny, tmp_path: Path) -> None:
    base, other = tiny("llama"), tiny("llama", seed=1)
    tensors = factors(base, *ATTENTION)
    models = {
        "base": opened(base),
        "tuned": opened(saved(tmp_path / "a", base, tensors)),
        "other base": opened(saved(tmp_path / "b", other, tensors)),
        "other weights": opened(saved(tmp_path / "c", base, factors(base, *ATTENTION, seed=2))),
        "other scale": opened(saved(tmp_path / "d", base, tensors, lora_alpha=16)),
    }
    assert len({m.identity for m in models.values()}) == len(models)
    moved = shutil.copytree(base, tmp_path / "moved")
    assert opened(saved(tmp_path / "e", moved, tensors)).identity == models["tuned"].identity
    about = models["tuned"].describe()
    assert about.detail["base"] == str(base)
    assert about.params == models["base"].describe().params


def test_an_adapter_generates_and_scores_as_the_merged_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("llama")
    tuned = opened(saved(tmp_path / "tuned", base, factors(base, *ATTENTION)))
    merged = shutil.copytree(base, tmp_path / "merged")
    tuned.net.save_pretrained(merged)
    for kind in ("loglikelihood", "generate"):
        answers = []
        for model in (tuned, opened(merged)):
            asked = model.encode(Request(kind=kind, prompt="the quick", continuation=" fox"))  # type: ignore[arg-type]
            answers.append(next(getattr(model, kind)([asked])))
        assert (answers[0].text, answers[0].token_ids) == (answers[1].text, answers[1].token_ids)
        assert answers[0].token_logprobs == pytest.approx(answers[1].token_logprobs, abs=1e-5)


@pytest.mark.parametrize("place", ["beside", "from here", "absolute"])
def test_a_base_is_found_from_the_adapter_and_from_here(
    place: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = shutil.copytree(tiny("llama"), tmp_path / "models/base")
    named = {"beside": "../../models/base", "from here": "models/base", "absolute": str(base)}[place]
    folder = saved(tmp_path / "out/checkpoint-5", named, factors(base, ATTENTION[0]))
    if place == "from here":
        monkeypatch.chdir(tmp_path)
    assert opened(folder).describe().detail["base"] == str(base)


Q = f"base_model.model.{ATTENTION[0]}"


@pytest.mark.parametrize(
    ("config", "tensors", "message"),
    [
        ({"peft_type": "IA3"}, {}, r"kind IA3.*merge_and_unload"),
        ({"use_dora": True}, {}, r"`use_dora`.*merge_and_unload"),
        ({"init_lora_weights": "pissa_niter_16"}, {}, r"pissa_niter_16.*merge_and_unload"),
        ({"target_parameters": ["experts.down_proj"]}, {}, r"`target_parameters`"),
        ({}, {f"{Q}.lora_magnitude_vector": (32,)}, r"q_proj.lora_magnitude_vector belongs to nothing"),
        ({}, {"base_model.model.score.weight": (2, 32)}, r"score.weight belongs to nothing.*merge_and_unload"),
        ({}, {"base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": (4, 32)}, r"layers.7.mlp.up_proj needs two"),
        ({}, {"base_model.model.lm_head.weight": (999, 32)}, r"lm_head.weight is \[999, 32\]"),
        ({"r": 8}, {}, r"rank 4, where adapter_config.json states r 8"),
        ({"base_model_name_or_path": "/nowhere/at/all"}, {}, r"/nowhere/at/all, where no model is"),
        ({"base_model_name_or_path": None}, {}, r"`base_model_name_or_path` is None"),
    ],
)
def test_what_is_no_plain_lora_is_refused_by_name(
    config: dict[str, Any], tensors: dict[str, tuple[int, ...]], message: str, tiny: Tiny, tmp_path: Path
) -> None:
    base = tiny("llama")
    more = {name: torch.ones(shape) for name, shape in tensors.items()}
    folder = saved(tmp_path / "odd", base, factors(base, *ATTENTION) | more, **config)
    with pytest.raises(ModelError, match=message):
        _ = opened(folder).net


def test_a_shared_weight_is_not_changed_for_two(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("gpt2")
    folder = saved(tmp_path / "tied", base, factors(base, "transformer.wte"))
    with pytest.raises(ModelError, match=r"transformer.wte.weight, which the base shares with lm_head.weight"):
        _ = opened(folder).net


def test_nan_and_half_written_adapters_are_named(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("llama")
    tensors = factors(base, ATTENTION[0])
    tensors[f"{Q}.lora_B.weight"][0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"NaN or infinity in .*q_proj.lora_B"):
        _ = opened(saved(tmp_path / "nan", base, tensors)).net
    torn = saved(tmp_path / "torn", base, factors(base, ATTENTION[0])) / "adapter_model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-8])
    with pytest.raises(ModelError, match="half-written"):
        opened(torn.parent)
    torn.rename(torn.with_name("adapter_model.bin"))
    with pytest.raises(ModelError, match=r"has a pickle beside it"):
        opened(torn.parent)


def test_a_whole_network_with_an_adapter_beside_it_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("llama")
    both = saved(tmp_path / "both", base, factors(base, ATTENTION[0]))
    shutil.copytree(base, both, dirs_exist_ok=True)
    with pytest.raises(ModelError, match="a whole network and an adapter"):
        opened(both)


def test_an_adapter_of_an_adapter_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("llama")
    first = saved(tmp_path / "first", base, factors(base, ATTENTION[0]))
    shutil.copy(base / "config.json", first)
    with pytest.raises(ModelError, match="is an adapter itself"):
        opened(saved(tmp_path / "second", first, factors(base, ATTENTION[0])))


def test_adapters_of_a_training_run_are_a_series(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny("llama")
    for step in (50, 5):
        folder = saved(tmp_path / f"out/checkpoint-{step}", base, factors(base, *ATTENTION, seed=step))
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": []}))
    for source in ("out/checkpoint-{step}", "out"):
        refs = adapter.series(SeriesEntry(scheme="dir", source=source), AskPolicy(), tmp_path)
        assert [(r.coords["step"], r.coords["params"]) for r in refs] == [(5, 39_072), (50, 39_072)]
    models: list[Any] = [adapter.open(ref, AskPolicy()) for ref in refs]
    assert len({m.identity for m in models}) == 2
    assert all(isinstance(m.ref, ModelRef) and m.encoder.folder == base for m in models)
