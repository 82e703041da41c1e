"""Answers equal transformers' own forward pass, whatever the batch; what cannot be answered says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from saltus import permissions
from saltus.models.base import Model, ModelError, answer_key
from saltus.models.local.model import TransformersModel, read_weights
from saltus.models.local.tiny import ARCHITECTURES
from saltus.permissions import NotAllowed
from saltus.records import AskPolicy, ModelRef, Request, Settings

Tiny = Callable[..., Path]
Opened = Callable[..., TransformersModel]
WORDS = "the quick brown fox jumps over the lazy dog what is the answer to it".split()  # noqa: SIM905


def likelihoods(model: TransformersModel, n: int = 24) -> list[Request]:
    """Prompts of 1 to about 60 tokens with continuations of 1 to about 12."""
    return [
        model.encode(
            Request(
                kind="loglikelihood",
                prompt="a" + " ".join(WORDS[k % 15] for k in range(i)),
                continuation=" " + " ".join(WORDS[(i * 7 + k) % 15] for k in range(1 + i % 5)),
            )
        )
        for i in range(n)
    ]


def generations(model: TransformersModel, n: int = 10, **settings: Any) -> list[Request]:
    return [
        model.encode(
            Request(
                kind="generate",
                prompt="the" + " quick fox" * (i % 7),
                seed=100 + i,
                settings=Settings(**{"max_tokens": 6, **settings}),
            )
        )
        for i in range(n)
    ]


def plain(net: Any, request: Request) -> list[float]:
    """transformers' own forward pass over one row, nothing padded, every logit computed."""
    prompt, continuation = request.prompt_ids or (), request.continuation_ids or ()
    ids = torch.tensor([[*prompt, *continuation]])
    with torch.inference_mode():
        logprobs = net(input_ids=ids).logits[0].float().log_softmax(-1)
    return [logprobs[len(prompt) - 1 + k, token].item() for k, token in enumerate(continuation)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loglikelihoods_equal_a_plain_forward_pass_at_any_batch_size(
    architecture: str, tiny: Tiny, opened: Opened
) -> None:
    folder = tiny(architecture)
    net = read_weights(folder, AskPolicy())
    for budget in (1, 100, 100_000):
        model = opened(folder, batch_tokens=budget)
        requests = likelihoods(model)
        answers = {a.key: a for a in model.loglikelihood(requests)}
        for request in requests:
            answer = answers[answer_key(model.identity, request)]
            assert answer.token_ids == request.continuation_ids
            assert answer.token_logprobs == pytest.approx(plain(net, request), abs=1e-5)


def test_ranks_and_greedy_flag_are_those_of_the_sorted_vocabulary(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("llama"))
    message = next(model.generate(generations(model, 1)))
    start = model.encode(Request(kind="generate", prompt="the")).prompt_ids
    greedy = Request(kind="loglikelihood", prompt_ids=start, continuation_ids=message.token_ids[:3])
    other = replace(greedy, continuation_ids=(*message.token_ids[:2], (message.token_ids[2] + 1) % 300))
    first, second = sorted(model.loglikelihood([greedy, other]), key=lambda a: not a.greedy)
    assert first.greedy is True
    assert first.token_ranks == (0, 0, 0)
    assert second.greedy is False
    with torch.inference_mode():
        ids = torch.tensor([[*(start or ()), *message.token_ids[:2]]])
        order = model.net(input_ids=ids).logits[0, -1].argsort(descending=True).tolist()
    assert second.token_ranks == (0, 0, order.index((message.token_ids[2] + 1) % 300))


def test_equal_logits_are_ranked_as_argmax_would(tiny: Tiny, opened: Opened) -> None:
    """Half precision ties often; every token of a constant output must not count as the most likely one."""
    model = opened(tiny("llama"))
    model.net.lm_head.weight.data.zero_()
    request = Request(kind="loglikelihood", prompt_ids=(5,), continuation_ids=(0, 3))
    answer = next(model.loglikelihood([request]))
    assert answer.token_ranks == (0, 3)
    assert answer.greedy is False


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_generation_does_not_depend_on_order_or_batch(
    architecture: str, temperature: float, tiny: Tiny, opened: Opened
) -> None:
    alone, together = opened(tiny(architecture), batch_tokens=1), opened(tiny(architecture))
    requests = generations(alone, temperature=temperature)
    one = {a.key: a for a in alone.generate(requests)}
    all_ = {a.key: a for a in together.generate(requests[::-1])}
    assert {k: a.token_ids for k, a in one.items()} == {k: a.token_ids for k, a in all_.items()}
    for key, answer in one.items():
        assert answer.token_logprobs == pytest.approx(all_[key].token_logprobs, abs=1e-4)


def test_a_network_that_does_not_bear_padding_is_given_prompts_of_one_length(
    tiny: Tiny, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    def maskless(self: Any, input_ids: torch.Tensor, past_key_values: Any = None, use_cache: bool = True) -> Any:
        return forward(self, input_ids=input_ids, past_key_values=past_key_values, use_cache=use_cache)

    sound = opened(tiny("llama"))
    requests = generations(sound)
    wanted = {a.key: a.token_ids for a in sound.generate(requests)}
    assert sound._company == "padded"
    monkeypatch.setattr(LlamaForCausalLM, "forward", maskless)
    model = opened(tiny("llama"))
    assert {a.key: a.token_ids for a in model.generate(requests)} == wanted
    assert model._company == "level"


def test_greedy_generation_is_what_transformers_generates(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("gpt_neox"))
    for request in generations(model, 4):
        answer = next(model.generate([request]))
        ids = torch.tensor([request.prompt_ids])
        theirs = model.net.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=6,
            pad_token_id=0,
            eos_token_id=sorted(model.eos),
        )[0, ids.shape[1] :].tolist()
        assert list(answer.token_ids) == [t for t in theirs if t not in model.eos]


def test_generated_tokens_keep_the_logprobs_that_asking_for_them_gives(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("qwen2"))
    request = generations(model, 3, temperature=0.8, top_p=0.9)[2]
    message = next(model.generate([request]))
    back = Request(kind="loglikelihood", prompt_ids=request.prompt_ids, continuation_ids=message.token_ids)
    answer = next(model.loglikelihood([back]))
    assert message.token_logprobs == pytest.approx(answer.token_logprobs, abs=1e-5)
    assert message.token_ranks == answer.token_ranks


def test_stop_strings_end_an_answer_and_are_cut_from_it(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("llama"))
    whole = next(model.generate(generations(model, 1, max_tokens=12)))
    assert whole.finish == "length"
    stop = whole.text[3:5]
    cut = next(model.generate(generations(model, 1, max_tokens=12, stop=(stop, "never"))))
    assert cut.finish == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]


