"""What each series is trained on, and that its folders are what transformers expects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from saltus.tasks.modular_addition import split
from saltus.zoo import tokens
from saltus.zoo.addition import Addition
from saltus.zoo.catalogue import EXHIBITS, courses
from saltus.zoo.grokking import Grokking, _prompts
from saltus.zoo.grokking_model import PlainConfig, PlainForCausalLM
from saltus.zoo.induction import Induction
from saltus.zoo.training import Schedule, train

SHORT = Schedule(steps=3, points=1, rate=3e-3, batch=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(Induction(width=16, schedule=SHORT), 0, folder)
    return folder / "step-3"


def test_induction_loads_as_an_ordinary_llama_whose_mlp_writes_nothing(trained) -> None:
    network = AutoModelForCausalLM.from_pretrained(trained)
    assert type(network).__name__ == "LlamaForCausalLM"
    for layer in network.model.layers:
        assert not layer.mlp.down_proj.weight.any()
        assert layer.self_attn.q_proj.weight.any()


def test_induction_tokenizer_reads_the_words_of_copying(trained) -> None:
    tokenizer = AutoTokenizer.from_pretrained(trained)
    assert tokenizer("t3 t17 t5")["input_ids"] == [3, 17, 5]
    assert tokenizer("t3 t17 t5 t63")["input_ids"] == [3, 17, 5, 63]
    assert tokenizer.decode([3, 63]) == "t3 t63"
    assert tokenizer("t3 t64")["input_ids"] == [3, 64]
    assert AutoModelForCausalLM.from_pretrained(trained).config.vocab_size == 64


def test_induction_texts_repeat_with_their_period() -> None:
    ids, periods = Induction().sequences(200, seed=1)
    assert ids.shape == (200, 48)
    assert set(periods.tolist()) == set(range(8, 25))
    for row, period in zip(ids.tolist(), periods.tolist()):
        assert all(row[i] == row[i - period] for i in range(period, 48))
    assert len(set(ids.flatten().tolist())) == 64


@pytest.mark.parametrize("digits", [1, 3, 5])
def test_addition_texts_are_right_sums_written_backwards(digits) -> None:
    course = Addition(digits=digits)
    tokenizer = course.tokenizer()
    for row in course.sums(50, seed=2, spread=0.7):
        text = tokenizer.decode(row)
        question, _, answer = text.partition("=")
        a, _, b = question.partition("+")
        assert len(a) == len(b) == digits
        assert len(answer) == digits + 1
        assert int(a) + int(b) == int(answer[::-1])
        assert tokenizer(text)["input_ids"] == row.tolist()


def test_addition_draws_small_digits_more_often_only_where_it_should() -> None:
    course = Addition()
    even, skewed = (course.sums(4000, seed=3, spread=s)[:, :3].flatten() for s in (0.0, 0.7))
    assert torch.bincount(even, minlength=10).float().std() / 1200 < 0.05
    zeros, nines = ((skewed == d).float().mean().item() for d in (0, 9))
    assert zeros / nines == pytest.approx(10**0.7, rel=0.15)


def test_grokking_trains_on_the_pairs_the_task_does_not_ask() -> None:
    course = Grokking()
    shown, held = split(course.p, course.fraction, course.split_seed)
    prompts, answers = _prompts(course.p, course.fraction, course.split_seed, False)
    tokenizer = course.tokenizer()
    pairs = {tuple(pair) for pair in shown.tolist()}
    for prompt, answer in zip(prompts[:100], answers[:100].tolist()):
        a, plus, b, equals = tokenizer.decode(prompt).split()
        assert (plus, equals) == ("+", "=")
        assert (int(a), int(b)) in pairs
        assert (int(a) + int(b)) % course.p == answer
        assert tokenizer(f"{a} + {b} =")["input_ids"] == prompt.tolist()
    assert not pairs & {tuple(pair) for pair in held.tolist()}


def test_grokking_batch_must_be_full() -> None:
    with pytest.raises(ValueError, match="1392"):
        Grokking(schedule=replace(Grokking().schedule, batch=64))


def plain() -> PlainForCausalLM:
    torch.manual_seed(0)
    config = PlainConfig(vocab_size=20, hidden_size=16, intermediate_size=32, max_position_embeddings=6)
    return PlainForCausalLM(config).eval()


def test_the_plain_network_comes_back_from_its_folder(tmp_path) -> None:
    network, ids = plain(), torch.randint(20, (3, 5))
    network.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(network(ids).logits, again(ids).logits)
    assert again.get_output_embeddings() is again.lm_head


def test_the_plain_network_is_causal_and_blind_to_padding() -> None:
    network, ids = plain(), torch.randint(20, (2, 5))
    whole = network(ids).logits
    torch.testing.assert_close(network(ids[:, :3]).logits, whole[:, :3])
    torch.testing.assert_close(network(ids, logits_to_keep=2).logits, whole[:, -2:])
    for side in (slice(0, 5), slice(1, 6)):
        padded, mask = torch.zeros(2, 6, dtype=torch.long), torch.zeros(2, 6, dtype=torch.long)
        padded[:, side], mask[:, side] = ids, 1
        seen = network(padded, attention_mask=mask).logits
        torch.testing.assert_close(seen[:, side], whole)


def test_the_plain_network_refuses_more_tokens_than_it_has_positions() -> None:
    with pytest.raises(ValueError, match="7 tokens"):
        plain()(torch.zeros(1, 7, dtype=torch.long))


@pytest.mark.parametrize(
    ("tokenizer", "prompt", "continuation"),
    [
        (tokens.words(), "t3 t17 t5 t3", " t17"),
        (tokens.characters(), "123+456=", "9750"),
        (tokens.residues(59), "12 + 40 =", " 52"),
    ],
    ids=["words", "characters", "residues"],
)
def test_tokenizers_split_where_the_continuation_begins(tokenizer, prompt, continuation) -> None:
    def encoded(text: str) -> list[int]:
        return tokenizer(text)["input_ids"]

    assert encoded(prompt + continuation) == encoded(prompt) + encoded(continuation)
    assert tokenizer.decode(encoded(prompt + continuation)) == prompt + continuation


@pytest.mark.parametrize("name", EXHIBITS)
def test_every_exhibit_has_recipes_and_a_first_seed(name) -> None:
    assert courses(name)
    assert EXHIBITS[name].seeds[0] == 0
