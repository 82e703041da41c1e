"""A real OpenAI-compatible server on this machine: a tiny deterministic language model, well behaved or in one bad way.

The model gives every context its own distribution over a tokenizer's ids (normal logits from a hash of the context), so
what a client should receive is known without the client. Words in a prompt make a single question go wrong.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer


class Refusal(Exception):
    """A status other than 200."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.text, self.headers = status, text, headers or {}


KNOWN = {
    "model",
    "prompt",
    "messages",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "echo",
    "logprobs",
    "prompt_logprobs",
}


@lru_cache(maxsize=100_000)
def logprobs(context: tuple[int, ...], size: int) -> np.ndarray:
    """[size] log-probabilities of the next token."""
    seed = int.from_bytes(blake2b(repr(context).encode(), digest_size=8).digest(), "big")
    logits = 3 * np.random.default_rng(seed).standard_normal(size)
    return logits - np.logaddexp.reduce(logits)


@dataclass
class FakeServer:
    """Start with `with`; `url` is its address. Fields may be changed while it runs."""

    folder: Path
    """Of the tokenizer."""
    bad: set[str] = field(default_factory=set)
    """no-echo, constant, above-one, context-free, unstable, no-ids, no-chat, no-completions, chat-length, other-ids,
    no-prompt-logprobs, tells-key, no-usage, penalty (of its own), shifted (log-probabilities), strict (about keys)."""
    key: str | None = None
    """Wanted in the header Authorization."""
    fingerprint: str | None = "fp-1"
    served: str | None = None
    adds_bos: bool = False
    names: tuple[str, ...] = ("tiny",)
    latency: float = 0.0
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Every body, with its path and headers."""
    times: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    sent: list[float] = field(default_factory=list)
    """When each request came."""

    def __enter__(self) -> FakeServer:
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.size = self.tokenizer.get_vocab_size()
        self._now, self._lock = 0, threading.Lock()
        self.released = threading.Event()
        self._start(0)
        return self

    def __exit__(self, *_: Any) -> None:
        self.released.set()
        self.die()

    def _start(self, port: int) -> None:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def die(self) -> None:
        """Stops listening and answers nobody any more."""
        self._dead = True
        self._http.shutdown()
        self._http.server_close()

    _dead = False

    def enter(self) -> None:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.sent.append(time.monotonic())

    def leave(self) -> None:
        with self._lock:
            self._now -= 1

    # the model

    def ids(self, prompt: Any) -> list[int]:
        if isinstance(prompt, list):
            if "no-ids" in self.bad:
                raise Refusal(400, "prompt must be a string")
            return prompt
        own = self.tokenizer.encode(prompt, add_special_tokens=False).ids
        return ([self.tokenizer.token_to_id("<bos>")] if self.adds_bos else []) + own

    def spell(self, token: int) -> str:
        if "other-ids" in self.bad:
            token = (token + 7) % self.size
        return self.tokenizer.decode([token], skip_special_tokens=False)

    def next(self, context: list[int]) -> np.ndarray:
        if "context-free" in self.bad:
            context = context[-1:] and [context[-1] * 0]
        return logprobs(tuple(context), self.size)

    def say(self, ids: list[int], body: dict[str, Any], most: int) -> tuple[list[int], str, str]:
        """(ids, text, finish)."""
        rng = np.random.default_rng(body.get("seed"))
        message: list[int] = []
        for _ in range(most):
            logits = self.next(ids + message)
            token = int(logits.argmax())
            if "penalty" in self.bad and body.get("repeat_penalty") != 1.0 and len(message) % 2:
                token = int(np.argsort(-logits)[1])
            if body.get("temperature", 1) > 0:
                token = int((logits / body["temperature"] + rng.gumbel(size=self.size)).argmax())
            message.append(token)
            text = "".join(map(self.spell, message))
            for stop in body.get("stop", ()):
                if stop in text:
                    return message, text[: text.find(stop)], "stop"
        return message, "".join(map(self.spell, message)), "length"

    # the endpoints

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/models":
            return {"data": [{"id": name} for name in self.names]}
        if body.get("model") not in self.names:
            raise Refusal(404, f"the model {body.get('model')} does not exist")
        kind = path.removeprefix("/v1/")
        if "strict" in self.bad and body.keys() - KNOWN:
            raise Refusal(400, f"unknown parameter {sorted(body.keys() - KNOWN)[0]}")
        if kind not in ("completions", "chat/completions") or f"no-{kind.split('/')[0]}" in self.bad:
            raise Refusal(404, "Not Found")
        if kind == "completions":
            ids = self.ids(body["prompt"])
        else:
            if "chat-length" in self.bad and "max_tokens" in body:
                raise Refusal(400, "Unsupported parameter: use 'max_completion_tokens' instead.")
            text = "".join(f"{m['role']}: {m['content']}\n" for m in body["messages"])
            ids = self.ids(text + "assistant:")
        self._trouble(self.tokenizer.decode(ids))
        most = body.get("max_tokens", body.get("max_completion_tokens", 16))
        message, text, finish = self.say(ids, body, most)
        choice = {"index": 0, "finish_reason": finish}
        if kind == "completions":
            choice |= {"text": text, "logprobs": self._given(ids, message, body)}
            if "prompt_logprobs" in body and "no-prompt-logprobs" not in self.bad:
                choice["prompt_logprobs"] = self._prompt_logprobs(ids, body["prompt_logprobs"])
        else:
            choice["message"] = {"role": "assistant", "content": text}
        payload: dict[str, Any] = {"model": self.served or body["model"], "choices": [choice]}
        if "no-usage" not in self.bad:
            payload["usage"] = {"prompt_tokens": len(ids), "completion_tokens": len(message)}
        if self.fingerprint:
            payload["system_fingerprint"] = self.fingerprint
        return payload

    def _trouble(self, text: str) -> None:
        def first(word: str, times: int) -> bool:
            self.times[word] += word in text
            return word in text and self.times[word] <= times

        if "HANG" in text:
            self.released.wait(5)
        if "CRASH" in text:
            raise Refusal(500, "out of memory")
        if first("FLAKY", 2):
            raise Refusal(503, "loading")
        if first("BUSY", 1):
            raise Refusal(429, "slow down", {"Retry-After": "0.3"})
        if "LATER" in text:
            raise Refusal(429, "slow down", {"Retry-After": "86400"})
        if "SPENT" in text:
            raise Refusal(429, '{"error": {"message": "no money", "code": "insufficient_quota"}}')
        if "TORN" in text:
            raise Refusal(200, '{"choices": [{"te')
        if "LIST" in text:
            raise Refusal(200, "[1, 2]")
        if "LONG" in text:
            raise Refusal(400, '{"error": {"message": "maximum context length is 10"}}')

    def _rows(self, ids: list[int]) -> list[tuple[float | None, dict[int, float]]]:
        """Per token (its log-probability, those of the likeliest)."""
        noise = np.random.default_rng() if "unstable" in self.bad else None
        rows: list[tuple[float | None, dict[int, float]]] = []
        for i, token in enumerate(ids):
            if not i:
                rows.append((None, {}))
                continue
            all_ = self.next(ids[: i + ("shifted" in self.bad)])
            top = np.argsort(-all_)[:5]
            own, shown = float(all_[token]), {int(t): float(all_[t]) for t in top}
            if noise is not None:
                own = min(-1e-3, own + 0.5 * noise.standard_normal())
                shown = {}
            if "constant" in self.bad:
                own, shown = -1.5, {}
            if "above-one" in self.bad:
                shown = {t: v / 20 for t, v in shown.items()}
                own /= 20
            rows.append((own, shown))
        return rows

    def _given(self, ids: list[int], message: list[int], body: dict[str, Any]) -> dict | None:
        if body.get("logprobs") is None:
            return None
        echo = body.get("echo") and "no-echo" not in self.bad
        rows = self._rows(ids + message)
        tokens = ids + message
        if not echo:
            rows, tokens = rows[len(ids) :], message
        if "SHORT" in self.tokenizer.decode(ids):
            rows = rows[:-3]
        offsets = np.cumsum([0, *(len(self.spell(t)) for t in tokens)])[:-1]
        tops = [{self.spell(t): v for t, v in list(top.items())[: body["logprobs"]]} for _, top in rows]
        return {
            "token_logprobs": [own for own, _ in rows],
            "tokens": [self.spell(t) for t in tokens][: len(rows)],
            "top_logprobs": [t or None for t in tops],
            "text_offset": offsets.tolist()[: len(rows)],
        }

    def _prompt_logprobs(self, ids: list[int], k: int) -> list[dict[str, Any] | None]:
        out: list[dict[str, Any] | None] = []
        for i, (own, top) in enumerate(self._rows(ids)):
            if own is None:
                out.append(None)
                continue
            rank = int((self.next(ids[:i]) > own + 1e-12).sum()) + 1
            row = {str(ids[i]): {"logprob": own, "rank": rank, "decoded_token": self.spell(ids[i])}}
            for t, v in list(top.items())[:k]:
                row.setdefault(str(t), {"logprob": v, "decoded_token": self.spell(t)})
            out.append(row)
        return out[:-3] if "SHORT" in self.tokenizer.decode(ids) else out


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def do_GET(self) -> None:
        self._serve(b"{}")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, raw: bytes) -> None:
        fake, body = self.fake, json.loads(raw)
        fake.enter()
        fake.seen.append({**body, "path": self.path, "headers": dict(self.headers)})
        headers: dict[str, str] = {}
        try:
            if fake.latency:
                time.sleep(fake.latency)
            given = self.headers.get("Authorization", "")
            if fake.key is not None and given != f"Bearer {fake.key}":
                raise Refusal(401, f"wrong key: {given}")
            if "tells-key" in fake.bad and "tell" in str(body):
                raise Refusal(500, f"headers were {dict(self.headers)}")
            status, text = 200, json.dumps(fake.answer(self.path, body))
        except Refusal as refusal:
            status, text, headers = refusal.status, refusal.text, refusal.headers
        finally:
            fake.leave()
        if fake._dead:
            self.close_connection = True
            return
        data = text.encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass
