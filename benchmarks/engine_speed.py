"""How much faster than lm-eval's own scoring is ours, on the same prompts, weights and machine, in one run?

    make bench                             (makes the model and installs what is needed)
    python benchmarks/engine_speed.py [FOLDER] [--items 16] [--batch-sizes 1 8 32 auto] [--threads 2]

FOLDER defaults to $SALTUS_GEMMA. Items of one fixed seed: five examples of about 30 tokens, a question of about 30,
four cloze choices. lm-eval is given the requests directly (`HFLM.loglikelihood`), so its task machinery costs it
nothing; ours includes the tokenizer. With examples it takes seconds per item, so there it gets the first
--lm-eval-items only (as many requests as a batch of 32) and rates are compared. Each side and each of its batch sizes
runs in a process of its own, warmed up by two items, its memory limited to --limit-gb (a size that does not fit is left
out). Clock and processor seconds are both given: on a busy machine only the latter compare. Where answers are long next
to what is new in their prompts, the output head (here 1.7 times the body's work per row) takes much of the time; `of
body and head` is the share of our time that the body on full batches and the head on full blocks need for the same
tokens and rows. Bars: few-shot cloze 10 times, zero-shot cloze 3 times, letters and single continuations never slower,
distinct tokens per second at least 80 % of the body run plainly on full batches (examples of their own), memory beside
the weights within the budget, equal scores (1e-4 nats per continuation token).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

CASES = {"few-shot": 10.0, "few-shot, same examples": 10.0, "zero-shot": 3.0, "letters": 1.0, "single": 1.0}
"""Case → how many times lm-eval's items per second are wanted."""

PEOPLE = [
    "Anna",
    "Boris",
    "Clara",
    "Dinesh",
    "Elena",
    "Farid",
    "Greta",
    "Hugo",
    "Irina",
    "Jonas",
    "Keiko",
    "Lamar",
    "Marta",
    "Nils",
    "Olga",
]
THINGS = [
    "apples",
    "books",
    "candles",
    "drums",
    "eggs",
    "feathers",
    "globes",
    "hammers",
    "irons",
    "jars",
    "kites",
    "lamps",
    "maps",
]
PLACES = [
    "a wooden box",
    "the old market",
    "her neighbour's garage",
    "a shop by the river",
    "the attic",
    "a blue basket",
]


def question(rng: np.random.Generator) -> tuple[str, list[str]]:
    """About 30 tokens that ask something, and four answers, the right one first."""
    who, other = rng.choice(PEOPLE, 2, replace=False)
    thing, spare = rng.choice(THINGS, 2, replace=False)
    places = rng.choice(PLACES, 4, replace=False).tolist()
    n = rng.integers(3, 30)
    given = f"{who} put {n} {thing} into {places[0]}, and {other} took the {spare} home."
    text = f"Question: {given} Where are the {thing}?"
    return f"{text}\nAnswer:", [f" in {place}" for place in places]


def pairs(case: str, n: int) -> list[list[tuple[str, str]]]:
    """Per item, its (context, continuation) requests."""
    rng, same = np.random.default_rng(0), np.random.default_rng(1)
    header = examples(same)
    items = []
    for _ in range(n):
        shots = {"few-shot": examples(rng), "few-shot, same examples": header}.get(case, "")
        text, choices = question(rng)
        if case == "letters":
            listed = "".join(f"{k}.{c}\n" for k, c in zip("ABCD", choices, strict=True))
            text, choices = text.replace("Answer:", f"{listed}Answer:"), [f" {k}" for k in "ABCD"]
        items.append([(shots + text, c) for c in (choices[:1] if case == "single" else choices)])
    return items


def examples(rng: np.random.Generator) -> str:
    return "".join(f"{text}{choices[0]}.\n\n" for text, choices in (question(rng) for _ in range(5)))


# ------------------------------------------------------------------------------- one side, in its own process


