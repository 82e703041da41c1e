"""Where models stand: what the user says, what files say, what names say; and two models never merge in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saltus.errors import UserError
from saltus.results.coordinates import Places, compiled
from saltus.results.read import Reading, read


def lm_eval(folder: Path, name: str, args: str, acc: float, **more: object) -> Path:
    """A results file of lm-eval 0.4 with the model's arguments as given."""
    document = {
        "results": {"piqa": {"acc,none": acc, "acc_stderr,none": 0.01}},
        "configs": {"piqa": {"task": "piqa", "output_type": "multiple_choice"}},
        "config": {"model": "hf", "model_args": args},
        "n-shot": {"piqa": 0},
        "date": 1714557600.0,
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def runs(tmp_path: Path, args: str = "pretrained=./final", count: int = 4) -> Path:
    for i in range(count):
        lm_eval(tmp_path / "runs" / f"part{i}", "results.json", args.format(i=i), 0.5 + i / 40)
    return tmp_path / "runs"


def steps(found: Reading) -> list[float | None]:
    return sorted(found.table["step"].to_list(), key=lambda s: -1 if s is None else s)


def origins(found: Reading, field: str) -> set[tuple[str, str]]:
    return {(c["from"], c["text"]) for c in found.coordinates if c["field"] == field}


def test_names_are_read_and_the_account_says_from_which_text(tmp_path: Path) -> None:
    found = read([runs(tmp_path, "pretrained=lab/lm-1b,revision=step{i}000-tokens{i}B")])
    assert steps(found) == [0, 1000, 2000, 3000]
    assert sorted(found.table["tokens"]) == [0, 1e9, 2e9, 3e9], "zero tokens at step 0 are zero, not unknown"
    assert ("name", "step1000-tokens1B") in origins(found, "step")
    entry = next(c for c in found.coordinates if c["field"] == "tokens" and c["value"] == 2e9)
    assert set(entry) == {"source", "field", "value", "from", "text"}
    assert entry["source"].endswith("part2/results.json")
    assert json.loads(json.dumps(found.account()))["coordinates"] == [dict(c) for c in found.coordinates]


@pytest.mark.parametrize(
    ("args", "step"),
    [
        ("pretrained=lab/base,peft=./out/checkpoint-{i}00", [0, 100, 200, 300]),
        ("pretrained=./out/checkpoint-{i}00", [0, 100, 200, 300]),
        ("model=lm,base_url=http://127.0.0.1:8000/step-{i}00/v1", [0, 100, 200, 300]),
        ("pretrained=lab/lm,subfolder=ckpt-{i}00", [0, 100, 200, 300]),
    ],
)
def test_checkpoints_named_in_other_arguments_are_read(tmp_path: Path, args: str, step: list[float]) -> None:
    assert steps(read([runs(tmp_path, args)])) == step


def test_a_stated_step_wins_over_one_in_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("model,step,task,metric,value\n" + "".join(f"lm-step{i},{i * 7},piqa,acc,0.5\n" for i in (1, 2, 3)))
    found = read([path])
    assert steps(found) == [7, 14, 21]
    assert origins(found, "step") == {("file", "")}


def test_what_paths_differ_in_is_read_where_nothing_else_differs(tmp_path: Path) -> None:
    for i in (1, 2, 3):
        lm_eval(tmp_path / f"step-{i}00", "results.json", "pretrained=./out", 0.1 * i)
    found = read([tmp_path])
    assert steps(found) == [100, 200, 300]
    assert {origin for origin, _ in origins(found, "step")} == {"name"}


def test_a_pattern_gives_places_and_names_what_it_does_not_fit(tmp_path: Path) -> None:
    folder = runs(tmp_path)
    found = read([folder], places=Places(pattern="part{step}/"))
    assert steps(found) == [0, 1, 2, 3]
    assert {origin for origin, _ in origins(found, "step")} == {"pattern"}
    lm_eval(folder / "other", "results.json", "pretrained=./final", 0.9)
    notes = read([folder], places=Places(pattern="part{step}/")).notes
    assert any("fits 4 of 5" in note and "other" in note for note in notes)
    with pytest.raises(UserError, match="fits no file"):
        read([folder], places=Places(pattern="nowhere{step}"))


@pytest.mark.parametrize("pattern", ["part{stepp}", "part", "{step}{step}"])
def test_a_pattern_without_sense_is_refused(pattern: str) -> None:
    with pytest.raises(UserError, match="coordinate"):
        compiled(pattern)


def test_patterns_read_quantities_and_words() -> None:
    match = compiled("run-{seed}/*/at{tokens}").search("a/run-big/x1/at20B/results.json")
    assert match is not None
    assert match.groupdict() == {"seed": "big", "tokens": "20B"}


def coords(tmp_path: Path, text: str) -> Places:
    path = tmp_path / "coords.csv"
    path.write_text(text)
    return Places(coords=path)


def test_coords_win_over_everything(tmp_path: Path) -> None:
    folder = runs(tmp_path, "pretrained=lab/lm-1b,revision=step{i}")
    lines = "".join(f"part{i}/results.json,{i * 10},1e{i}\n" for i in range(4))
    found = read([folder], places=coords(tmp_path, "source,step,tokens\n" + lines))
    assert steps(found) == [0, 10, 20, 30]
    assert sorted(found.table["tokens"]) == [1, 10, 100, 1000]
    assert {origin for origin, _ in origins(found, "step")} == {"coords"}


def test_coords_find_models_by_a_part_of_their_arguments(tmp_path: Path) -> None:
    folder = runs(tmp_path, "pretrained=lab/lm,revision=r{i}", count=12)
    lines = "".join(f"revision=r{i},{i + 1}00\n" for i in range(12))
    assert steps(read([folder], places=coords(tmp_path, "source,step\n" + lines))) == [100.0 * i for i in range(1, 13)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,step\nlab/lm,5\n", "fits 4 models"),
        ("source,step\nnothing,5\n", "fits no file and no model"),
        ("source,stepp\npart0,5\n", "`stepp` is no coordinate"),
        ("step\n5\n", "no column `source`"),
        ("source,step\nrevision=r0,five\n", "is no number"),
    ],
)
def test_coords_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, message: str) -> None:
    folder = runs(tmp_path, "pretrained=lab/lm,revision=r{i}")
    with pytest.raises(UserError, match=message):
        read([folder], places=coords(tmp_path, text))


