"""Does saltus, run by lm-eval, answer as lm-eval's own `hf` model does?

    python benchmarks/lm_eval_parity.py [--items 24] [--only gpt2,llama] [--model FOLDER]

Both models run the same local tasks of every output type through `lm_eval.simple_evaluate`: multiple choice with 3
worked examples, single continuations of up to 64 tokens, rolling texts below and above the window (128 tokens) and
greedy generation, on tiny random models of each architecture, with BOS added, in fp32. Prints the largest difference
of a log-likelihood in nats, of a rolling sum relative to it, and how many greedy flags, texts and metrics differ. The
bars: 1e-4 nats, 1e-6, none. --model adds a folder of your own.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from saltus.models.local.tiny import ARCHITECTURES, checkpoint
from saltus.runner.machine import host

BAR_NATS, BAR_ROLLING = 1e-4, 1e-6
WORDS = [*"the quick brown fox jumps over lazy dogs and an old man walked 0 1 2 3 4 5 6 7".split()]  # noqa: SIM905
MEAN = {"aggregation": "mean", "higher_is_better": True}
KINDS: dict[str, dict[str, Any]] = {
    "choices": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "choices",
        "doc_to_target": "label",
        "num_fewshot": 3,
        "description": "Choose what follows.\n\n",
        "metric_list": [{"metric": "acc", **MEAN}, {"metric": "acc_norm", **MEAN}],
    },
    "continuations": {
        "output_type": "loglikelihood",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": " {{told}}",
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            {"metric": "acc", **MEAN},
        ],
    },
    "texts": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [{"metric": "bits_per_byte"}, {"metric": "word_perplexity"}],
    },
    "generations": {
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "told",
        "num_fewshot": 1,
        "generation_kwargs": {"until": ["\n", "e "], "max_gen_toks": 16, "do_sample": False},
        "metric_list": [{"metric": "exact_match", **MEAN}],
    },
}


def write_tasks(folder: Path, n: int) -> None:
    """The four tasks and their data."""
    rng = np.random.default_rng(0)

    def words(low: int, high: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(low, high)))

    for split, count in (("train", 12), ("test", n)):
        rows = [
            {
                "prompt": words(3, 9),
                "choices": [words(1, 5) for _ in range(4)],
                "label": int(rng.integers(4)),
                "told": words(1, 30),
                "text": words(2, 160),
            }
            for _ in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
    for name, keys in KINDS.items():
        config = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": files},
            "training_split": "train",
            "test_split": "test",
            "fewshot_split": "train",
            **keys,
        }
        (folder / f"{name}.yaml").write_text(json.dumps(config))  # JSON is YAML


def evaluated(lm: Any, folder: Path) -> dict[str, Any]:
    """What lm-eval makes of a model: per task its raw responses in order, and its metrics."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=lm, tasks=list(KINDS), task_manager=manager, bootstrap_iters=0, log_samples=True
    )
    assert found is not None
    stated = {
        name: [one for sample in samples for resps in sample["resps"] for one in resps]
        for name, samples in found["samples"].items()
    }
    scores = {
        f"{task}: {metric}": value
        for task, metrics in found["results"].items()
        for metric, value in metrics.items()
        if isinstance(value, float)
    }
    return {"said": stated, "scores": scores}