def opened(folder: Path, args: argparse.Namespace) -> Any:
    from saltus.models.local.model import TransformersModel
    from saltus.records import AskPolicy, ModelRef

    ref = ModelRef(adapter="dir", location=str(folder), series="speed")
    return TransformersModel(ref, folder, AskPolicy(memory_mb=args.memory_mb))


def asked(prompt: str, continuation: str) -> Any:
    from saltus.records import Request

    return Request(kind="loglikelihood", prompt=prompt, continuation=continuation)


def ours(folder: Path, case: str, args: argparse.Namespace) -> dict[str, Any]:
    from saltus.models.base import answer_key

    model = opened(folder, args)
    passes: list[tuple[int, float]] = []
    tuner = model.engine.tuner
    model.engine.tuner = Watched(tuner, passes)

    def score(items: list[list[tuple[str, str]]]) -> list[list[float]]:
        rows = [[model.encode(asked(*pair)) for pair in item] for item in items]
        answers = {a.key: a for a in model.loglikelihood([r for some in rows for r in some])}
        return [[sum(answers[answer_key(model.identity, r)].token_logprobs) for r in some] for some in rows]

    found = timed(score, pairs(case, args.items), lambda: passes.clear())
    tokens, seconds = sum(n for n, _ in passes), sum(s for _, s in passes)
    return found | {
        "tokens": tokens,
        "body_tokens_per_s": tokens / seconds,
        "engine": model.engine.describe(),
        "head_rows": head_rows(model, case, args.items),
        "plain_body_tokens_per_s": plain_body(model.net),
        "plain_head_rows_per_s": plain_head(model.net),
    }


def head_rows(model: Any, case: str, items: int) -> int:
    """Distinct prefixes after which a token is wanted."""
    rows = [model.encode(asked(*pair)) for item in pairs(case, items) for pair in item]
    return len(
        {
            (r.prompt_ids + r.continuation_ids)[:k]
            for r in rows
            for k in range(len(r.prompt_ids), len(r.prompt_ids) + len(r.continuation_ids))
        }
    )


def tails(folder: Path, _: str, args: argparse.Namespace) -> dict[str, Any]:
    """Few-shot items alone, then with three conditions that change the question's last words."""
    model = opened(folder, args)
    base = pairs("few-shot", args.items)
    turns = [" Think.\nAnswer:", " Be brief.\nAnswer:", " Guess.\nAnswer:"]
    more = [
        [(a.removesuffix("\nAnswer:") + turn, b) for turn in ["\nAnswer:", *turns] for a, b in item] for item in base
    ]
    found = {}
    for name, items in (("alone", base), ("with conditions", more)):
        rows = [model.encode(asked(*pair)) for item in items for pair in item]
        distinct = {
            (*(r.prompt_ids or ()), *(r.continuation_ids or ()))[: k + 1]
            for r in rows
            for k in range(len((*(r.prompt_ids or ()), *(r.continuation_ids or ()))) - 1)
        }
        list(model.loglikelihood(rows[:8]))
        began, spent = time.perf_counter(), time.process_time()
        list(model.loglikelihood(rows))
        found[name] = {"wall": time.perf_counter() - began, "cpu": time.process_time() - spent, "tokens": len(distinct)}
    return found


class Watched:
    """A tuner that notes what every forward pass cost."""

    def __init__(self, tuner: Any, passes: list[tuple[int, float]]) -> None:
        self.tuner, self.passes = tuner, passes

    @property
    def best(self) -> int:
        return int(self.tuner.best)

    def __call__(self, tokens: int, seconds: float) -> int:
        if tokens:
            self.passes.append((tokens, seconds))
        return int(self.tuner(tokens, seconds))


def plain_body(net: Any) -> float:
    """Tokens per second of the network without its head on full batches of rows of 192, the best size of several."""
    import torch

    best = 0.0
    for rows in (2, 4, 8):
        ids = torch.randint(net.config.vocab_size, (rows, 192))
        for _ in range(2):
            began = time.perf_counter()
            with torch.inference_mode():
                net.base_model(input_ids=ids, use_cache=False)
            best = max(best, ids.numel() / (time.perf_counter() - began))
    return best


