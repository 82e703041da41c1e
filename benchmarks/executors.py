"""How much of what two bare processes do in the same time do two Ray workers, or two shards, do?

    python benchmarks/executors.py [FOLDER] [--items 200] [--rounds 2] [--quick]

One model, one thread per process, few-shot questions with four choices. Bare: two processes that each load the model
and score every second item with the engine called directly, no runner, no store. Ray: one run with two workers, which
split the model; shards: two processes of `saltus run --shard`. Each round takes them in turn, bare first and last, so
that a machine that slows down is seen.

Two ratios of items per second. `whole`: from the command to the last answer stored, loading included on both sides.
Starting Ray's private cluster (some seconds, once per run) is excluded and printed apart; it starts the interpreters of
the workers too, but what they import and load is in. A shard's command line counts from its start. `asking`: from
the first question put to the model to its last answer, the slower of the two processes on either side; this is what
a long run tends to. A third, `cpu`, is items per second of processors, Ray's own processes included: what is left to
compare on a busy machine. Without FOLDER a random network of 14 million parameters is made. The bar, 0.9, is on
`whole` with the default items, whichever of Ray and shards is better; it needs an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BAR = 0.9
STUDY = """
study: two workers
models: [{{from: "dir:{folder}", series: one}}]
tasks: [{{"jsonl:items.jsonl": {{format: cloze}}}}]
"""


def prepare(base: Path, folder: Path | None, items: int) -> Path:
    """The study with its items, and where none is given its model."""
    from engine_speed import pairs

    folder = folder or random_model(base / "model")
    rows = [
        {"id": str(i), "question": item[0][0], "choices": [c for _, c in item], "answer": 0}
        for i, item in enumerate(pairs("few-shot", items))
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (base / "items.jsonl").write_text(text, encoding="utf-8")
    document = base / "study.yaml"
    document.write_text(STUDY.format(folder=folder.resolve()), encoding="utf-8")
    return document


def random_model(folder: Path) -> Path:
    """A Llama of 14 million parameters that knows nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from saltus.models.local.tiny import tokenizer

    folder.mkdir()
    words = tokenizer(folder)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=384,
            num_hidden_layers=8,
            num_attention_heads=6,
            intermediate_size=1024,
            max_position_embeddings=1024,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        )
    ).save_pretrained(folder)
    return folder


# --------------------------------------------------------------------------------------- one bare process


def bare(document: Path, part: int) -> None:
    """Loads the model, scores every second item, says how long the scoring took."""
    import numpy as np

    from saltus.runner.loop import resolve
    from saltus.study import document as studies

    study = studies.load(document)
    ((ref, (task,)),) = resolve(study)
    from saltus import plugins

    model = plugins.load("models", ref.adapter).open(ref, study.ask)
    items = task.items(None, np.random.default_rng(0))
    requests = [model.encode(request) for i in range(part, len(items), 2) for request in task.ask(items[i])]
    began = time.perf_counter()
    answers = list(model.loglikelihood(requests))
    spent = time.perf_counter() - began
    assert len(answers) == len(requests)
    print(json.dumps({"seconds": spent, "total": sum(sum(a.token_logprobs) for a in answers)}))


# --------------------------------------------------------------------------------------- the three ways


