"""Weights are read where the study says, and nothing in a checkpoint runs unless the user allows it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from saltus import permissions
from saltus.errors import MissingExtra, UserError
from saltus.models.base import ModelError
from saltus.models.folders import adapter
from saltus.models.local.loading import checked_spread, read_weights
from saltus.permissions import NotAllowed
from saltus.records import AskPolicy, ModelRef, Request, SeriesEntry

Tiny = Callable[..., Path]


def listed(folder: Path, **options: Any) -> ModelRef:
    entry = SeriesEntry(scheme="dir", source=str(folder), options=options)
    return adapter.series(entry, AskPolicy(), Path())[0]


def asked(ref: ModelRef, **policy: Any) -> tuple[float, ...]:
    model = adapter.open(ref, AskPolicy(**policy))
    try:
        request = model.encode(Request(kind="loglikelihood", prompt="the quick", continuation=" fox"))
        return next(model.loglikelihood([request])).token_logprobs
    finally:
        model.close()


@pytest.fixture
def sharded(tiny: Tiny, tmp_path: Path) -> Path:
    """A checkpoint in two pickles and their index, as older trainers left it."""
    folder = shutil.copytree(tiny("llama"), tmp_path / "pickles")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {f"pytorch_model-0000{k}-of-00002.bin": names[k - 1 :: 2] for k in (1, 2)}
    for file, some in parts.items():
        torch.save({name: weights[name] for name in some}, folder / file)
    index = {"metadata": {}, "weight_map": {n: file for file, some in parts.items() for n in some}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("stated_by_the_study", [(), ("pickle-weights",)])
def test_pickles_are_refused_with_the_file_and_the_option_to_add(
    sharded: Path, stated_by_the_study: tuple[str, ...]
) -> None:
    with pytest.raises(NotAllowed) as refused:
        adapter.open(listed(sharded), AskPolicy(allow=stated_by_the_study))
    assert "pytorch_model-00001-of-00002.bin" in str(refused.value)
    assert f"--allow pickle-weights:{sharded}" in str(refused.value)


def test_allowed_pickles_answer_as_the_same_weights_in_safetensors(sharded: Path, tiny: Tiny) -> None:
    with permissions.granted(f"pickle-weights:{sharded}"):
        assert asked(listed(sharded)) == asked(listed(tiny("llama")))


def test_a_missing_shard_of_pickles_is_named_before_anything_is_read(sharded: Path) -> None:
    (sharded / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ModelError, match="pytorch_model-00002-of-00002.bin, which is not there"):
        adapter.open(listed(sharded), AskPolicy())


class Evil:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (f"open({str(self.path)!r}, 'w').write('owned')",))


def test_a_pickle_that_runs_code_writes_nothing_even_where_pickles_are_allowed(sharded: Path, tmp_path: Path) -> None:
    owned, bad = tmp_path / "owned", sharded / "pytorch_model-00002-of-00002.bin"
    weights = torch.load(bad, weights_only=True)
    torch.save({**weights, "model.norm.weight": Evil(owned)}, bad)
    everything = (f"pickle-weights:{tmp_path}", f"trust-remote-code:{tmp_path}")
    with permissions.granted(*everything), pytest.raises(ModelError, match="which no permission allows"):
        asked(listed(sharded))
    assert not owned.exists()
    torch.load(bad, weights_only=False)
    assert owned.exists(), "the trap is a real one"


def test_code_beside_a_tokenizer_needs_permission(tiny: Tiny, tmp_path: Path) -> None:
    folder, ran = shutil.copytree(tiny("llama"), tmp_path / "remote"), tmp_path / "ran"
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": [None, "mine.Mine"]}}
    path.write_text(json.dumps(config))
    (folder / "mine.py").write_text(
        "from transformers import PreTrainedTokenizerFast\n"
        f"open({str(ran)!r}, 'w').close()\n"
        "class Mine(PreTrainedTokenizerFast):\n    pass\n"
    )
    for stated_by_the_study, error in (((), ModelError), (("trust-remote-code",), NotAllowed)):
        with pytest.raises(error, match=f"--allow trust-remote-code:{folder}"):
            asked(listed(folder), allow=stated_by_the_study)
        assert not ran.exists()
    with permissions.granted(f"trust-remote-code:{folder}"):
        assert asked(listed(folder))
    assert ran.exists(), "with permission it is that code that tokenizes"


@pytest.mark.parametrize("spread", ["cpu", "auto", {"": "cpu"}])
def test_a_device_map_changes_no_answer_and_no_identity(spread: Any, tiny: Tiny) -> None:
    plain, spread_out = listed(tiny("llama")), listed(tiny("llama"), device_map=spread)
    assert asked(plain) == asked(spread_out)
    model = adapter.open(spread_out, AskPolicy())
    assert model.identity == adapter.open(plain, AskPolicy()).identity
    assert model.describe().device == str(spread)


def test_a_device_that_is_not_there_is_a_failure_of_the_model(tiny: Tiny) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ModelError, match="has 0 GPUs"):
        asked(listed(tiny("llama"), device_map="cuda:0"))


@pytest.mark.parametrize("given", ["gpu", "everywhere", "cuda:x", 1.5, [0, 1], {}])
def test_a_device_map_that_means_nothing_is_refused(given: Any, tiny: Tiny) -> None:
    with pytest.raises(UserError, match="device_map"):
        listed(tiny("llama"), device_map=given)


def test_absent_means_one_device() -> None:
    assert checked_spread(None, "here") is None


def test_without_accelerate_the_extra_is_named(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else found(name))
    with pytest.raises(MissingExtra, match="saltus"):
        read_weights(tiny("llama"), AskPolicy(), spread="auto")


def with_tensors(folder: Path, place: Path, *names: str, shape: tuple[int, ...] = (4,), **config: Any) -> Path:
    """A copy of a checkpoint whose file holds more tensors, and whose config.json states more."""
    copy = shutil.copytree(folder, place)
    weights = load_file(copy / "model.safetensors")
    weights |= {name: torch.zeros(shape) for name in names}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    stated = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(stated | config))
    return copy


Q = "model.layers.{}.self_attn.q_proj"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [f"{Q.format(i)}.lora_{side}.weight" for i in (0, 1) for side in "AB"],
            r"4 tensors .*\(model.layers.0.self_attn.q_proj.lora_A.weight, .*, …\).*merge_and_unload",
        ),
        ([Q.format(3) + ".weight"], r"1 tensors .*layers.3.* states 2 layers, the files hold 4.*config.json"),
        ([Q.format(0) + ".weight_scale", "score.weight"], r"2 tensors .*weight_scale, score.weight\).*config.json"),
    ],
)
def test_tensors_that_the_network_does_not_read_are_named(
    names: list[str], message: str, tiny: Tiny, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        asked(listed(with_tensors(tiny("llama"), tmp_path / "more", *names)))


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("llama", [f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in (0, 1)]),
        ("llama", ["v_head.summary.weight", "v_head.summary.bias"]),
        ("gpt2", ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"]),
        ("gpt_neox", [f"gpt_neox.layers.0.attention.{n}" for n in ("bias", "masked_bias", "rotary_emb.inv_freq")]),
    ],
)
def test_tables_and_value_heads_may_stay_unread(
    architecture: str, names: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    more = with_tensors(tiny(architecture), tmp_path / "more", *names)
    assert asked(listed(more)) == asked(listed(tiny(architecture)))


def test_a_tied_head_saved_twice_is_read_once(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny("llama", tie_word_embeddings=True)
    whole = load_file(folder / "model.safetensors")
    copy = shutil.copytree(folder, tmp_path / "twice")
    whole["lm_head.weight"] = whole["model.embed_tokens.weight"].clone()
    save_file(whole, copy / "model.safetensors", metadata={"format": "pt"})
    assert asked(listed(copy)) == asked(listed(folder))


def test_layers_that_predict_further_tokens_may_stay_unread(tiny: Tiny, tmp_path: Path) -> None:
    ahead = with_tensors(tiny("llama"), tmp_path / "ahead", Q.format(2) + ".weight", num_nextn_predict_layers=1)
    assert asked(listed(ahead)) == asked(listed(tiny("llama")))
    beyond = with_tensors(tiny("llama"), tmp_path / "beyond", Q.format(3) + ".weight", num_nextn_predict_layers=1)
    with pytest.raises(ModelError, match=r"layers\.3"):
        asked(listed(beyond))