def plain_head(net: Any) -> float:
    """Rows per second of the output head on full blocks, the best size of several."""
    import torch

    head, best = net.get_output_embeddings(), 0.0
    for rows in (64, 128, 256):
        hidden = torch.randn(rows, head.weight.shape[1])
        for _ in range(2):
            began = time.perf_counter()
            with torch.inference_mode():
                head(hidden)
            best = max(best, rows / (time.perf_counter() - began))
    return best


def theirs(folder: Path, case: str, args: argparse.Namespace) -> dict[str, Any]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    size: Any = args.size if args.size == "auto" else int(args.size)
    model = HFLM(
        pretrained=str(folder), device="cpu", dtype="float32", batch_size=size, max_batch_size=64, add_bos_token=True
    )

    def score(items: list[list[tuple[str, str]]]) -> list[list[float]]:
        flat = [
            Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0) for item in items for pair in item
        ]
        stated = iter(model.loglikelihood(flat, disable_tqdm=True))
        return [[next(stated)[0] for _ in item] for item in items]

    return timed(score, pairs(case, args.items))


def timed(score: Any, items: list[Any], before: Any = lambda: None) -> dict[str, Any]:
    score(items[:2])
    loaded = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    before()
    began, spent = time.perf_counter(), time.process_time()
    sums = score(items)
    wall, cpu = time.perf_counter() - began, time.process_time() - spent
    return {
        "wall": wall,
        "cpu": cpu,
        "items": len(items),
        "sums": sums,
        "peak_mb": memory("VmHWM"),
        "loaded_mb": loaded,
    }


