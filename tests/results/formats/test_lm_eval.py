"""lm-eval results: both layouts, the model read from the file's own content, samples scored by ourselves."""

import json
import math

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.errors import UserError
from saltus.results.read import read

from helpers import results_files as files
from helpers.places import SHARED

P = 1103 / 1838
PIQA = {"piqa": {"acc": P, "acc_stderr": math.sqrt(P * (1 - P) / 1837), "acc_norm": 0.59, "acc_norm_stderr": 0.01}}


def rows(reading, **where):
    table = reading.table
    for column, value in where.items():
        table = table.filter(pl.col(column) == value)
    return table


def test_old_layout_names_model_step_shots_and_items_from_its_config(tmp_path):
    files.old(tmp_path / "whatever.json", PIQA, step=128, shots=5)
    row = rows(read([tmp_path]), metric="acc").row(0, named=True)
    assert (row["model"], row["family"], row["step"], row["n_shot"]) == ("pythia-v1.1-160m", "pythia-v1.1", 128, 5)
    assert row["params"] == 160e6
    assert row["n_items"] == 1838, "items follow from √(p(1−p)/(n−1))"
    assert row["nominal_floor"] == 0.5


def test_an_error_that_fits_no_whole_number_of_items_gives_none(tmp_path):
    files.old(tmp_path / "r.json", {"piqa": {"acc": 0.6, "acc_stderr": 0.0123}})
    assert rows(read([tmp_path]), metric="acc")["n_items"].to_list() == [None]


def test_neox_configuration_gives_name_and_step(tmp_path):
    files.neox(tmp_path / "r.json", {"sciq": {"acc": 0.69, "acc_stderr": 0.0146}}, step=103000)
    row = read([tmp_path]).table.row(0, named=True)
    assert (row["model"], row["step"], row["params"]) == ("pythia-19m-deduped", 103000, 19e6)


def test_new_layout_strips_the_filter_none_and_keeps_the_others(tmp_path):
    found = {
        "gsm8k": {
            "exact_match,strict-match": 0.1,
            "exact_match_stderr,strict-match": 0.01,
            "exact_match,flexible-extract": 0.2,
            "exact_match_stderr,flexible-extract": "N/A",
        },
        "sciq": {"acc,none": 0.8, "acc_stderr,none": 0.012, "sample_len": 500},
    }
    files.new(tmp_path, found, shots=5)
    reading = read([tmp_path])
    assert set(reading.table["metric"]) == {"exact_match,strict-match", "exact_match,flexible-extract", "acc"}
    row = rows(reading, metric="acc").row(0, named=True)
    assert (row["model"], row["step"], row["n_shot"], row["n_items"]) == ("pythia-160m", 1000, 5, 500)
    assert row["params"] == 162322944
    assert row["dtype"] == "torch.bfloat16"
    assert rows(reading, metric="exact_match,flexible-extract")["stderr"].to_list() == [None]


@pytest.mark.parametrize(
    ("pretrained", "revision", "model", "step", "seed"),
    [
        ("EleutherAI/pythia-1.4b", "step3000", "pythia-1.4b", 3000, None),
        ("runs/out/checkpoint-500", "main", "out", 500, None),
        ("EleutherAI/pythia-160m-seed3", "step16", "pythia-160m", 16, "3"),
        ("allenai/OLMo-2-7B", "stage1-step1000-tokens5B", "OLMo-2-7B", 1000, None),
        ("facebook/opt-125m", "main", "opt-125m", None, None),
    ],
)
def test_where_a_model_stands_is_read_from_revision_or_path(tmp_path, pretrained, revision, model, step, seed):
    files.new(tmp_path, {"sciq": {"acc,none": 0.5}}, pretrained=pretrained, revision=revision)
    row = read([tmp_path]).table.row(0, named=True)
    assert row["step"] == step
    assert row["seed"] == seed
    assert row["tokens"] == (5e9 if "tokens5B" in revision else None)
    assert row["model"] == model


