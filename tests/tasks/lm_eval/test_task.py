"""Tasks of lm-eval: the harness's prompts to the byte, our scores, and a message for everything that can be wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saltus import permissions
from saltus.conditions.shots import Shots
from saltus.conditions.typos import Typos
from saltus.errors import UserError
from saltus.permissions import NotAllowed
from saltus.records import Answer, Item, NotApplicable, Request
from saltus.store.rows import item_from_json, item_json
from saltus.tasks.base import Task
from saltus.tasks.lm_eval import task as lm_eval
from saltus.tasks.lm_eval.harness import build, quiet
from saltus.tasks.lm_eval.task import LmEvalTask

from helpers.harness_tasks import CHOICE, EXACT, GENERATE, configurations, offline, task, write

RNG = np.random.default_rng(0)
RAGGED = [["red", "blue"], ["one", "two", "three"], ["up", "down"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("tasks")
    with offline(base / "cache"):
        yield write(base)


def made(name: str, folder: Path, **options: Any) -> LmEvalTask:
    found = lm_eval.make(name, folder, include_path=".", **options)
    assert isinstance(found, LmEvalTask)
    return found


def theirs(name: str, folder: Path, shots: int | None) -> list[tuple[Any, ...]]:
    """What the harness's own evaluator would send to a model."""
    (harness,) = build(name, [folder], folder)
    if shots is not None or harness.get_config("num_fewshot") is None:
        harness.set_config(key="num_fewshot", value=shots or 0)
    harness.set_fewshot_seed(seed=1234)
    with quiet():
        harness.build_all_requests()
    return [instance.args for instance in harness.instances]


def ours(task: LmEvalTask, items: Any) -> list[tuple[str, ...]]:
    """The same from our requests; the likelihoods that come beside generated answers apart."""
    found: list[tuple[str, ...]] = []
    for request in (request for item in items for request in task.ask(item)):
        if task.kind == "loglikelihood_rolling":
            assert request.prompt == ""
            found.append((request.continuation,))
        elif request.kind == "generate":
            found.append((request.prompt,))
        elif task.kind != "generate_until":
            found.append((request.prompt, request.continuation))
    return found


@pytest.mark.parametrize("shots", [None, 1, 2], ids=["own", "1-shot", "2-shot"])
@pytest.mark.parametrize("name", sorted(configurations(Path())))
def test_prompts_are_the_harnesss_byte_for_byte(name: str, shots: int | None, folder: Path) -> None:
    task = made(name, folder, **({} if shots is None else {"num_fewshot": shots}))
    assert isinstance(task, Task)
    items = task.items(None, RNG)
    wanted = theirs(name, folder, shots)
    if task.kind == "generate_until":
        wanted = [(context,) for context, _ in wanted]
    assert ours(task, items) == wanted
    if task.kind != "loglikelihood_rolling":
        assert {len(item.demos) for item in items} == {task.shots}, "examples are parts of an item"


def test_prompts_are_the_same_in_any_order_and_whatever_the_limit_is(folder: Path) -> None:
    forward = list(made("shots", folder).items(None, RNG))
    task = made("shots", folder)
    task.demos(forward[5], 1, RNG)  # another number of examples in between disturbs nothing
    backward = [task.items(None, RNG)[i] for i in reversed(range(8))]
    assert backward[::-1] == forward
    assert list(made("shots", folder).items(3, RNG)) == forward[:3]
    assert len(forward) == len({item.id for item in forward}) == 8


def test_items_survive_the_store(folder: Path) -> None:
    for name in configurations(folder):
        task = made(name, folder)
        for item in task.items(2, RNG):
            back = item_from_json(item_json(item).decode())
            assert list(task.ask(back)) == list(task.ask(item))


def test_shots_as_a_condition_are_the_harnesss_shots(folder: Path) -> None:
    plain, shown = made("cloze", folder), made("cloze", folder, num_fewshot=3)
    changed = [Shots(level=3).apply(item, plain, RNG) for item in plain.items(None, RNG)]
    assert ours(plain, changed) == ours(shown, shown.items(None, RNG))
    refused = Shots(level=11).apply(plain.items(1, RNG)[0], plain, RNG)
    assert isinstance(refused, NotApplicable)
    assert "there are 10" in refused.why