def memory(field: str) -> float:
    """MB, from /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


# ------------------------------------------------------------------------------------------- the comparison


def run(side: str, case: str, size: str, args: argparse.Namespace, items: int | None = None) -> dict[str, Any] | None:
    """One side in a process of its own; None if it did not get through."""
    command = [
        sys.executable,
        __file__,
        str(args.folder),
        "--side",
        side,
        "--case",
        case,
        "--size",
        size,
        "--items",
        str(items or args.items),
        "--threads",
        str(args.threads),
        "--memory-mb",
        str(args.memory_mb),
        "--limit-gb",
        str(args.limit_gb),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
    if side != "theirs":
        sys.exit(done.stderr)
    last = (done.stderr.strip().splitlines() or ["killed"])[-1]
    print(f"{case:26}{'lm-eval ' + size:14} did not get through: {last[:90]}", flush=True)
    return None


def compare(case: str, args: argparse.Namespace) -> dict[str, Any]:
    mine = run("ours", case, "-", args)
    assert mine is not None
    n = mine["items"]
    few = min(n, args.lm_eval_items) if case.startswith("few-shot") else n
    line(case, "saltus", mine)
    rates: dict[str, float] = {}
    cpu: dict[str, float] = {}
    apart = 0.0
    for size in args.batch_sizes:
        other = run("theirs", case, size, args, few)
        if other is None:
            continue
        line(case, f"lm-eval {size}", other)
        rates[size], cpu[size] = few / other["wall"], few / other["cpu"]
        both = (np.concatenate([np.asarray(item) for item in one["sums"][:few]]) for one in (mine, other))
        apart = max(apart, float(np.abs(np.subtract(*both)).max()))
    found = {
        "items": n,
        "ours_items_per_s": n / mine["wall"],
        "lm_eval_items_per_s": rates,
        "ratio": n / mine["wall"] / max(rates.values()),
        "ratio_cpu": n / mine["cpu"] / max(cpu.values()),
        "lm_eval_items": few,
        "largest_difference_of_a_sum": apart,
        "distinct_tokens": mine["tokens"],
        "tokens_per_s_over_plain_body": mine["tokens"] / mine["wall"] / mine["plain_body_tokens_per_s"],
        "body_tokens_per_s_over_plain_body": mine["body_tokens_per_s"] / mine["plain_body_tokens_per_s"],
        "of_body_and_head": (
            mine["tokens"] / mine["plain_body_tokens_per_s"] + mine["head_rows"] / mine["plain_head_rows_per_s"]
        )
        / mine["wall"],
        "head_rows": mine["head_rows"],
        "plain_head_rows_per_s": mine["plain_head_rows_per_s"],
        "plain_body_tokens_per_s": mine["plain_body_tokens_per_s"],
        "engine": mine["engine"],
        "mb_beside_weights": mine["peak_mb"] - mine["loaded_mb"],
        "bar": CASES[case],
    }
    print(
        f"{case:26}{'ratio':14} {found['ratio']:.1f} by the clock, {found['ratio_cpu']:.1f} in processor time "
        f"(bar {CASES[case]:g}); largest |Δ| {apart:.1e} nats; {mine['tokens']:,} distinct tokens at "
        f"{found['tokens_per_s_over_plain_body']:.2f} of the plain body (passes alone "
        f"{found['body_tokens_per_s_over_plain_body']:.2f}; {mine['head_rows']} rows of the head; of body and head "
        f"{found['of_body_and_head']:.2f}); lm-eval's best of {few} items; {found['mb_beside_weights']:.0f} MB beside "
        "the weights\n",
        flush=True,
    )
    return found


def line(case: str, who: str, one: dict[str, Any]) -> None:
    rate, wall, cpu = one["items"] / one["wall"], one["wall"], one["cpu"]
    peak = one["peak_mb"]
    print(
        f"{case:26}{who:14} {one['items']:4} items {rate:8.2f} items/s {wall:8.1f} s {cpu:8.1f} s cpu "
        f"{peak:8.0f} MB peak",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=os.environ.get("SALTUS_GEMMA"))
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--lm-eval-items", type=int, default=8)
    parser.add_argument("--batch-sizes", nargs="+", default=["1", "8", "32", "auto"])
    parser.add_argument("--cases", default="|".join(CASES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--limit-gb", type=float, default=16)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if importlib.util.find_spec("lm_eval") is None:
        sys.exit("lm-eval is not installed: make bench, or pip install 'saltus[lm-eval]'")
    if args.folder is None or not (args.folder / "config.json").is_file():
        sys.exit(f"no model in {args.folder}: make bench makes one, or name a folder")
    if args.side:
        import torch

        torch.set_num_threads(args.threads)
        resource.setrlimit(resource.RLIMIT_DATA, (int(args.limit_gb * 2**30),) * 2)
        print(json.dumps({"ours": ours, "theirs": theirs, "tails": tails}[args.side](args.folder, args.case, args)))
        return
    from saltus.runner.machine import host

    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {args.threads} threads, {date}, {args.folder.name}, fp32\n")
    extra = run("tails", "-", "-", args)
    assert extra is not None
    one, four = extra["alone"], extra["with conditions"]
    each = (four["tokens"] / one["tokens"] - 1) / 3
    cost = {kind: (four[kind] / one[kind] - 1) / 3 for kind in ("wall", "cpu")}
    print(
        f"a condition that changes a question's last words adds {each:.3f} of the tokens and {cost['wall']:.3f} of "
        f"the time ({cost['cpu']:.3f} of processor time)\n",
        flush=True,
    )
    cases = args.cases.split("|")
    if strange := [case for case in cases if case not in CASES]:
        raise SystemExit(f"no case {strange[0]!r}; --cases takes {'|'.join(CASES)}")
    found = {case: compare(case, args) for case in cases}
    kept = all(one["ratio"] >= one["bar"] for one in found.values())
    print(
        json.dumps(
            {
                "benchmark": "engine_speed",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "threads": args.threads,
                "memory_mb": args.memory_mb,
                "kept": kept,
                "cases": found,
                "per_condition": {"tokens": each, **cost},
            }
        )
    )


if __name__ == "__main__":
    main()