def test_samples_beside_a_result_give_items_and_the_soft_twin(tmp_path):
    lls = [[-1.0, -2.0, -3.0, -4.0], [-5.0, -1.0, -2.0, -2.0]]
    rows_ = [files.choice_sample(0, lls[0], 0), files.choice_sample(1, lls[1], 3)]
    files.new(tmp_path, {"arc_easy": {"acc,none": 0.5, "acc_norm,none": 0.5, "brier_score,none": 0.9}})
    files.samples(tmp_path, "arc_easy", rows_)
    reading = read([tmp_path])
    acc = rows(reading, metric="acc").sort("item_id")
    assert acc["value"].to_list() == [1.0, 0.0]
    assert acc["nominal_floor"].to_list() == [0.25, 0.25]
    assert rows(reading, metric="gold_logprob").sort("item_id")["value"].to_list() == [-1.0, -2.0]
    prob = rows(reading, metric="choice_prob").sort("item_id")["value"][0]
    assert prob == pytest.approx(1 / (1 + math.exp(-1) + math.exp(-2) + math.exp(-3)))
    assert rows(reading, metric="brier").sort("item_id")["value"][0] == pytest.approx((1 - prob) ** 2)
    assert rows(reading, metric="brier_score").height == 1, "what samples cannot give stays aggregated"
    assert {i.format for i in reading.inputs} == {"lm-eval results", "lm-eval samples"}
    assert not [n for n in reading.notes if "samples" in n]


def test_samples_named_beside_their_result_as_a_shell_does_are_accepted(tmp_path):
    result = files.new(tmp_path, {"arc_easy": {"acc,none": 1.0}})
    sample = files.samples(tmp_path, "arc_easy", [files.choice_sample(0, [-1.0, -2.0, -3.0, -4.0], 0)])
    assert read([sample, result]).table.height == read([result]).table.height
    with pytest.raises(UserError, match="lm-eval samples"):
        alone = tmp_path / "alone"
        alone.mkdir()
        read([sample.rename(alone / sample.name)])


def test_aggregates_that_disagree_with_their_samples_are_reported(tmp_path):
    files.new(tmp_path, {"arc_easy": {"acc,none": 0.9}})
    files.samples(tmp_path, "arc_easy", [files.choice_sample(0, [-1.0, -2.0, -3.0, -4.0], 0)])
    assert any("0.9" in n and "samples" in n for n in read([tmp_path]).notes)


def test_samples_of_another_date_are_not_mixed_in(tmp_path):
    files.new(tmp_path, {"arc_easy": {"acc,none": 0.9}})
    files.samples(
        tmp_path, "arc_easy", [files.choice_sample(0, [-1.0, -2.0, -3.0, -4.0], 0)], date="2025-01-01T00-00-00.000000"
    )
    reading = read([tmp_path])
    assert reading.table["item_id"].null_count() == reading.table.height


def test_a_single_target_gives_greedy_accuracy_and_log_likelihood(tmp_path):
    sample = {
        "doc_id": 0,
        "target": " word",
        "resps": [[["-3.25", "True"]]],
        "filtered_resps": [["-3.25", "True"]],
        "arguments": {"gen_args_0": {"arg_0": "a", "arg_1": " word"}},
        "filter": "none",
        "acc": 1.0,
        "perplexity": -3.25,
    }
    files.new(tmp_path, {"lambada_openai": {"acc,none": 1.0, "perplexity,none": 25.8}}, kind="loglikelihood")
    files.samples(tmp_path, "lambada_openai", [sample])
    reading = read([tmp_path])
    assert rows(reading, metric="acc")["value"].to_list() == [1.0]
    assert rows(reading, metric="gold_logprob")["value"].to_list() == [-3.25]


def test_written_answers_keep_the_tasks_score_and_gain_one_without_white_space(tmp_path):
    sample = {
        "doc_id": 7,
        "target": "12",
        "resps": [["\n12 "]],
        "filtered_resps": ["\n12 "],
        "filter": "none",
        "arguments": {"gen_args_0": {"arg_0": "7+5=", "arg_1": {"until": ["\n"]}}},
        "metrics": ["exact_match"],
        "exact_match": 0.0,
    }
    files.new(tmp_path, {"sums": {"exact_match,none": 0.0}}, kind="generate_until")
    files.samples(tmp_path, "sums", [sample])
    reading = read([tmp_path])
    assert rows(reading, metric="exact_match")["value"].to_list() == [0.0]
    assert rows(reading, metric="exact_match_stripped")["value"].to_list() == [1.0]
    assert rows(reading, metric="edit_similarity")["value"].to_list() == [1.0]
    assert set(reading.table["item_id"]) == {"7"}


@pytest.mark.parametrize(("target", "gold"), [("2", 2), ("maybe", 2), ("[2]", 2)])
def test_targets_are_an_index_a_list_or_the_choice_itself(tmp_path, target, gold):
    sample = files.choice_sample(0, [-4.0, -3.0, -1.0, -2.0], gold) | {"target": target}
    files.new(tmp_path, {"arc_easy": {"acc,none": 1.0}})
    files.samples(tmp_path, "arc_easy", [sample])
    assert rows(read([tmp_path]), metric="acc")["value"].to_list() == [1.0]