def compare(folder: Path, tasks: Path) -> dict[str, Any]:
    """One checkpoint under both models."""
    from lm_eval.models.huggingface import HFLM

    from saltus.lm_eval import SaltusLM

    given: dict[str, Any] = {"dtype": "float32", "add_bos_token": True}
    theirs = evaluated(HFLM(pretrained=str(folder), device="cpu", batch_size=4, **given), tasks)
    lm = SaltusLM(folder, **given)
    ours = evaluated(lm, tasks)
    likely = [pair for kind in ("choices", "continuations") for pair in _both(theirs, ours, kind)]
    texts, stated = _both(theirs, ours, "texts"), _both(theirs, ours, "generations")
    shown = [lm._encode_pair(*one.args)[1] for one in _instances(tasks, "continuations")]
    sizes = [len(lm.tok_encode(*one.args)) for one in _instances(tasks, "texts")]
    metrics = [(name, value, ours["scores"][name]) for name, value in theirs["scores"].items()]
    return {
        "log_likelihoods": len(likely),
        "nats": max(abs(a[0] - b[0]) for a, b in likely),
        "longest_continuation": max(map(len, shown)),
        "truncated": lm.truncated,
        "greedy_flags_differ": sum(int(a[1] != b[1]) for a, b in likely),
        "rolling": len(texts),
        "rolling_relative": max(abs(a - b) / abs(a) for a, b in texts),
        "over_window": sum(int(size > lm.max_length) for size in sizes),
        "generations": len(stated),
        "generations_differ": sum(int(a != b) for a, b in stated),
        "metrics": len(metrics),
        "metrics_differ": sum(int(differ(*one)) for one in metrics),
    }


def differ(name: str, theirs: float, ours: float) -> bool:
    """Whether a metric is another one. Perplexities are compared as what they are the exponential of, in nats: of a
    random network they reach 1e83, where a billionth of the sum is a tenth of the number."""
    if "perplexity" in name and min(theirs, ours) > 0:
        theirs, ours = math.log(theirs), math.log(ours)
    return abs(theirs - ours) > max(1e-5, BAR_ROLLING * abs(theirs))


def _both(theirs: dict[str, Any], ours: dict[str, Any], kind: str) -> list[Any]:
    return list(zip(theirs["said"][kind], ours["said"][kind], strict=True))


def _instances(tasks: Path, name: str) -> list[Any]:
    from lm_eval.tasks import TaskManager

    task = TaskManager(include_path=str(tasks), include_defaults=False).load(name)["tasks"][name]
    task.set_fewshot_seed(seed=1234)
    task.build_all_requests()
    return list(task.instances)


def kept(one: dict[str, Any]) -> bool:
    """Whether a checkpoint's comparison holds the bars."""
    same = not (one["greedy_flags_differ"] or one["generations_differ"] or one["metrics_differ"])
    return same and one["nats"] <= BAR_NATS and one["rolling_relative"] <= BAR_ROLLING


def tell(name: str, one: dict[str, Any]) -> None:
    """A line for people."""
    print(
        f"{name:12} {one['log_likelihoods']} log-likelihoods (to {one['longest_continuation']} tokens, "
        f"{one['truncated']} cut): {one['nats']:.1e} nats; {one['rolling']} rolling ({one['over_window']} over the "
        f"window): {one['rolling_relative']:.1e}; differ: {one['greedy_flags_differ']} greedy flags, "
        f"{one['generations_differ']} of {one['generations']} texts, {one['metrics_differ']} of "
        f"{one['metrics']} metrics",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as base:
        tasks = Path(base) / "tasks"
        tasks.mkdir()
        write_tasks(tasks, args.items)
        folders = [checkpoint(Path(base) / name, name) for name in args.only.split(",")]
        for folder in folders + ([args.model] if args.model else []):
            one = found[folder.name] = compare(folder, tasks)
            tell(folder.name, one)
    worst = max(one["nats"] for one in found.values())
    rolling = max(one["rolling_relative"] for one in found.values())
    good = all(map(kept, found.values()))
    print(
        f"worst: {worst:.1e} nats (bar {BAR_NATS:g}), {rolling:.1e} of a rolling sum (bar {BAR_ROLLING:g}): "
        f"{'kept' if good else 'MISSED'}"
    )
    print(
        json.dumps(
            {
                "benchmark": "lm_eval_parity",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "worst_nats": worst,
                "bar_nats": BAR_NATS,
                "worst_rolling": rolling,
                "bar_rolling": BAR_ROLLING,
                "kept": good,
                "models": found,
            }
        )
    )


if __name__ == "__main__":
    main()