def test_typos_reach_the_question_and_spare_examples_and_description(folder: Path) -> None:
    task = made("shots", folder)
    item = task.items(1, RNG)[0]
    changed = Typos(level=1.0).apply(item, task, RNG)
    assert isinstance(changed, Item)
    before, after = next(task.ask(item)).prompt, next(task.ask(changed)).prompt
    assert before != after
    assert after.startswith(before.removesuffix(item.question))


def likely(*logprobs: float) -> Answer:
    return Answer(key="", token_logprobs=logprobs, token_ranks=(0,) * len(logprobs), greedy=True)


def output(text: str) -> Answer:
    return Answer(key="", text=text, finish="stop")


def test_choices_are_scored_by_both_twins(folder: Path) -> None:
    task = made("cloze", folder)
    item = task.items(2, RNG)[1]
    assert item.gold == (3,)
    acc, norm = task.score(item, [likely(-3.0), likely(-2.0), likely(-4.0), likely(-1.0, -0.5)])
    assert (acc.metric_hard, acc.hard, acc.metric_soft, acc.soft) == ("acc", 1.0, "gold_logprob", -1.5)
    assert norm.metric_hard == "acc_norm"
    assert task.floor(task.items(None, RNG)).nominal == 0.25
    assert task.format == "cloze"
    assert made("letters", folder).format == "letters"


def test_mutual_information_takes_away_how_likely_a_choice_is_alone(folder: Path) -> None:
    task = made("mutual", folder)
    item = replace(task.items(1, RNG)[0], gold=(2,))
    requests = list(task.ask(item))
    assert [r.prompt for r in requests[4:]] == [""] * 4
    answers = [likely(x) for x in (-1.0, -5.0, -3.0, -9.0, -1.0, -5.0, -9.0, -9.0)]
    scores = {s.metric_hard: s.hard for s in task.score(item, answers)}
    assert scores == {"acc": 0.0, "acc_norm": 0.0, "acc_mutual_info": 1.0}


def test_running_texts_have_no_hard_score_and_bits_per_byte(folder: Path) -> None:
    task = made("rolling", folder)
    item = task.items(1, RNG)[0]
    (score,) = task.score(item, [likely(*[-math.log(2)] * 10)])
    assert (score.metric_soft, score.hard) == ("bits_per_byte", None)
    assert score.soft == pytest.approx(10 / len(str(item.target).encode()))
    assert "no right or wrong" in (score.why_no_hard or "")


def test_generated_text_goes_through_filters_and_the_tasks_metric(folder: Path) -> None:
    task = made("filtered", folder)
    item = task.items(1, RNG)[0]
    assert item.target == "10"
    kinds = [r.kind for r in task.ask(item)]
    assert kinds == ["generate", "loglikelihood"]
    raw, _ = task.score(item, [output("it is 3 or 10"), likely(-0.5)])
    assert (raw.metric_hard, raw.hard) == ("exact_match,strict", 0.0)
    assert raw.detail["exact_match,flexible"] == 1.0
    assert (raw.metric_soft, raw.soft) == ("token_logprob", -0.5)
    raw, stripped = task.score(item, [output(" 10"), likely(-0.5)])
    assert (raw.hard, stripped.hard) == (1.0, 1.0)
    assert task.primary == ("exact_match,strict", "token_logprob")


def test_any_of_several_right_answers_is_right(folder: Path) -> None:
    task = made("aliases", folder)
    item = task.items(1, RNG)[0]
    upper = item.target[1]
    raw, _ = task.score(item, [output(upper), likely(-2.0), likely(-1.0)])
    assert (raw.hard, raw.soft) == (1.0, -1.0)
    assert [r.continuation for r in task.ask(item)][1:] == [f" {t}" for t in item.target]


def test_generation_needs_no_likelihoods_where_nobody_asks_for_the_twin(folder: Path) -> None:
    task = made("generate", folder, target_logprob=False)
    item = task.items(1, RNG)[0]
    request: Request = next(task.ask(item))
    assert task.needs == {"generate"}
    assert len(list(task.ask(item))) == 1
    assert (request.settings.max_tokens, request.settings.stop) == (12, ("\n", "Q:"))
    raw, _ = task.score(item, [output(f" {item.target}")])
    assert raw.soft is None
    assert "no target was asked" in (raw.why_no_soft or "")


