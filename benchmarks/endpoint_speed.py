"""How near the endpoint adapter comes to what a server's latency allows, with 200 questions in flight.

    python benchmarks/endpoint_speed.py [--repeats 5]

A server in a process of its own answers every completion with echoed log-probabilities after a fixed latency; its
answers are made before the clock starts. Asked are log-likelihoods of texts of about 100 characters, one token per
character, by the adapter (`loglikelihood`: bodies, retries, strict reading, keys, answers) and by a bare aiohttp loop
that posts the same bodies from 200 workers and reads the JSON. Ideal is 200 / latency. Both run in turn, so that a busy
machine is busy for both; the ratio is the median over the pairs. `run` is the whole engine: the same questions asked by
`saltus.run` into a store on disk, with opening, probe and its own work.
Bars: 90 % of the ideal rate at 1 s, 80 % of the bare loop at 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from saltus.models.server.model import ServerModel, adapter
from saltus.models.server.wire import score_body
from saltus.records import AskPolicy, Request, SeriesEntry
from saltus.runner.machine import host

IN_FLIGHT = 200
ASK = AskPolicy()


class Server(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, no more than the two endpoints' clients need; `latency` before each answer."""

    latency = 0.0
    made: dict[bytes, bytes] = {}  # noqa: RUF012 — one process, one cache

    def connection_made(self, transport: Any) -> None:
        self.out, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, rest = self.held.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            size = next(int(x[15:]) for x in lines if x.startswith(b"content-length"))
            if len(rest) < size:
                return
            body, self.held = rest[:size], rest[size:]
            if body not in self.made:
                self.made[body] = answer(json.loads(body))
            reply = self.made[body]
            asyncio.get_running_loop().call_later(self.latency, self.out.write, reply)


def answer(body: dict[str, Any]) -> bytes:
    """A completion over characters as tokens; log-probabilities drawn from the text before each."""
    text = body.get("prompt", "x") + "?"
    draws = [Random(f"{text[:3]}{len(text)}{i}") for i in range(len(text))]
    values = [None] + [-0.1 - 4 * d.random() for d in draws[1:]]
    given = {
        "tokens": list(text),
        "token_logprobs": values,
        "top_logprobs": [None] + [{"e": max(-1.2, v or 0.0)} for v in values[1:]],
    }
    if not body.get("echo"):
        given = {name: part[-1:] for name, part in given.items()}
    choice = {"text": text if body.get("echo") else "?", "finish_reason": "length", "logprobs": given}
    if "messages" in body:
        choice["message"] = {"role": "assistant", "content": "?"}
    usage = {"prompt_tokens": len(text) - 1, "completion_tokens": 1}
    raw = json.dumps({"model": body["model"], "choices": [choice], "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(raw), raw)


def serve(latency: float, bodies: list[bytes], given: Any) -> None:
    """Runs until it is terminated; tells its port."""

    async def main() -> None:
        Server.latency = latency
        for body in bodies:
            Server.made[body] = answer(json.loads(body))
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
        given.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def requests(n: int) -> list[Request]:
    text = "Question {}: what follows the number {} when one counts by ones, as children do? Answer:"
    numbers = [i * 7919 % 10007 for i in range(n)]
    return [
        Request(kind="loglikelihood", prompt=text.format(i, x), continuation=f" {x + 1}") for i, x in enumerate(numbers)
    ]


def ours(model: ServerModel, encoded: list[Request]) -> float:
    """Answers per second of the adapter."""
    began = time.perf_counter()
    answers = list(model.loglikelihood(encoded))
    seconds = time.perf_counter() - began
    assert len(answers) == len(encoded)
    assert not any(a.error for a in answers)
    return len(answers) / seconds


def bare(url: str, bodies: list[dict[str, Any]]) -> float:
    """Answers per second of an aiohttp loop that does nothing else."""

    async def main() -> float:
        import aiohttp

        todo, sums = iter(bodies), []

        async def work() -> None:
            for body in todo:
                async with session.post(f"{url}/completions", json=body) as response:
                    payload = await response.json()
                sums.append(sum(payload["choices"][0]["logprobs"]["token_logprobs"][1:]))

        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector) as session:
            began = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
            seconds = time.perf_counter() - began
        assert len(sums) == len(bodies)
        return len(sums) / seconds

    return asyncio.run(main())


def engine(url: str, n: int) -> float:
    """Items per second of a run into a store on disk, opening and probing included."""
    from saltus.runner.loop import run
    from saltus.store import Store
    from saltus.study.document import load

    with tempfile.TemporaryDirectory() as folder:
        items = [{"id": str(i), "question": r.prompt, "target": r.continuation} for i, r in enumerate(requests(n))]
        Path(folder, "items.jsonl").write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
        document = Path(folder, "study.yaml")
        document.write_text(
            f"study: speed\nmodels:\n  - from: openai:{url}#tiny\n    concurrency: {IN_FLIGHT}\n"
            'tasks: ["jsonl:items.jsonl"]\n'
        )
        began = time.perf_counter()
        report = run(load(document), Store(f"{folder}/study.saltus"))
        assert report.asked >= n, report.failures
        assert not report.failed, report.failures
        return report.asked / (time.perf_counter() - began)


def measured(latency: float, n: int, repeats: int) -> dict[str, float]:
    """Rates and ratios at one latency."""
    asked = requests(n)
    texts = [r.prompt + r.continuation for r in asked]
    bodies = [score_body("tiny", text, "echo") for text in texts]
    ears, mouth = multiprocessing.Pipe()
    made = [json.dumps(b).encode() for b in bodies]
    process = multiprocessing.Process(target=serve, args=(latency, made, mouth), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{ears.recv()}/v1"
    try:
        with contextlib.closing(opened(url)) as model:
            assert "loglikelihood" in model.offers, model.lacks
            encoded = [model.encode(r) for r in asked]
            pairs = [(ours(model, encoded), bare(url, bodies)) for _ in range(repeats)]
        whole = engine(url, n)
    finally:
        process.terminate()
        process.join()
    ideal = IN_FLIGHT / latency
    return {
        "latency_s": latency,
        "questions": n,
        "ideal_per_s": ideal,
        "ours_per_s": statistics.median(o for o, _ in pairs),
        "bare_per_s": statistics.median(b for _, b in pairs),
        "of_ideal": statistics.median(o / ideal for o, _ in pairs),
        "of_bare": statistics.median(o / b for o, b in pairs),
        "run_per_s": whole,
    }


def opened(url: str) -> ServerModel:
    options = {"concurrency": IN_FLIGHT}
    entry = SeriesEntry(scheme="openai", source=f"{url}#tiny", options=options)
    return ServerModel(adapter.series(entry, ASK, Path())[0], ASK)


def rows(repeats: int) -> Iterator[dict[str, float]]:
    yield measured(1.0, 2000, 1)
    yield measured(0.05, 6000, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {IN_FLIGHT} questions in flight")
    found = []
    for row in rows(repeats):
        found.append(row)
        print("  ".join(f"{name} {value:,.3g}" for name, value in row.items()))
    slow, fast = found
    print(f"of the ideal rate at 1 s: {slow['of_ideal']:.2f} (bar 0.9)")
    print(f"of a bare aiohttp loop at 50 ms: {fast['of_bare']:.2f} (bar 0.8)")
    print(
        json.dumps(
            {
                "benchmark": "endpoint_speed",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "of_ideal_at_1s": round(slow["of_ideal"], 3),
                "of_bare_at_50ms": round(fast["of_bare"], 3),
                "rows": [{name: round(value, 3) for name, value in row.items()} for row in found],
            }
        )
    )


if __name__ == "__main__":
    main()