def test_coords_that_leave_some_out_say_so(tmp_path: Path) -> None:
    found = read([runs(tmp_path)], places=coords(tmp_path, "source,step\npart0/results.json,5\n"))
    assert any("gives no place for" in note for note in found.notes)


def test_checkpoints_that_nothing_places_never_merge(tmp_path: Path) -> None:
    folder = runs(tmp_path, "pretrained=lab/lm-3B,revision=alpha{i}x")
    found = read([folder])
    assert found.table["variant"].n_unique() == 4
    assert any("4 checkpoints of `lm-3B` could not be placed" in n and "--coords" in n for n in found.notes)


def test_one_checkpoint_opened_in_two_ways_is_two_variants_and_how_it_ran_is_none(tmp_path: Path) -> None:
    for i in range(1, 5):
        lm_eval(tmp_path / f"a{i}", "results.json", f"pretrained=lab/lm-1b,revision=step{i},batch_size={i}", 0.1 * i)
    assert read([tmp_path]).table["variant"].null_count() == 4
    lm_eval(tmp_path / "b", "results.json", "pretrained=lab/lm-1b,revision=step4,max_length=64", 0.9)
    found = read([tmp_path])
    assert sorted(found.table["variant"].drop_nulls()) == ["max_length=64"]
    assert any("was opened in 2 ways at one place" in note for note in found.notes)


def test_a_later_stage_is_another_run(tmp_path: Path) -> None:
    for i in range(1, 4):
        lm_eval(tmp_path / f"a{i}", "r.json", f"pretrained=lab/lm-1b,revision=stage1-step{i}000-tokens{i}B", 0.1 * i)
    lm_eval(tmp_path / "b", "r.json", "pretrained=lab/lm-1b,revision=stage2-ingredient1-step10-tokens1B", 0.9)
    found = read([tmp_path])
    assert found.table["variant"].to_list() == [None, None, None, "stage2-ingredient1"]
    assert any("another stage of training is another run" in note for note in found.notes)


def test_shots_of_a_group_are_those_of_its_subtasks(tmp_path: Path) -> None:
    results = {"mmlu": {"acc,none": 0.3}, "mmlu_law": {"acc,none": 0.3}}
    lm_eval(
        tmp_path,
        "r.json",
        "pretrained=lab/lm-1b,revision=step5",
        0.3,
        results=results,
        **{"n-shot": {"mmlu": 0, "mmlu_law": 5}, "group_subtasks": {"mmlu": ["mmlu_law"]}},
    )
    assert set(read([tmp_path]).table["n_shot"]) == {5}