def test_a_changed_right_answer_is_not_judged_by_the_documents(folder: Path) -> None:
    """The harness's metric knows the document alone; ours knows the item."""
    task = made("generate", folder)
    item = replace(task.items(1, RNG)[0], target="something else")
    raw, _ = task.score(item, [output(" something else"), likely(-1.0)])
    assert (raw.metric_hard, raw.hard) == ("exact_match", 1.0)


def test_a_task_is_scored_by_its_own_function_where_it_brings_one(tmp_path: Path) -> None:
    folder = tmp_path / "more"
    own = task("own_scores", folder, **{**CHOICE, "process_results": "SCORE"})
    write(folder, own)
    path = folder / "own_scores.yaml"
    path.write_text(path.read_text().replace("SCORE", "!function scores.mass"))
    (folder / "scores.py").write_text(
        "import math\n\n\ndef mass(doc, results):\n"
        "    weights = [math.exp(ll) for ll, _ in results]\n"
        "    return {'acc': weights[doc['label']] / sum(weights), 'length': len(doc['question'])}\n"
    )
    with offline(tmp_path / "cache"), pytest.raises(NotAllowed, match="scores.py"):
        made("own_scores", folder)
    with offline(tmp_path / "cache"), permissions.granted(f"python:{folder}"):
        found = made("own_scores", folder)
        item = found.items(1, RNG)[0]
        acc, _ = found.score(item, [likely(0.0)] * 4)
    assert acc.hard == pytest.approx(0.25)
    assert acc.detail["length"] == len(item.question)


def test_a_group_is_all_its_tasks(folder: Path) -> None:
    found = lm_eval.make("both", folder, include_path=".")
    assert isinstance(found, list)
    assert [t.name for t in found] == ["lm_eval:cloze", "lm_eval:continuation"]


def test_provenance_names_versions_data_and_hashes(folder: Path) -> None:
    task = made("letters", folder, num_fewshot=1)
    about = task.provenance
    assert task.name == "lm_eval:letters[num_fewshot=1]"
    assert (about["task_version"], about["dataset"], about["split"]) == ("2.0", "json", "test")
    assert about["lm_eval"] in task.version
    assert about["yaml_sha256"].startswith("sha256:")
    same = made("letters", folder, num_fewshot=1).provenance["sha256"]
    other = made("letters", folder, num_fewshot=2).provenance["sha256"]
    assert about["sha256"] == same != other


def test_one_yaml_file_needs_no_folder(folder: Path) -> None:
    found = lm_eval.make("cloze.yaml", folder)
    assert isinstance(found, LmEvalTask)
    assert found.name == "lm_eval:cloze"


# what can be wrong


def faulty(tmp_path: Path, choices: list[list[str]], **keys: Any) -> LmEvalTask:
    """A task whose documents have these choices."""
    import json

    folder = tmp_path / "faulty"
    write(folder, task("odd", folder, **{**CHOICE, **keys}))
    rows = [{"question": f"which {i}", "choices": c, "label": 0} for i, c in enumerate(choices)]
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return made("odd", folder)


def test_ragged_choices_are_refused_where_the_metric_needs_one_number(tmp_path: Path) -> None:
    with offline(tmp_path / "cache"):
        found = faulty(tmp_path, RAGGED, metric_list=[{"metric": "acc"}, {"metric": "brier_score"}])
        with pytest.raises(UserError, match="document 1 has 3, document 0 has 2") as caught:
            found.items(None, RNG)
    assert "brier_score" in caught.value.do


def test_ragged_choices_are_scored_where_nothing_forbids_it(tmp_path: Path) -> None:
    with offline(tmp_path / "cache"):
        found = faulty(tmp_path, RAGGED)
        items = found.items(None, RNG)
        assert [len(list(found.ask(item))) for item in items] == [2, 3, 2]
        assert found.floor(items).nominal == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)


def test_a_broken_document_fails_alone_and_says_why(tmp_path: Path) -> None:
    with offline(tmp_path / "cache"):
        found = faulty(tmp_path, [["a", "b"], ["only"], ["c", "d"]])
        items = found.items(None, RNG)
        assert len(list(found.ask(items[0]))) == len(list(found.ask(items[2]))) == 2
        with pytest.raises(UserError, match="document 1.*1 choices"):
            next(found.ask(items[1]))
        assert found.floor(items).nominal == 0.5


