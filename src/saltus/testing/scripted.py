"""The scripted model itself and its adapter; `saltus.testing` says what it does and how to ask for one."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np

from saltus.hashing import content_hash
from saltus.models.base import AskPolicy, Bos, Description, ModelError, SeriesEntry, Template, answer_key
from saltus.records import Answer, ModelRef, Request
from saltus.testing.scripts import CURVES, Curve, Faults, Oracle, Script, named, script_from

BOS = 256
"""Token ids of scripted models are UTF-8 bytes; this one is put first where the policy is `always`."""

_NOT_TRUTH = frozenset({"faults", "tally", "points", "seeds", "untrained"})
"""Parts of a script that do not change an answer: more points or seeds leave the others' identity alone."""

_NORMAL = NormalDist()
_asked: Counter[str] = Counter()
_failed: Counter[str] = Counter()


def asked(identity: str | None = None) -> int:
    """Answers given in this process, by the scripted model of that identity or by all."""
    return _asked[identity] if identity is not None else _asked.total()


def forget() -> None:
    """Sets all counters of this process to zero."""
    _asked.clear()
    _failed.clear()


class ScriptedModel:
    """A model of known truth; see the module's docstring. `truth` is its (accuracy, log-probability)."""

    def __init__(self, ref: ModelRef, ask: AskPolicy) -> None:
        script = ref.recipe.get("script", {})
        self.script = script if isinstance(script, Script) else script_from(script, ref.location)
        if self.script.faults.open_error:
            raise ModelError(f"{ref.location}: scripted to fail on opening")
        self.ref, self.ask = ref, ask
        self.offers = frozenset(self.script.offers)
        truth = {k: v for k, v in asdict(self.script).items() if k not in _NOT_TRUTH}
        self.identity = content_hash(["scripted", 1, truth, ref.coords, ref.edits, ask.bos, ask.template, ask.dtype])
        self._key = hashlib.sha256(self.identity.encode()).digest()
        curve: Curve = named(self.script.curve, CURVES, ref.location)
        self._oracle: Oracle = named(self.script.oracle, {}, ref.location)
        x = float(ref.coords[self.script.axis])
        span = math.log10(self.script.last / self.script.first) or 1.0
        place = math.log10(x / self.script.first) / span if x > 0 else -math.inf
        self.truth = curve(self.script, place)
        self._lift = _NORMAL.inv_cdf(min(1 - 1e-9, max(1e-9, self.truth[0])))
        self._given = 0
        self._tally = -1

    def encode(self, request: Request) -> Request:
        text = request.prompt
        if request.messages:
            text = "\n".join(f"{m['role']}: {m['content']}" for m in request.messages)
        ids = tuple(text.encode())
        if self.ask.bos == "always":
            ids = (BOS, *ids)
        return replace(request, prompt_ids=ids, continuation_ids=tuple(request.continuation.encode()))

    def loglikelihood(self, requests: Sequence[Request]) -> Iterator[Answer]:
        for request, key, fault in self._each(requests):
            yield fault or self._likelihood(request, key)

    def generate(self, requests: Sequence[Request]) -> Iterator[Answer]:
        for request, key, fault in self._each(requests):
            yield fault or self._text(request, key)

    def pieces(self, ids: tuple[int, ...]) -> list[str]:
        """Each token as text, for people to read."""
        return ["<bos>" if i == BOS else bytes([i]).decode("latin-1") for i in ids]

    def describe(self) -> Description:
        return Description(
            kind="scripted",
            dtype=self.ask.dtype,
            bos=Bos(policy=self.ask.bos, prepended=self.ask.bos == "always", id=BOS),
            template=Template(policy=self.ask.template),
            params=self.script.params,
            detail={"script": asdict(self.script), "truth": self.truth},
        )

    def close(self) -> None:
        if self._tally >= 0:
            os.close(self._tally)
            self._tally = -1

    def _each(self, requests: Sequence[Request]) -> Iterator[tuple[Request, str, Answer | None]]:
        faults, identity = self.script.faults, self.identity
        if _failed[identity] < faults.fail_times:
            _failed[identity] += 1
            raise ModelError(f"{self.ref.location}: scripted to fail {faults.fail_times} times")
        quiet = faults == Faults(sleep=faults.sleep)
        for request in requests:
            if faults.sleep:
                time.sleep(faults.sleep)
            key = answer_key(identity, request)
            fault = None if quiet else self._fault(key, request)
            self._given += 1
            _asked[identity] += 1
            if self.script.tally is not None:
                self._note(key)
            yield request, key, fault

    def _fault(self, key: str, request: Request) -> Answer | None:
        faults, now = self.script.faults, self._given
        if now == faults.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if now == faults.crash_at:
            raise RuntimeError(f"{self.ref.location}: scripted to crash at answer {now}")
        if now == faults.raise_at:
            raise ModelError(f"{self.ref.location}: scripted to fail at answer {now}")
        if now in faults.fail_at:
            return Answer(key=key, error="scripted to fail")
        if now in faults.nan_at:
            ids = request.continuation_ids or (63,)
            return Answer(key=key, token_ids=ids, token_logprobs=(math.nan,) * len(ids))
        return None

    def _note(self, key: str) -> None:
        if self._tally < 0:
            path = str(self.script.tally)
            self._tally = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(self._tally, f"{key}\n".encode())

    def _draw(self, request: Request) -> tuple[str | None, bytes, float]:
        """(right answer, 32 fresh bytes, margin); margin > 0 iff the item is answered rightly."""
        ids = request.prompt_ids or ()
        text = bytes(ids[1:] if ids and ids[0] == BOS else ids)
        dice = hashlib.blake2b(text, key=self._key, digest_size=32)
        if request.seed is not None:
            dice.update(b"\xff%d" % request.seed)
        noise = dice.digest()
        u = (int.from_bytes(noise[:6], "big") + 0.5) / 2**48
        return self._oracle(text.decode("utf-8", "replace")), noise, self._lift - _NORMAL.inv_cdf(u)

    def _likelihood(self, request: Request, key: str) -> Answer:
        right, noise, margin = self._draw(request)
        ids = request.continuation_ids or ()
        count, each = len(ids), self.truth[1] * (0.5 + noise[6] / 255)
        wrong: tuple[int, ...] = ()
        remarks = request.continuation
        if right is None or remarks.strip() == right.strip():
            wrong = () if margin > 0 else self._wrong(noise, count)
        else:
            gold = each * len(remarks.replace(remarks.strip(), right).encode())
            apart = 0.5 + hashlib.blake2b(bytes(ids), key=self._key, digest_size=1).digest()[0] / 512
            each = min(-1e-6, gold - 2 * margin * apart) / max(1, count)
            wrong = self._wrong(noise, count) if margin > 0 else ()
        ranks = tuple([1 + noise[8] % 7 if i in wrong else 0 for i in range(count)])
        return Answer(
            key=key,
            token_ids=ids,
            token_logprobs=(each,) * count,
            token_ranks=ranks,
            greedy=not wrong,
            tokens_in=len(request.prompt_ids or ()) + count,
        )

    def _wrong(self, noise: bytes, count: int) -> tuple[int, ...]:
        """Places of wrong tokens: each with 1 − exp(soft), at least one."""
        share = 256 * math.exp(self.truth[1])
        wrong = tuple([i for i in range(count) if noise[9 + i % 23] >= share])
        return wrong or (noise[7] % count,) if count else ()

    def _text(self, request: Request, key: str) -> Answer:
        right, noise, margin = self._draw(request)
        text = "?" if right is None else right
        if right is not None and margin <= 0:
            wrong = self._wrong(noise, len(right))
            text = "".join(_other(c) if i in wrong else c for i, c in enumerate(right))
        whole = text.encode()
        ids = tuple(whole[: request.settings.max_tokens])
        return Answer(
            key=key,
            text=bytes(ids).decode("utf-8", "ignore"),
            token_ids=ids,
            token_logprobs=(self.truth[1],) * len(ids),
            finish="eos" if len(ids) == len(whole) else "length",
            tokens_in=len(request.prompt_ids or ()),
            tokens_out=len(ids),
        )


