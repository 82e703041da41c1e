"""What names of checkpoints mean."""

import pytest

from saltus.results import names


@pytest.mark.parametrize(
    ("name", "value"),
    [("pythia-1.4b-deduped", 1.4e9), ("bloom-1b7", 1.7e9), ("opt-125m", 125e6), ("gpt2", None), ("v1.1-160m", 160e6)],
)
def test_sizes_in_names(name, value):
    assert names.params_in(name) == pytest.approx(value) if value else names.params_in(name) is None


@pytest.mark.parametrize(
    ("text", "step"),
    [("step1000", 1000), ("out/checkpoint-500", 500), ("global_step51500", 51500), ("main", None), ("0shot", None)],
)
def test_steps(text, step):
    assert names.step_in(text) == step


def test_shots_in_a_path_may_contradict_each_other():
    assert names.shots_in("a/five-shot/x-5shot.json") == {5}
    assert names.shots_in("zero-shot/1b-bf16-5shot_step1.json") == {0, 5}
    assert names.shots_in("evals/opt.json") == frozenset()


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
    assert names.family_in(name) == family


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("lab/lm-110m-step_20k", {"step": 2e4}),
        ("lm-110m-step_2000k", {"step": 2e6}),
        ("TinyLlama-1.1B-intermediate-step-240k-503b", {"step": 24e4, "tokens": 503e9}),
        ("TinyLlama-1.1B-240k-503b", {"step": 24e4, "tokens": 503e9}),
        ("mpt-7b-ep0-ba5000", {"step": 5000}),
        ("google/multiberts-seed_1-step_20k", {"step": 2e4, "seed": "1"}),
        ("x-32k-7b", {}),
        ("ByteDance-Seed/Seed-OSS-36B", {}),
        ("alibaba2", {}),
        ("base-7b", {}),
    ],
)
def test_places_in_a_name(name, found):
    assert names.in_name(name) == names.Named(**found)


@pytest.mark.parametrize(
    ("revision", "found"),
    [
        ("20b_tokens", {"tokens": 20e9}),
        ("train_00220B", {"tokens": 220e9}),
        ("0-5T", {"tokens": 0.5e12}),
        ("240k-503b", {"step": 24e4, "tokens": 503e9}),
        ("step1250-seed-small-aux-2", {"step": 1250, "seed": "small-aux-2"}),
        ("step125-seed-default", {"step": 125, "seed": "default"}),
        ("seed-large", {"seed": "large"}),
        ("step0-tokens0B", {"step": 0, "tokens": 0}),
        ("stage1-step1000-tokens5B", {"step": 1000, "tokens": 5e9}),
        ("stage2-ingredient1-step11931-tokens50B", {"step": 11931, "tokens": 5e10, "stage": "stage2-ingredient1"}),
        ("iter_0001000", {"step": 1000}),
        ("main", {}),
        ("a1b2c3d", {}),
    ],
)
def test_places_in_a_revision(revision, found):
    assert names.in_revision(revision) == names.Named(**found)


@pytest.mark.parametrize(
    ("name", "run", "params"),
    [
        ("TinyLlama-1.1B-240k-503b", "TinyLlama-1.1B", 1.1e9),
        ("mpt-7b-ep0-ba5000", "mpt-7b", 7e9),
        ("lab/lm-110m-step_20k", "lab/lm-110m", 110e6),
    ],
)
def test_a_run_is_its_name_without_its_places(name, run, params):
    assert names.without(name) == run
    assert names.params_in(name) == params