def test_a_label_that_names_no_choice_gives_no_score(tmp_path: Path) -> None:
    with offline(tmp_path / "cache"):
        found = faulty(tmp_path, RAGGED, doc_to_target="{{0 - 1}}")
        score = found.score(found.items(1, RNG)[0], [likely(-1.0), likely(-2.0)])[0]
    assert (score.hard, score.why_no_hard) == (None, "the label names none of the choices")


def test_data_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    lost = task("lost", tmp_path, **CHOICE, dataset_kwargs=None) | {"dataset_path": "nobody/nothing"}
    write(tmp_path, lost)
    with offline(tmp_path / "cache"), pytest.raises(UserError, match="`nobody/nothing` of `lost`") as caught:
        made("lost", tmp_path)
    assert "HF_HOME" in caught.value.do


def test_a_yaml_the_harness_refuses_is_told_as_such(tmp_path: Path) -> None:
    write(tmp_path, task("broken", tmp_path, **{**CHOICE, "output_type": "guess"}))
    with offline(tmp_path / "cache"), pytest.raises(UserError, match="invalid output_type 'guess'"):
        made("broken", tmp_path)


@pytest.mark.slow
def test_an_unknown_name_is_told_the_nearest_of_the_harness_and_the_folder(folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean `lambada_openai`"):
        made("lambada_opnai", folder)
    with pytest.raises(UserError, match="did you mean `continuation`"):
        made("continuatoin", folder)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cloze", {"fewshots": 3}, "no option `fewshots`"),
        ("cloze", {"num_fewshot": -1}, "a whole number"),
        ("cloze", {"num_fewshot": 11}, "11 worked examples are wanted, and there are 10"),
        ("own_split", {"num_fewshot": 8}, "8 worked examples are wanted, and there are 7"),
        ("cloze", {"include_path": "nowhere"}, "there is no folder"),
        (None, {}, "names no task"),
    ],
)
def test_options_are_checked(name: str | None, options: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(UserError, match=message):
        lm_eval.make(name, folder, **{"include_path": ".", **options})


def test_fixed_shots_unsafe_code_and_foreign_sampling_are_refused(tmp_path: Path) -> None:
    fixed = task("fixed", tmp_path, **CHOICE, num_fewshot=0)
    unsafe = task("unsafe", tmp_path, **GENERATE, unsafe_code=True)
    beams = task("beams", tmp_path, **{**GENERATE, "generation_kwargs": {"until": ["\n"], "num_beams": 4}})
    write(tmp_path, fixed, unsafe, beams)
    with offline(tmp_path / "cache"):
        with pytest.raises(UserError, match="the task fixes it at 0"):
            made("fixed", tmp_path, num_fewshot=2)
        with pytest.raises(UserError, match="runs code that models wrote"):
            made("unsafe", tmp_path)
        assert made("unsafe", tmp_path, confirm_run_unsafe_code=True).kind == "generate_until"
        with pytest.raises(UserError, match="num_beams"):
            made("beams", tmp_path)


def test_several_samples_are_several_requests_with_seeds_of_their_own(tmp_path: Path) -> None:
    voted = task(
        "voted",
        tmp_path,
        **GENERATE,
        repeats=3,
        filter_list=[{"name": "vote", "filter": [{"function": "majority_vote"}, {"function": "take_first"}]}],
    )
    voted["generation_kwargs"] = {"until": ["\n"], "do_sample": True, "temperature": 0.7}
    write(tmp_path, voted)
    with offline(tmp_path / "cache"):
        found = made("voted", tmp_path)
        item = found.items(1, RNG)[0]
        requests = list(found.ask(item))
        right = str(item.target)
        assert [r.kind for r in requests] == ["generate"] * 3 + ["loglikelihood"]
        assert len({r.seed for r in requests[:3]}) == 3
        assert requests[0].settings.temperature == 0.7
        votes = [output("no"), output(right), output(right), likely(-1.0)]
        assert found.score(item, votes)[0].hard == 1.0
        assert found.score(item, [output("no"), *votes[:2], likely(-1.0)])[0].hard == 0.0
    assert EXACT["metric"] == found.primary[0]