def test_a_window_of_three_tokens_is_enough(tiny: Tiny, opened: Opened) -> None:
    """Modular addition asks networks with room for `a b =` alone."""
    model = opened(tiny("gpt2", n_positions=3))
    message = next(model.generate([Request(kind="generate", prompt_ids=(1, 2))]))
    scored = next(model.loglikelihood([Request(kind="loglikelihood", prompt_ids=(1, 2, 3), continuation_ids=(4,))]))
    assert (len(message.token_ids), message.finish) == (1, "window")
    assert scored.error is None


def test_eos_ends_an_answer(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    model = opened(tiny("llama"))
    whole = next(model.generate(generations(model, 1)))
    folder = shutil.copytree(tiny("llama"), tmp_path / "eos")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["eos_token_id"] = [0, whole.token_ids[2]]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    ended = opened(folder)
    answer = next(ended.generate(generations(ended, 1)))
    first = whole.token_ids.index(whole.token_ids[2])
    assert answer.finish == "eos"
    assert answer.token_ids == whole.token_ids[:first]
    assert ended.identity != model.identity


def test_nothing_is_truncated_silently(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("gpt2"))  # a window of 128
    long, fits = tuple(range(10, 139)), tuple(range(10, 130))
    asked = [
        Request(kind="loglikelihood", prompt_ids=long, continuation_ids=(1,)),
        Request(kind="loglikelihood", prompt_ids=fits, continuation_ids=(1,) * 9),
        Request(kind="loglikelihood", prompt_ids=fits, continuation_ids=(1,) * 10),
        Request(kind="loglikelihood", prompt_ids=(), continuation_ids=(1,)),
        Request(kind="loglikelihood", prompt_ids=(1,), continuation_ids=()),
        Request(kind="loglikelihood", prompt_ids=(1,), continuation_ids=(9999,)),
    ]
    by_key = {a.key: a for a in model.loglikelihood(asked)}
    errors = [by_key[answer_key(model.identity, r)].error for r in asked]
    assert "129 tokens and its continuation of 1 exceeds the window of 128" in str(errors[0])
    assert errors[1] is None
    assert "window" in str(errors[2])
    assert "BOS" in str(errors[3])
    assert "no tokens" in str(errors[4])
    assert "foreign tokenizer" in str(errors[5])
    message = next(model.generate([Request(kind="generate", prompt_ids=fits)]))
    assert (message.finish, len(message.token_ids)) == ("window", 8)
    none = next(model.generate([Request(kind="generate", prompt_ids=(*fits, *fits[:8]))]))
    assert "exceeds" in str(none.error)


def test_nan_in_the_logits_is_a_failed_answer_that_says_so(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("llama"))
    model.net.model.embed_tokens.weight.data[7] = float("nan")
    asked = [Request(kind="loglikelihood", prompt_ids=(t,), continuation_ids=(3,)) for t in (7, 8)]
    bad, good = sorted(model.loglikelihood(asked), key=lambda a: a.error is None)
    assert "NaN" in str(bad.error)
    assert good.error is None
    message = next(model.generate([Request(kind="generate", prompt_ids=(7,))]))
    assert "NaN" in str(message.error)


def test_nan_weights_are_named(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny("llama"), tmp_path / "nan")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = opened(folder)
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.down_proj"):
        list(model.loglikelihood(likelihoods(model, 1)))


def test_missing_weights_are_not_made_up(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny("llama"), tmp_path / "missing")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = opened(folder)
    with pytest.raises(ModelError, match=r"missing .*down_proj"):
        list(model.loglikelihood(likelihoods(model, 1)))


def test_a_disagreement_between_batched_and_single_scores_is_refused(
    tiny: Tiny, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network whose output depends on the padding beside it."""
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    def leaky(self: Any, input_ids: torch.Tensor, **rest: Any) -> Any:
        out = forward(self, input_ids=input_ids, **rest)
        out.logits = out.logits * (1 + 0.01 * len(input_ids))
        return out

    monkeypatch.setattr(LlamaForCausalLM, "forward", leaky)
    model = opened(tiny("llama"))
    with pytest.raises(ModelError, match="differ from single ones"):
        list(model.loglikelihood(likelihoods(model, 1)))


def test_identity_covers_what_shapes_an_answer_and_nothing_else(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    folder = tiny("llama")
    same = shutil.copytree(folder, tmp_path / "elsewhere")
    config = json.loads((same / "config.json").read_text())
    config["transformers_version"] = "4.0.0"
    (same / "config.json").write_text(json.dumps(config))
    base = opened(folder).identity
    assert opened(same).identity == base
    assert opened(folder, batch_tokens=17).identity == base
    config["rms_norm_eps"] = 0.1
    (same / "config.json").write_text(json.dumps(config))
    others = [
        opened(same),
        opened(tiny("llama", seed=1)),
        opened(folder, dtype="bfloat16"),
        opened(folder, bos="always"),
        opened(folder, bos="never"),
        opened(folder, template="auto"),
        opened(tiny("llama", bos="prepends")),
    ]
    assert len({base, *(m.identity for m in others)}) == 8


def test_weights_are_read_on_the_first_question_only(
    tiny: Tiny, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saltus.models.local import model as transformers_model

    read = []
    whole = transformers_model.read_weights
    monkeypatch.setattr(transformers_model, "read_weights", lambda *a, **k: read.append(1) or whole(*a, **k))
    model = opened(tiny("llama"))
    requests = likelihoods(model, 2)
    model.describe()
    assert not read
    list(model.loglikelihood(requests))
    list(model.loglikelihood(requests))
    assert read == [1]
    assert isinstance(model, Model)


def test_bfloat16_is_asked_in_bfloat16_and_its_noise_recorded(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("llama"), dtype="bfloat16")
    answers = list(model.loglikelihood(likelihoods(model, 3)))
    assert model.net.dtype == torch.bfloat16
    assert all(a.error is None for a in answers)
    assert 0 <= model.describe().self_check < 1


def test_describe_is_plain_data_with_what_a_report_needs(tiny: Tiny, opened: Opened) -> None:
    about = json.loads(json.dumps(opened(tiny("gemma2")).describe().plain()))
    assert about["architecture"] == "Gemma2ForCausalLM"
    assert about["params"] == sum(p.numel() for p in read_weights(tiny("gemma2"), AskPolicy()).parameters())
    assert about["window"] == 128
    assert about["bos"]["policy"] == "auto"
    assert about["weights_hash"].startswith("sha256:")


def test_what_this_adapter_cannot_ask_is_refused_by_name(tiny: Tiny) -> None:
    folder = tiny("llama")
    ref = ModelRef(adapter="dir", location=str(folder), series="s", edits=({"ablate": "head 0.1"},))
    with pytest.raises(ModelError, match="edits"):
        TransformersModel(ref, folder, AskPolicy())


def test_observing_internals_is_refused_per_answer(tiny: Tiny, opened: Opened) -> None:
    model = opened(tiny("llama"))
    request = replace(likelihoods(model, 1)[0], observe=("attention",))
    assert "attention" in str(next(model.loglikelihood([request])).error)


def test_pickled_weights_need_permission(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = shutil.copytree(tiny("llama"), tmp_path / "pickle")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotAllowed, match="pickle-weights"):
        opened(folder)
    with permissions.granted(f"pickle-weights:{folder}"):
        allowed, whole = opened(folder), opened(tiny("llama"))
        requests = likelihoods(allowed, 3)
        ours = [a.token_logprobs for a in allowed.loglikelihood(requests)]
    assert ours == [a.token_logprobs for a in whole.loglikelihood(requests)]


class Evil:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_that_runs_code_is_refused_even_with_permission(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("llama"), tmp_path / "evil")
    torch.save({"a": Evil(tmp_path / "owned")}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with permissions.granted(f"pickle-weights:{folder}"), pytest.raises(ModelError, match="cannot be loaded"):
        model = opened(folder)
        list(model.loglikelihood(likelihoods(model, 1)))
    assert not (tmp_path / "owned").exists()


def test_foreign_code_needs_permission(tiny: Tiny, opened: Opened, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("llama"), tmp_path / "remote")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "homemade"
    config["auto_map"] = {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.MineForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match="trust-remote-code"):
        model = opened(folder)
        list(model.loglikelihood(likelihoods(model, 1)))
    assert not (tmp_path / "ran").exists()
