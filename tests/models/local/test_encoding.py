"""BOS is never missing by accident and never double; the boundary is lm-eval's; empty prompts are asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from saltus.models.base import ModelError, Template
from saltus.models.local.encoding import Encoder
from saltus.records import AskPolicy, Request

Tiny = Callable[..., Path]
TEMPLATE = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>{{ '\\n' }}"


def ids(encoder: Encoder, prompt: str, continuation: str = " fox") -> tuple[tuple[int, ...], tuple[int, ...]]:
    done = encoder.encode(Request(kind="loglikelihood", prompt=prompt, continuation=continuation))
    return done.prompt_ids or (), done.continuation_ids or ()


@pytest.mark.parametrize(
    ("tokenizer", "policy", "prepended"),
    [
        ("prepends", "auto", True),
        ("prepends", "always", True),
        ("prepends", "never", False),
        ("has", "auto", False),
        ("has", "always", True),
        ("has", "never", False),
        ("none", "auto", False),
        ("none", "never", False),
    ],
)
def test_bos_policies(tokenizer: str, policy: str, prepended: bool, tiny: Tiny) -> None:
    encoder = Encoder(tiny("llama", bos=tokenizer), AskPolicy(bos=policy))  # type: ignore[arg-type]
    prompt, continuation = ids(encoder, "the quick")
    assert (prompt[0] == encoder.bos) is prepended
    assert encoder.bos is None or (*prompt, *continuation).count(encoder.bos) == int(prepended)
    about = encoder.describe()["bos"]
    assert (about.policy, about.prepended) == (policy, prepended)


def test_a_bos_already_written_is_not_doubled(tiny: Tiny) -> None:
    encoder = Encoder(tiny("llama", bos="prepends"), AskPolicy(bos="always"))
    assert ids(encoder, "<bos>the quick") == ids(encoder, "the quick")


def test_always_without_a_bos_token_says_what_to_do(tiny: Tiny) -> None:
    with pytest.raises(ModelError, match=r"no BOS token.*bos: auto"):
        Encoder(tiny("llama", bos="none"), AskPolicy(bos="always"))


def test_trailing_space_moves_to_the_continuation(tiny: Tiny) -> None:
    encoder = Encoder(tiny("llama"), AskPolicy())
    assert ids(encoder, "the quick ", "fox") == ids(encoder, "the quick", " fox")
    assert ids(encoder, "the quick\n\n", "fox") == ids(encoder, "the quick", "\n\nfox")


def test_prompt_and_continuation_together_are_the_text(tiny: Tiny) -> None:
    encoder = Encoder(tiny("llama"), AskPolicy())
    for prompt, continuation in (("the qu", "ick"), ("the answ", "er to"), ("a", "n old man"), ("x", "  y ")):
        both = ids(encoder, prompt, continuation)
        assert encoder.decode([*both[0], *both[1]]) == prompt + continuation
        assert encoder.decode(list(both[1])) == continuation
    assert encoder.merged > 0  # "quick" is one token: it was encoded apart instead of losing "ick"


def test_a_boundary_between_tokens_is_that_of_the_whole_text(tiny: Tiny) -> None:
    encoder = Encoder(tiny("llama"), AskPolicy())
    whole = encoder.tokenizer("the quick brown fox", add_special_tokens=False)["input_ids"]
    prompt, continuation = ids(encoder, "the quick", " brown fox")
    assert [*prompt, *continuation] == whole
    assert encoder.merged == 0


@pytest.mark.parametrize("bos", ["has", "none"])
def test_an_empty_prompt_becomes_bos_else_eos(bos: str, tiny: Tiny) -> None:
    encoder = Encoder(tiny("llama", bos=bos), AskPolicy())
    prompt, continuation = ids(encoder, "", "the fox")
    assert prompt == ((encoder.bos if bos == "has" else encoder.eos),)
    assert encoder.decode(list(continuation)) == "the fox"
    assert ids(encoder, "   ", "the")[0] == prompt
    assert encoder.encode(Request(kind="generate")).prompt_ids == prompt
    assert encoder.describe()["empty_prompts"] == 3


def test_the_template_is_applied_once_with_one_bos(tiny: Tiny) -> None:
    folder = tiny("llama", template=TEMPLATE)
    for policy in ("auto", "always"):
        encoder = Encoder(folder, AskPolicy(template="auto", bos=policy))  # type: ignore[arg-type]
        prompt, continuation = ids(encoder, "Who?", "me")
        assert prompt[0] == encoder.bos
        assert prompt.count(encoder.bos or -1) == 1
        assert encoder.decode([*prompt[1:], *continuation]) == "<user>Who?<assistant>\nme"
    without = Encoder(folder, AskPolicy(template="auto", bos="never"))
    assert ids(without, "Who?", "me")[0] == prompt[1:]
    plain = Encoder(folder, AskPolicy())
    assert plain.decode(list(ids(plain, "Who?")[0])) == "Who?"


def test_messages_need_a_template(tiny: Tiny) -> None:
    request = Request(kind="generate", messages=({"role": "user", "content": "Who?"},))
    encoder = Encoder(tiny("llama", template=TEMPLATE), AskPolicy())
    assert encoder.decode(list(encoder.encode(request).prompt_ids or ())) == "<user>Who?<assistant>\n"
    with pytest.raises(ModelError, match="no chat template"):
        Encoder(tiny("llama"), AskPolicy()).encode(request)


def test_a_policy_without_effect_is_recorded_as_such(tiny: Tiny) -> None:
    about = Encoder(tiny("llama"), AskPolicy(template="auto")).describe()["template"]
    assert about == Template(policy="auto", has_one=False, applied=False)


def test_a_tokenizer_saved_while_truncating_reads_the_whole_text(tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("llama"), tmp_path / "cut")
    data = json.loads((folder / "tokenizer.json").read_text())
    data["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    encoder = Encoder(folder, AskPolicy())
    assert ids(encoder, "the quick brown fox jumps") == ids(
        Encoder(tiny("llama"), AskPolicy()), "the quick brown fox jumps"
    )


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_torn_tokenizer_is_named(text: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("llama"), tmp_path / "torn")
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match="tokenizer cannot be read"):
        Encoder(folder, AskPolicy())


def test_a_tokenizer_that_puts_a_space_in_front_adds_none_at_the_seam(tmp_path: Path) -> None:
    """SentencePiece style: "ick" alone would become " ick", which nobody wrote."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    bpe.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=["<eos>"], show_progress=False, initial_alphabet=["\n"])
    bpe.train_from_iterator(["the quick brown fox. what is the answer"] * 9, trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<eos>").save_pretrained(tmp_path)
    encoder = Encoder(tmp_path, AskPolicy())
    for prompt, continuation in (("the qu", "ick"), ("the answ", "er"), ("the answer is", " the fox")):
        before, after = ids(encoder, prompt, continuation)
        assert encoder.decode([*before, *after]) == prompt + continuation
    assert encoder.merged == 2
