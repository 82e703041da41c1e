"""JSONL items: three kinds, every gold form, and a message that helps for everything that can be wrong."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from saltus.errors import UserError
from saltus.records import Answer, Item
from saltus.tasks import jsonl
from saltus.tasks.base import Task

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER
RNG = np.random.default_rng(0)


def likely(*logprobs: float) -> Answer:
    return Answer(key="", token_logprobs=logprobs, token_ranks=(0,) * len(logprobs), greedy=True)


def asked(task: Task, item: Item) -> list[tuple[str, str, str]]:
    return [(r.kind, r.prompt, r.continuation) for r in task.ask(item)]


def written(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def refused(tmp_path: Path, *rows: object, **options: object) -> UserError:
    written(tmp_path, *rows)
    with pytest.raises(UserError) as caught:
        jsonl.make("items.jsonl", tmp_path, **options)
    return caught.value


def test_multiple_choice_in_cloze_format():
    task = jsonl.make("choices.jsonl", DATA)
    assert isinstance(task, Task)
    assert (task.name, task.kind, task.format) == ("jsonl:choices.jsonl", "multiple_choice", "cloze")
    items = task.items(None, RNG)
    assert [i.gold for i in items] == [(1,), (2,), (1,), (1,), (0, 2)]
    assert items[4].target == ("2", "4")
    assert items[4].meta == {"license_note": "kept"}, "unknown fields are kept"
    assert (items[3].parent_id, items[3].relation) == ("c3", "fresh")
    assert (items[0].group, items[0].difficulty) == ("kinds", 1.0)
    assert items[2].source == "choices.jsonl:3"
    text = "Ann is older than Bob.\nQuestion: Who is younger?\nAnswer:"
    assert asked(task, items[2]) == [("loglikelihood", text, " Ann"), ("loglikelihood", text, " Bob")]
    acc, norm = task.score(items[2], [likely(-2.0), likely(-1.0)])
    assert (acc.metric_hard, acc.hard, acc.soft) == ("acc", 1.0, -1.0)
    assert norm.metric_hard == "acc_norm"
    assert (acc.metric_hard, acc.metric_soft) == task.primary


def test_multiple_choice_in_letter_format():
    task = jsonl.make("choices.jsonl", DATA, format="letters")
    assert task.name == "jsonl:choices.jsonl[format=letters]"
    item = task.items(1, RNG)[0]
    text = "Question: Which is a fruit?\nA. stone\nB. apple\nC. hammer\nAnswer:"
    assert asked(task, item) == [("loglikelihood", text, f" {letter}") for letter in "ABC"]
    (acc,) = task.score(item, [likely(-2.0), likely(-1.0), likely(-3.0)])
    assert acc.hard == 1.0


def test_generation_asks_for_text_and_for_every_target():
    task = jsonl.make("answers.jsonl", DATA, max_tokens=8)
    assert task.needs == {"generate", "loglikelihood"}
    items = task.items(None, RNG)
    text = "Question: Name the capital of France.\nAnswer:"
    assert asked(task, items[1]) == [
        ("generate", text, ""),
        ("loglikelihood", text, " Paris"),
        ("loglikelihood", text, " Paris, France"),
    ]
    assert next(task.ask(items[0])).settings.max_tokens == 8
    raw, stripped = task.score(items[0], [Answer(key="", text=" 42"), likely(-1.0)])
    assert (raw.hard, stripped.hard) == (1.0, 1.0)
    assert (raw.metric_hard, raw.metric_soft) == task.primary
    assert items[3].demos[0].target == "2"
    assert asked(task, items[3])[0][1].startswith("Question: What is 1 plus 1?\nAnswer: 2\n\nQuestion: What is 2")


def test_log_likelihood_of_a_target_and_its_space():
    task = jsonl.make("continuations.jsonl", DATA)
    items = task.items(None, RNG)
    assert asked(task, items[0]) == [("loglikelihood", "The cat sat on the", " mat")]
    assert asked(task, items[1])[0][2] == " blue"
    assert (task.score(items[0], [likely(-1.0)])[0].metric_hard, task.format) == ("greedy_match", "continuation")


def test_ids_come_from_the_content_so_inserting_a_row_renames_none(tmp_path):
    a, b = ({"question": q, "target": "x"} for q in ("one", "two"))
    written(tmp_path, a, b, b)
    first = [i.id for i in jsonl.make("items.jsonl", tmp_path).items(None, RNG)]
    written(tmp_path, {"question": "new", "target": "x"}, b, a)
    second = [i.id for i in jsonl.make("items.jsonl", tmp_path).items(None, RNG)]
    assert second[1:] == [first[1], first[0]]
    assert first[2] == f"{first[1]}-2"


def test_items_are_the_first_rows_and_are_read_from_disk_when_looked_at(tmp_path):
    written(tmp_path, *({"id": i, "question": f"q{i}", "target": "x"} for i in range(1000)))
    task = jsonl.make("items.jsonl", tmp_path)
    some = task.items(10, RNG)
    assert [i.id for i in some] == [str(i) for i in range(10)]
    assert len(task.items(5000, RNG)) == 1000
    assert [i.question for i in task.source[997:]] == ["q997", "q998", "q999"]
    assert task.source[-1].id == "999"
    assert task.provenance["n"] == 1000
    assert task.provenance["sha256"].startswith("sha256:")


def test_a_large_file_costs_a_few_bytes_per_row(tmp_path):
    rows = 10_000
    written(tmp_path, *({"question": f"a question of some length, {i}", "target": "x"} for i in range(rows)))
    jsonl.read(DATA / "answers.jsonl")
    tracemalloc.start()
    read = jsonl.read(tmp_path / "items.jsonl")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read) == rows
    assert kept / rows < 30
    assert peak / rows < 200


def test_items_survive_the_way_to_another_process():
    task = pickle.loads(pickle.dumps(jsonl.make("choices.jsonl", DATA)))
    assert list(task.items(None, RNG)) == list(jsonl.make("choices.jsonl", DATA).items(None, RNG))


def test_worked_examples_are_never_of_the_same_group_or_kin():
    task = jsonl.make("choices.jsonl", DATA)
    items = task.items(None, RNG)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert {d.id for d in task.demos(items[0], 3, rng)} == {"c3", "c3-fresh", "c4"}
        assert "c3" not in {d.id for d in task.demos(items[3], 3, rng)}
        assert "c3-fresh" not in {d.id for d in task.demos(items[2], 3, rng)}
    with pytest.raises(UserError, match="4 worked examples") as caught:
        task.demos(items[0], 4, RNG)
    assert "examples: FILE.jsonl" in caught.value.do


def test_a_file_of_worked_examples_is_used_in_its_order(tmp_path):
    written(tmp_path, *({"question": f"q{i}", "target": f"t{i}"} for i in range(5)))
    (tmp_path / "shots.jsonl").write_text('{"question": "a", "target": "b"}\n{"question": "c", "target": "d"}\n')
    task = jsonl.make("items.jsonl", tmp_path, examples="shots.jsonl")
    item = task.items(1, RNG)[0]
    assert [d.question for d in task.demos(item, 2, RNG)] == ["a", "c"]
    with pytest.raises(UserError):
        task.demos(item, 3, RNG)


def test_floors_are_computed_per_kind():
    assert jsonl.make("choices.jsonl", DATA).floor(jsonl.make("choices.jsonl", DATA).source).nominal == pytest.approx(
        (1 / 3 + 1 / 3 + 1 / 2 + 1 / 2 + 2 / 3) / 5
    )
    task = jsonl.make("answers.jsonl", DATA)
    assert task.floor(task.source).nominal == 0.0


OK = {"question": "q", "target": "t"}
MC = {"question": "q", "choices": ["a", "b"], "answer": "a"}


@pytest.mark.parametrize(
    ("rows", "where", "words"),
    [
        ([OK, "{bad"], "items.jsonl:2", "malformed JSON"),
        (['{"question": "q", "target": "t", "weight": NaN}'], "items.jsonl:1", "`NaN` is no JSON"),
        ([OK, '["a"]'], "items.jsonl:2", "no object"),
        ([OK, {"question": "q"}], "items.jsonl:2", "no gold answer"),
        ([{"question": "q", "answr": "x"}], "items.jsonl:1", "did you mean `answer`"),
        ([{"questoin": "q", "answer": "x"}], "items.jsonl:1", "did you mean `question`"),
        ([{"question": "q", "answer": "x", "target": "y"}], "items.jsonl:1", "differ"),
        ([{**MC, "answer": "c"}], "items.jsonl:1", "not among the choices"),
        ([{**MC, "answer": 2}], "items.jsonl:1", "index (0 to 1)"),
        ([{**MC, "answer": True}], "items.jsonl:1", "not among the choices"),
        ([{**MC, "choices": ["a"]}], "items.jsonl:1", "two choices"),
        ([{**MC, "choices": "ab"}], "items.jsonl:1", "a list of texts"),
        ([MC, OK], "items.jsonl:2", "split the file by kind"),
        ([{**OK, "kind": "generat"}], "items.jsonl:1", "did you mean `generate`"),
        ([{**OK, "id": "x"}, OK, {**OK, "id": "x"}], "items.jsonl:3", "first in line 1"),
        ([{**OK, "id": ["x"]}], "items.jsonl:1", "`id` is"),
        ([{**OK, "difficulty": "hard"}], "items.jsonl:1", "a number"),
        ([{**OK, "difficulty": float("nan")}], "items.jsonl:1", "a number"),
        ([{**OK, "group": ["g"]}], "items.jsonl:1", "`group` is"),
        ([{**OK, "demos": ["d"]}], "items.jsonl:1", "`demos` is"),
        ([{**OK, "demos": [{"question": "q"}]}], "items.jsonl:1: demos[0]", "no gold answer"),
        ([{**OK, "target": {"a": 1}}], "items.jsonl:1", "a text, a number"),
        ([], "items.jsonl", "no rows"),
        (["", "  "], "items.jsonl", "no rows"),
    ],
)
def test_bad_rows_are_refused_by_file_line_and_wish(tmp_path, rows, where, words):
    error = refused(tmp_path, *rows)
    assert error.where == where
    assert words in str(error)
    assert error.wanted or error.do


def test_bad_files_and_options_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*missing\.jsonl"):
        jsonl.make("missing.jsonl", tmp_path)
    with pytest.raises(UserError, match="names no file"):
        jsonl.make(None, tmp_path)
    assert "did you mean `format`" in str(refused(tmp_path, MC, fromat="letters"))
    assert "cloze" in str(refused(tmp_path, MC, format="letter"))
    assert "split" in str(refused(tmp_path, MC, kind="generate"))
    assert "26 choices" in str(
        refused(tmp_path, {**MC, "choices": [str(i) for i in range(27)], "answer": 3}, format="letters")
    )
    (tmp_path / "items.jsonl").write_bytes(b'{"question": "\xff", "target": "t"}\n')
    with pytest.raises(UserError, match="UTF-8"):
        jsonl.make("items.jsonl", tmp_path)


def test_the_schema_in_the_package_agrees_with_the_reader(tmp_path):
    from importlib.resources import files

    import jsonschema

    schema = json.loads(files("saltus").joinpath("schemas/items.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema).is_valid
    for name in ("choices", "answers", "continuations"):
        for line in (DATA / f"{name}.jsonl").read_text().splitlines():
            assert not line or valid(json.loads(line)), line
    for bad in (
        {"question": "q"},
        {"answer": "x"},
        {**MC, "choices": ["a"]},
        {**OK, "difficulty": "hard"},
        {**OK, "kind": "generat"},
        {**OK, "id": ["x"]},
        {**OK, "demos": ["d"]},
        {**OK, "group": ["g"]},
    ):
        assert not valid(bad), bad
        refused(tmp_path, bad)


@pytest.mark.parametrize("half", [r"\ud83d", r"\udc4d tail", r"\ud83d\ud83d"])
def test_half_a_character_is_named_by_file_and_line(tmp_path: Path, half: str) -> None:
    good = '{"question": "thumbs \\ud83d\\udc4d up?", "answer": "yes"}'
    error = refused(tmp_path, good, f'{{"question": "thumbs {half} up?", "answer": "yes"}}')
    assert error.where == "items.jsonl:2"
    assert half[:6] in str(error)