def _other(character: str) -> str:
    """Another character of the same kind: a wrong digit for a digit."""
    return chr(48 + (ord(character) - 47) % 10) if character.isdigit() else "#"


def scripted_series(script: Script, series: str | None = None) -> list[ModelRef]:
    """The models of a script, sorted by seed and axis; `adapter.open` or `ScriptedModel` opens them."""
    label = series or f"scripted/{script.curve}"
    steps = np.geomspace(script.first, script.last, script.points).round().tolist()
    if script.untrained and script.axis == "tokens":
        steps = [0.0, *steps]
    recipe = {"script": asdict(script)}
    refs = []
    for seed in script.seeds:
        for x in steps:
            tokens, params = (x, script.params) if script.axis == "tokens" else (script.tokens, x)
            coords = {
                "tokens": tokens,
                "step": tokens / 1000,
                "params": params,
                "seed": seed,
                "flops": 6 * params * tokens,
                "loss": 1.5 + 8 * (tokens + 1e4) ** -0.15,
                "model": f"{script.curve}-{params:.3g}",
            }
            refs.append(
                ModelRef(
                    adapter="scripted",
                    location=f"{script.curve}/seed{seed}/{script.axis}-{x:.0f}",
                    series=label,
                    coords=coords,
                    recipe=recipe,
                )
            )
    return refs


class ScriptedAdapter:
    """The entry point `scripted`."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        where = f"scripted:{entry.source}"
        stated = {k: v for k, v in entry.coords.items() if k in ("params", "tokens")}
        script = script_from({"curve": entry.source, **stated, **entry.options}, where)
        named(script.curve, CURVES, where)
        refs = scripted_series(script, entry.series)
        coords = {k: v for k, v in entry.coords.items() if k != script.axis}
        return [replace(ref, coords={**ref.coords, **coords}) for ref in refs]

    def open(self, ref: ModelRef, ask: AskPolicy) -> ScriptedModel:
        return ScriptedModel(ref, ask)


adapter = ScriptedAdapter()
