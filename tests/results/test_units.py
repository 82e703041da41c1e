"""Numbers and names as people write them."""

import pytest

from saltus.results import units


@pytest.mark.parametrize(
    ("text", "value"), [("160M", 160e6), ("1.4b", 1.4e9), ("2T", 2e12), ("1,000", 1000.0), ("3e9", 3e9), ("x", None)]
)
def test_quantities(text, value):
    assert units.parse_quantity(text) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("pythia-1.4b-deduped", 1.4e9), ("bloom-1b7", 1.7e9), ("opt-125m", 125e6), ("gpt2", None), ("v1.1-160m", 160e6)],
)
def test_sizes_in_names(name, value):
    assert units.params_in(name) == pytest.approx(value) if value else units.params_in(name) is None


@pytest.mark.parametrize(
    ("text", "step"),
    [("step1000", 1000), ("out/checkpoint-500", 500), ("global_step51500", 51500), ("main", None), ("0shot", None)],
)
def test_steps(text, step):
    assert units.step_in(text) == step


def test_shots_in_a_path_may_contradict_each_other():
    assert units.shots_in("a/five-shot/x-5shot.json") == {5}
    assert units.shots_in("zero-shot/1b-bf16-5shot_step1.json") == {0, 5}
    assert units.shots_in("evals/opt.json") == frozenset()


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("EleutherAI/pythia-70m", "pythia"),
        ("pythia-1.4b-deduped", "pythia-deduped"),
        ("bloom-1b7", "bloom"),
        ("runs/mine/checkpoint-500", "mine"),
        ("pythia-160m-seed3", "pythia"),
    ],
)
def test_families_are_names_without_size_step_and_seed(name, family):
    assert units.family_in(name) == family
