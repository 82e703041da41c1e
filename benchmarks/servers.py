"""What real servers can be trusted with, and how far their numbers are from our own on the same weights.

    make bench                                        (installs the packages and makes the model)
    python benchmarks/servers.py [--folder FOLDER] [--gguf FILE] [--only llama.cpp,transformers]

Starts llama.cpp's server (package `llama-cpp-python[server]`, on a GGUF file) and `transformers serve` (on a folder),
one after the other, opens each through the scheme `openai:`, and prints every line of the probe, what is offered and
why not. Where prompt log-probabilities are told, they are compared with ours on the folder, which holds the GGUF's
weights in fp32: llama.cpp rounds activations to 8 bits for its quantised products, so the bars are 0.5 nats for any
token and 0.15 on average. Where they are not told, a log-likelihood must be refused with the reason. Greedy texts are
compared as well; those of `transformers serve` in fp32 must be ours. A server whose package or file is missing is
skipped, and said so. Without --folder, `transformers serve` gets a tiny random model. FOLDER and FILE default to
$SALTUS_GEMMA and $SALTUS_GEMMA.gguf.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from saltus.models.base import answer_key
from saltus.models.folders import adapter as folders
from saltus.models.local.tiny import checkpoint
from saltus.models.server.model import adapter as servers
from saltus.records import AskPolicy, ModelRef, Request, SeriesEntry, Settings
from saltus.runner.machine import host

LARGEST, MEAN = 0.5, 0.15
"""Bars in nats per token."""
PAIRS = [
    ("The capital of France is", " Paris."),
    ("Question: What colour is the sky?\nAnswer:", " blue"),
    ("Two plus two is", " four"),
    ("Anna put three books into a box. Where are the books? In", " the box"),
    ("The opposite of hot is", " cold, and"),
    ("1, 2, 3, 4,", " 5, 6, 7"),
]
PROMPTS = [prompt for prompt, _ in PAIRS]
ASK = AskPolicy()


def llama_cpp(args: argparse.Namespace, port: int) -> list[str]:
    """The command that serves the GGUF file; only with --logits_all it tells log-probabilities of a prompt."""
    return [
        args.python,
        "-m",
        "llama_cpp.server",
        "--model",
        str(args.gguf),
        "--model_alias",
        "model",
        "--logits_all",
        "true",
        "--n_ctx",
        "512",
        "--n_threads",
        str(args.threads),
        "--n_threads_batch",
        str(args.threads),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--verbose",
        "false",
    ]


def transformers(args: argparse.Namespace, port: int) -> list[str]:
    """The command that serves the folder."""
    return [
        str(Path(args.python).with_name("transformers")),
        "serve",
        str(args.folder),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]


KINDS: dict[str, Any] = {"llama.cpp": llama_cpp, "transformers": transformers}
IMPORTS = {"llama.cpp": "import llama_cpp.server.app", "transformers": "import fastapi, uvicorn, openai, transformers"}


def missing(kind: str, args: argparse.Namespace) -> str | None:
    """Why a server cannot be started."""
    done = subprocess.run([args.python, "-c", IMPORTS[kind]], capture_output=True, check=False)
    if done.returncode:
        return f"`{IMPORTS[kind]}` fails: pip install 'saltus[bench]'"
    if kind == "llama.cpp" and not (args.gguf and args.gguf.is_file()):
        return "there is no GGUF file: --gguf FILE, or benchmarks/gemma.py makes one"
    return None


@contextlib.contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    """The address, as long as the server runs. Raises RuntimeError with its last words where it ends early."""
    with tempfile.TemporaryDirectory() as base, (Path(base) / "log").open("w+") as log:
        # without a cache of the hub `transformers serve` cannot list its models
        (Path(base) / "hub").mkdir()
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": f"{base}/hub"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        try:
            _await(process, f"http://127.0.0.1:{port}/v1/models", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Any, most: float = 180.0) -> None:
    until = time.monotonic() + most
    while time.monotonic() < until:
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"the server ended ({process.returncode}): {log.read()[-500:]}")
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.5)
    raise RuntimeError(f"nothing answers at {url} after {most:g} s")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(model: Any, requests: list[Request], verb: str) -> list[Any]:
    """In the order of the requests."""
    encoded = [model.encode(request) for request in requests]
    found = {answer.key: answer for answer in getattr(model, verb)(encoded)}
    return [found[answer_key(model.identity, request)] for request in encoded]


def look(kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """One server: its probe, and its numbers beside ours."""
    port = free_port()
    with serving(KINDS[kind](args, port), port) as url:
        name = "model" if kind == "llama.cpp" else str(args.folder)
        options = {"concurrency": 1, "timeout": 300}
        entry = SeriesEntry(scheme="openai", source=f"{url}#{name}", series="s", options=options)
        began = time.perf_counter()
        theirs = servers.open(servers.series(entry, ASK, Path())[0], ASK)
        probing = time.perf_counter() - began
        ours = folders.open(ModelRef(adapter="dir", location=str(args.folder), series="s"), ASK)
        try:
            found = compared(theirs, ours)
        finally:
            theirs.close()
            ours.close()
    return found | {"probe_s": round(probing, 1)}


def compared(theirs: Any, ours: Any) -> dict[str, Any]:
    """What the probe saw, log-likelihoods or their refusal, and greedy texts."""
    about = theirs.describe().plain()
    likely = [Request(kind="loglikelihood", prompt=a, continuation=b) for a, b in PAIRS]
    greedy = [Request(kind="generate", prompt=p, settings=Settings(max_tokens=8)) for p in PROMPTS]
    found: dict[str, Any] = {
        "probe": about["probe"],
        "offers": about["offers"],
        "lacks": about["lacks"],
        "asks": about["asks"],
        "neutral": about["neutral"],
    }
    given = answers(theirs, likely, "loglikelihood")
    if "loglikelihood" in theirs.offers:
        pairs = zip(given, answers(ours, likely, "loglikelihood"), strict=True)
        both = [(a.token_logprobs, b.token_logprobs) for a, b in pairs]
        gaps = np.abs(np.concatenate([np.subtract(a, b) for a, b in both]))
        found |= {"tokens": len(gaps), "largest_nats": float(gaps.max()), "mean_nats": float(gaps.mean())}
    else:
        found["refused"] = sorted({str(answer.error) for answer in given})
    stated = [answers(model, greedy, "generate") for model in (theirs, ours)]
    same = sum(a.text == b.text for a, b in zip(*stated, strict=True))
    return found | {"greedy_texts": len(greedy), "greedy_texts_equal": same}


def kept(kind: str, found: dict[str, Any]) -> bool:
    """Whether a server was seen through."""
    if kind == "llama.cpp":
        return bool(found.get("largest_nats", 9) <= LARGEST and found["mean_nats"] <= MEAN)
    refused = "refused" in found and all("different estimator" in why for why in found["refused"])
    return refused and found["greedy_texts_equal"] == found["greedy_texts"]


def tell(kind: str, found: dict[str, Any]) -> None:
    print(f"{kind}: probed in {found['probe_s']} s; offers {', '.join(found['offers'])}")
    for line in found["probe"]:
        mark = {True: "passed", False: "FAILED", None: "unknown"}[line["passed"]]
        print(f"  {mark:8}{line['name']:26}{line['seen']}")
    for what, why in found["lacks"].items():
        print(f"  without {what}: {why}")
    if "largest_nats" in found:
        print(
            f"  {found['tokens']} tokens: largest |Δ| {found['largest_nats']:.3f} nats (bar {LARGEST}), mean "
            f"{found['mean_nats']:.3f} (bar {MEAN}), {found['mean_nats'] / MEAN:.2f} of the bar"
        )
    equal, texts = found["greedy_texts_equal"], found["greedy_texts"]
    print(f"  greedy texts equal to ours: {equal} of {texts}; sent along: {found['neutral'] or 'nothing'}")
    print(f"  {'kept' if kept(kind, found) else 'MISSED'}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made = os.environ.get("SALTUS_GEMMA")
    parser.add_argument("--folder", type=Path, default=made)
    parser.add_argument("--gguf", type=Path, default=f"{made}.gguf" if made else None)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--python", default=sys.executable, help="interpreter with the servers")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}\n")
    found, skipped = {}, {}
    with tempfile.TemporaryDirectory() as base:
        if args.folder is None:
            args.folder = checkpoint(Path(base) / "tiny", "llama")
        for kind in args.only.split(","):
            why = missing(kind, args)
            if why:
                skipped[kind] = why
                print(f"{kind}: skipped, {why}\n")
                continue
            found[kind] = look(kind, args)
            tell(kind, found[kind])
    good = all(kept(kind, one) for kind, one in found.items())
    print(
        json.dumps(
            {
                "benchmark": "servers",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "kept": good,
                "skipped": skipped,
                "servers": found,
            }
        )
    )


if __name__ == "__main__":
    main()