def test_a_sample_that_cannot_be_understood_is_counted_and_the_rest_goes_on(tmp_path):
    good = files.choice_sample(0, [-1.0, -2.0, -3.0, -4.0], 0)
    files.new(tmp_path, {"arc_easy": {"acc,none": 1.0}})
    files.samples(tmp_path, "arc_easy", [good, good | {"doc_id": 1, "target": "9"}])
    reading = read([tmp_path])
    assert rows(reading, metric="acc").height == 1
    assert any("left out" in n and "line 2" in n for n in reading.notes)


def test_infinite_log_likelihoods_are_a_reason_not_a_number(tmp_path):
    sample = files.choice_sample(0, [-1.0, -math.inf, -3.0, -4.0], 0)
    files.new(tmp_path, {"arc_easy": {"acc,none": 1.0}})
    files.samples(tmp_path, "arc_easy", [sample])
    found = rows(read([tmp_path]), metric="gold_logprob")
    assert found["value"].to_list() == [None]
    assert "finite" in found["why_missing"][0]


def test_prompt_level_results_of_the_bigscience_fork_are_one_task_per_prompt(tmp_path):
    results = [{"task_name": "wino_bias", "prompt_name": "refers_to", "em": 0.25, "em_stderr": 0.02, "comment": ""}]
    path = tmp_path / "r.json"
    config = {"model_args": "pretrained=bigscience/bloom-1b7", "num_fewshot": 0}
    path.write_text(json.dumps({"results": results, "versions": {}, "config": config}))
    row = read([path]).table.row(0, named=True)
    assert (row["task"], row["metric"], row["value"], row["stderr"]) == ("wino_bias+refers_to", "em", 0.25, 0.02)
    assert row["params"] == 1.7e9


def test_broken_samples_name_file_and_line(tmp_path):
    files.new(tmp_path, {"arc_easy": {"acc,none": 1.0}})
    file = files.samples(tmp_path, "arc_easy", [files.choice_sample(0, [-1.0, -2.0, -3.0, -4.0], 0)])
    file.write_text(file.read_text() + '{"doc_id": 1, "resps": [[')
    with pytest.raises(UserError, match=r"arc_easy.*line 2"):
        read([tmp_path])


def test_shared_fixture_of_the_harness_itself(tmp_path):

    folder = SHARED / "schemas" / "lm_eval"
    if not folder.is_dir():
        pytest.skip("the published fixture lies beside the checkout, not in it")
    reading = read([folder])
    assert reading.table["model"].unique().len() == 1
    assert reading.table["params"][0] == 93069280
    assert reading.table["nominal_floor"].to_list() == [0.0, 0.0]


def test_a_folder_of_checkpoints_becomes_a_curve_with_its_twin_and_paired_items(tmp_path):
    rng = np.random.default_rng(0)
    for step in (0, 1000, 2000, 4000, 8000, 16000, 32000):
        skill = np.log10(step + 1)
        lls = rng.normal(-20.0, 1.0, (60, 4))
        lls[:, 1] += skill
        picks = [files.choice_sample(i, row.tolist(), 1) for i, row in enumerate(lls)]
        folder = tmp_path / f"step{step}"
        acc = float(np.mean([p["acc"] for p in picks]))
        files.new(folder, {"arc_easy": {"acc,none": acc, "acc_norm,none": acc}}, revision=f"step{step}")
        files.samples(folder, "arc_easy", picks)
    assembled = assemble(read([tmp_path]).table)
    batch = assembled.batch
    key = batch.keys[0]
    assert (key.series, key.axis, key.metric_hard, key.metric_soft, key.primary) == (
        "pythia/pythia-160m",
        "step",
        "acc",
        "gold_logprob",
        True,
    )
    assert batch.raw_x[0, 0].tolist() == [1000, 2000, 4000, 8000, 16000, 32000]
    assert key.floor_source == "untrained points"
    assert batch.hard.nominal_floor[0] == 0.25
    assert batch.hard.n[0, 0].tolist() == [60] * 6
    assert batch.hard.step_stderr is not None
    assert np.isfinite(batch.hard.step_stderr[0, 0, 1:]).all()
    assert [s.why for s in batch.suspects[0] if s.severity == "disqualifying"] == []
