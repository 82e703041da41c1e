"""Writes results files as lm-evaluation-harness does, small: the layout of 2022 (EleutherAI/pythia) and today's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATE = "2026-01-21T03-44-18.458309"


def old(path: Path, results: Mapping[str, Mapping[str, float]], *, step: int = 1000, shots: int = 0) -> Path:
    """As in EleutherAI/pythia, evals/pythia-v1/pythia-160m/zero-shot/160m_step128.json."""
    document = {
        "results": results,
        "versions": dict.fromkeys(results, 0),
        "config": {
            "model": "hf-causal",
            "model_args": f"use_accelerate=True,pretrained=EleutherAI/pythia-v1.1-160m,revision=step{step}",
            "num_fewshot": shots,
            "batch_size": 32,
            "device": None,
            "no_cache": True,
            "limit": None,
            "bootstrap_iters": 100000,
            "description_dict": {},
        },
    }
    return _write(path, document)


def neox(path: Path, results: Mapping[str, Mapping[str, float]], *, step: int) -> Path:
    """As in evals/bias-evals: GPT-NeoX puts its whole configuration into model_args."""
    args = {
        "iteration": step,
        "eval_results_prefix": f"../bias-evals/pythia-19m-deduped-step{step}",
        "save": "/ckpts/19M_dedup",
        "load": "/ckpts/19M_dedup",
        "precision": "fp16",
        "seed": 1234,
    }
    config = {"model": "neox", "model_args": args, "num_fewshot": 0, "limit": None}
    return _write(path, {"results": results, "versions": {}, "config": config})


def new(
    folder: Path,
    results: Mapping[str, Mapping[str, Any]],
    *,
    pretrained: str = "EleutherAI/pythia-160m",
    revision: str = "step1000",
    shots: int = 0,
    kind: str = "multiple_choice",
    date: str = DATE,
    **config: Any,
) -> Path:
    """As lm-eval 0.4 writes it: metric,filter keys, configs, n-shot, n-samples, higher_is_better."""
    document = {
        "results": {t: {"alias": t, **r} for t, r in results.items()},
        "group_subtasks": {t: [] for t in results},
        "configs": {
            t: {"task": t, "num_fewshot": shots, "output_type": kind, "metadata": {"version": 1.0}} for t in results
        },
        "versions": dict.fromkeys(results, 1.0),
        "n-shot": dict.fromkeys(results, shots),
        "higher_is_better": {
            t: {k.split(",")[0]: "perplexity" not in k for k in r if "_stderr" not in k} for t, r in results.items()
        },
        "n-samples": {t: {"original": 500, "effective": 500} for t in results},
        "config": {
            "model": "hf",
            "model_args": f"pretrained={pretrained},revision={revision},dtype=bfloat16",
            "model_num_parameters": 162322944,
            "model_dtype": "torch.bfloat16",
            "model_revision": revision,
            "model_sha": "",
            "batch_size": "16",
            "limit": None,
            "bootstrap_iters": 0,
            "random_seed": 0,
            "numpy_seed": 1234,
            "torch_seed": 1234,
            "fewshot_seed": 1234,
            **config,
        },
        "date": 1768964383.86,
        "model_source": "hf",
        "model_name": pretrained,
        "chat_template": None,
        "task_hashes": dict.fromkeys(results, "41e40c71"),
    }
    return _write(folder / f"results_{date}.json", document)


def samples(folder: Path, task: str, rows: Sequence[Mapping[str, Any]], *, date: str = DATE) -> Path:
    """The samples lm-eval writes beside a result: numbers are text."""
    path = folder / f"samples_{task}_{date}.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def choice_sample(
    i: int, likelihoods: Sequence[float], gold: int, *, choices: Sequence[str] = ("no", "yes", "maybe", "never")
) -> dict[str, Any]:
    """One multiple-choice sample with four continuations."""
    best = max(range(len(likelihoods)), key=likelihoods.__getitem__)
    pairs = [[str(ll), "False"] for ll in likelihoods]
    return {
        "doc_id": i,
        "doc": {"question": f"q{i}"},
        "target": str(gold),
        "arguments": {f"gen_args_{j}": {"arg_0": f"q{i}", "arg_1": f" {c}"} for j, c in enumerate(choices)},
        "resps": [[p] for p in pairs],
        "filtered_resps": pairs,
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": f"d{i}",
        "prompt_hash": f"p{i}",
        "target_hash": f"t{i}",
        "acc": float(best == gold),
        "acc_norm": float(best == gold),
        "brier_score": "[0.308 0.209 0.1 0.2]",
    }


def _write(path: Path, document: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2))
    return path
