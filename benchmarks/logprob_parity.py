"""Are our log-likelihoods those of transformers' own forward pass, whatever the batch?

    python benchmarks/logprob_parity.py [--items 200]

Tiny random models of each architecture, prompts of 1 to about 100 tokens with continuations of 1 to about 20. The
reference is one plain forward pass per row: nothing padded, every logit computed, log-softmax in fp32. Prints the
largest difference in nats per token by batch budget, and our speed beside the reference's in the same run (on models
this small batching gains most; it is no promise for large ones). The bar is 1e-5 nats in fp32; bf16 is for scale.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saltus.models.base import answer_key
from saltus.models.local.model import TransformersModel
from saltus.models.local.tiny import ARCHITECTURES, checkpoint
from saltus.records import AskPolicy, ModelRef, Request
from saltus.runner.machine import host

BUDGETS = (1, 256, 2048, 8192, 65_536)
BAR = 1e-5


def requests(n: int, vocabulary: int) -> list[Request]:
    """The same random token rows for every model."""
    rng = np.random.default_rng(0)
    return [
        Request(
            kind="loglikelihood",
            prompt_ids=tuple(rng.integers(0, vocabulary, rng.integers(1, 100)).tolist()),
            continuation_ids=tuple(rng.integers(0, vocabulary, rng.integers(1, 20)).tolist()),
        )
        for _ in range(n)
    ]


def plain(net: Any, request: Request) -> list[float]:
    """One row through transformers' own forward pass."""
    prompt, continuation = request.prompt_ids or (), request.continuation_ids or ()
    with torch.inference_mode():
        logits = net(input_ids=torch.tensor([[*prompt, *continuation]])).logits[0]
    logprobs = logits.float().log_softmax(-1)
    return [logprobs[len(prompt) - 1 + k, t].item() for k, t in enumerate(continuation)]


def compare(folder: Path, dtype: str, n: int) -> dict[str, Any]:
    """Largest |Δ| per budget, and the rate of both in rows per second."""
    ref = ModelRef(adapter="dir", location=str(folder), series=folder.name)

    def opened(budget: int) -> TransformersModel:
        return TransformersModel(ref, folder, AskPolicy(dtype=dtype, batch_tokens=budget))  # type: ignore[arg-type]

    model = opened(1)
    asked = requests(n, model.checkpoint.config["vocab_size"])
    began = time.perf_counter()
    truth = {answer_key(model.identity, r): plain(model.net, r) for r in asked}
    reference = n / (time.perf_counter() - began)
    worst, rates = {}, {}
    for budget in BUDGETS:
        model = opened(budget)
        _ = model.net
        began = time.perf_counter()
        answers = list(model.loglikelihood(asked))
        rates[budget] = n / (time.perf_counter() - began)
        worst[budget] = max(
            abs(ours - theirs)
            for answer in answers
            for ours, theirs in zip(answer.token_logprobs, truth[answer.key], strict=True)
        )
    return {"worst": worst, "rows_per_s": rates, "reference_rows_per_s": reference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200)
    n = parser.parse_args().items
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {torch.get_num_threads()} threads")
    print(f"largest |Δ| in nats per token over {n} rows, by batch budget in tokens")
    print(f"{'':22}" + "".join(f"{b:>11,}" for b in BUDGETS) + f"{'× plain':>11}")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as base:
        for dtype in ("float32", "bfloat16"):
            for architecture in ARCHITECTURES:
                folder = checkpoint(Path(base) / architecture, architecture)
                one = compare(folder, dtype, n)
                ratio = max(one["rows_per_s"].values()) / one["reference_rows_per_s"]
                figures = "".join(f"{w:11.1e}" for w in one["worst"].values())
                print(f"{architecture + ' ' + dtype:22}{figures}{ratio:11.1f}", flush=True)
                found[f"{architecture} {dtype}"] = {
                    "worst": max(one["worst"].values()),
                    "rows_per_s_over_plain": round(ratio, 2),
                }
    worst = max(v["worst"] for k, v in found.items() if k.endswith("float32"))
    print(f"worst in fp32: {worst:.1e} nats per token (bar: {BAR:g}): {'kept' if worst <= BAR else 'MISSED'}")
    print(
        json.dumps(
            {
                "benchmark": "logprob_parity",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "items": n,
                "budgets": BUDGETS,
                "worst_fp32": worst,
                "bar": BAR,
                "kept": worst <= BAR,
                "models": found,
            }
        )
    )


if __name__ == "__main__":
    main()
