"""Are packed log-likelihoods those of single rows, whatever is shared, cut or wider than a window?

    python benchmarks/packed_parity.py [--rows 150] [--model FOLDER]

Tiny random models of each architecture; rows of up to 110 tokens that branch off each other anywhere, sliding windows
of 16. The reference is transformers' own forward pass over each row alone, every logit computed. Prints the largest
difference in nats per token by tokens per forward pass (7 cuts every path; 65,536 reads all at once), the share of
tokens left to compute, and in bf16 the noise that the self-check records. With --model also a folder of your own, on
rows of 40 tokens. The bar is 1e-4 nats in fp32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from saltus.models.local.engine import Engine, Limits, single
from saltus.models.local.head import Head, vocabulary
from saltus.models.local.model import read_weights
from saltus.models.local.packed import score
from saltus.models.local.rows import Row
from saltus.models.local.tiny import ARCHITECTURES, checkpoint
from saltus.models.local.trie import build
from saltus.records import AskPolicy
from saltus.runner.machine import host

BUDGETS = (7, 64, 1024, 65_536)
BAR = 1e-4


def bushy(n: int, size: int, longest: int) -> list[Row]:
    """Rows of which each begins with a piece of an earlier one."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    texts: list[tuple[int, ...]] = [()]
    for i in range(n):
        stem = texts[rng.integers(len(texts))]
        stem = stem[: rng.integers(0, len(stem) + 1)]
        text = (*stem, *rng.integers(0, size, rng.integers(2, longest // 2)).tolist())[:longest]
        texts.append(text)
        cut = int(rng.integers(1, min(longest // 5, len(text))))
        rows.append(Row(i, text[:-cut], text[-cut:]))
    return rows


def compare(folder: Path, n: int, longest: int, budgets: tuple[int, ...]) -> dict[str, Any]:
    """Largest |Δ| per budget, the engine's choice, and the noise in bf16."""
    net = read_weights(folder, AskPolicy())
    rows = bushy(n, vocabulary(net), longest)
    truth = single(net, rows)
    worst = {
        tokens: max(
            abs(a - b)
            for one in score(net, rows, lambda *_, tokens=tokens: tokens, Head(net, 2**26))
            for a, b in zip(one.logprobs, truth[one.index], strict=True)
        )
        for tokens in budgets
    }
    half = Engine(read_weights(folder, AskPolicy(dtype="bfloat16")), Limits(None, 8192, 2048))
    made = Engine(net, Limits(None, 8192, 1024))
    list(made.score(rows))
    return {
        "worst": worst,
        "read": len(build(rows)) / sum(row.length for row in rows),
        "mode": made.describe()["mode"],
        "beyond_window": made.why_far or "packed",
        "bf16": half.describe()["mode"],
        "bf16_noise": half.noise,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    print(f"{'':14}" + "".join(f"{b:>10,}" for b in BUDGETS) + "      read    mode    bf16 noise")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as base:
        for name in ARCHITECTURES:
            folder = checkpoint(Path(base) / name, name)
            found[name] = compare(folder, args.rows, 110, BUDGETS)
            tell(name, found[name])
    if args.model:
        found[args.model.name] = compare(args.model, 12, 40, BUDGETS[1:3])
        tell(args.model.name, found[args.model.name])
    worst = max(max(one["worst"].values()) for one in found.values())
    kept = worst <= BAR and all(one["mode"] == "packed" for one in found.values())
    print(f"worst in fp32: {worst:.1e} nats (bar: {BAR:g}): {'kept' if kept else 'MISSED'}")
    print(
        json.dumps(
            {
                "benchmark": "packed_parity",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "worst_fp32": worst,
                "bar": BAR,
                "kept": kept,
                "models": found,
            }
        )
    )


def tell(name: str, one: dict[str, Any]) -> None:
    figures = "".join(f"{one['worst'].get(b, float('nan')):10.1e}" for b in BUDGETS)
    print(f"{name:14}{figures}{one['read']:10.2f}  {one['mode']:>6}    {one['bf16_noise']:.2g}", flush=True)


if __name__ == "__main__":
    main()