def by_bare(document: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--bare", str(document), "--part"]
    began, spent = time.perf_counter(), processor_seconds()
    running = [subprocess.Popen([*command, str(part)], stdout=subprocess.PIPE, text=True) for part in (0, 1)]
    stated = [json.loads(process.communicate()[0]) for process in running]
    return {
        "whole": time.perf_counter() - began,
        "asking": max(s["seconds"] for s in stated),
        "cpu": processor_seconds() - spent,
        "total": sum(s["total"] for s in stated),
    }


def by_ray(document: Path) -> dict[str, float]:
    from saltus.runner.loop import Progress, run
    from saltus.runner.ray import Ray
    from saltus.store import Store
    from saltus.study import document as study

    store = Store(document.parent / "ray" / "study.saltus")
    executor = Ray(workers=2, threads=1)
    starting = time.perf_counter()
    executor.shares(1)  # connects, which starts the private cluster
    began, spent = time.perf_counter(), processor_seconds()
    ended: dict[str, float] = {}

    def tell(now: Progress) -> None:
        if now.done == now.total:  # everything is in the store, and Ray's processes are still there
            ended.update(whole=time.perf_counter() - began, cpu=processor_seconds() - spent)

    report = run(study.load(document), store, executor=executor, progress=tell)
    assert not report.failures, report.failures
    return {**stored(store), **ended, "cluster": began - starting}


def by_shards(document: Path) -> dict[str, float]:
    from saltus.store import Store

    store = Store(document.with_suffix(".saltus"))
    saltus = str(Path(sys.executable).with_name("saltus"))
    began, spent = time.perf_counter(), processor_seconds()
    running = [
        subprocess.Popen([saltus, "run", str(document), "--shard", f"{i}/2", "--json"], stdout=subprocess.DEVNULL)
        for i in (1, 2)
    ]
    assert [process.wait() for process in running] == [0, 0]
    ended = {"whole": time.perf_counter() - began, "cpu": processor_seconds() - spent}
    return {**ended, **stored(store)}


def processor_seconds() -> float:
    """Of this process and of everything it has started, ended or not."""
    import psutil

    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    there = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in there]
    return gone.ru_utime + gone.ru_stime + sum(t.user + t.system for t in times)


def stored(store: Any) -> dict[str, float]:
    """Seconds that the busier worker's model was asked for, and the sum of all log-probabilities; the store goes."""
    import shutil

    asking: dict[str, float] = {}
    for segment in store.contents().segments:
        asking[segment.writer] = asking.get(segment.writer, 0.0) + segment.seconds
    assert len(asking) == 2, "both worked"
    total = store.answers().collect()["token_logprobs"].list.sum().sum()
    shutil.rmtree(store.place.url)
    return {"asking": max(asking.values()), "total": total}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="40 items, one round")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    if args.bare is not None:
        bare(args.bare, args.part)
        return
    from saltus.runner.machine import host

    items, rounds = (40, 1) if args.quick else (args.items, args.rounds)
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {items} items, two processes of one thread\n")
    ways = {"bare": by_bare, "ray": by_ray, "shards": by_shards}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="saltus-executors-") as base:
        document = prepare(Path(base), args.folder, items)
        for name in [*["bare", "ray", "shards"] * rounds, "bare"]:
            one = ways[name](document)
            found[name].append(one)
            before = f", {one['cluster']:.1f} s before for the cluster" if "cluster" in one else ""
            whole, asking, cpu = one["whole"], one["asking"], one["cpu"]
            print(
                f"{name:7s} {whole:7.1f} s whole, {asking:7.1f} s asking, {cpu:7.1f} s of processors{before}",
                flush=True,
            )
    totals = [one["total"] for some in found.values() for one in some]
    assert max(totals) - min(totals) < 1e-4 * abs(totals[0]), "the answers are not the same"
    rates = {
        name: {k: items / statistics.mean(one[k] for one in some) for k in ("whole", "asking", "cpu")}
        for name, some in found.items()
    }
    result: dict[str, Any] = {}
    print()
    for name, rate in rates.items():
        result[name] = {kind: rate[kind] / rates["bare"][kind] for kind in rate}
        whole, asking = result[name]["whole"], result[name]["asking"]
        print(
            f"{name:7s} {rate['whole']:6.2f} items/s whole, {whole:.3f} of bare; "
            f"{rate['asking']:6.2f} items/s asking, {asking:.3f} of bare; "
            f"per second of processors {result[name]['cpu']:.3f} of bare"
        )
    del result["bare"]
    print(
        json.dumps(
            {
                "benchmark": "executors",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "items": items,
                "model": args.folder.name if args.folder else "random llama, 14 million parameters",
                "items_per_s": rates,
                "ratio": result,
                "cluster_s": [one["cluster"] for one in found["ray"]],
                "bar": BAR,
                "kept": max(r["whole"] for r in result.values()) >= BAR,
            }
        )
    )


if __name__ == "__main__":
    main()
