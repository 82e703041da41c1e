"""Many questions to one HTTP server at once: concurrency, rate, time limits, retries, and a key that nobody sees.

An asyncio loop runs in a thread of its own, so answers keep coming while their receiver is busy; `each` hands them
out as they finish, in any order. What may pass (connection lost, 408, 429, 5xx, a hang, a body that is not JSON) is
asked again after an exponentially growing wait with jitter; the jitter comes from the question and the try, so a run
can be repeated. `Retry-After` stops all questions, not only the one refused. When several questions in a row fail
after all their tries, a question that was answered before (`canary`) is asked: where that fails too the server is given
up with a ModelError, else it was the questions.

The key goes into one header and nowhere else: it is cut out of every body before that is read, because a server may
send it back in a message. Redirects are refused, so it never travels to another host.
Limits: a key shorter than eight characters (`EMPTY`, as local servers want it) is no secret and is not looked for.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from saltus.errors import MissingExtra
from saltus.hashing import seed_from
from saltus.models.base import ModelError
from saltus.models.server.failures import FATAL, PASSING, Passing, ServerError, excerpt, unwell

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds between two tries at most."""
LONGEST_PAUSE = 600.0
"""A `Retry-After` beyond this many seconds ends the model's answers instead of being waited for."""
SLOW_RETRIES = 1
"""Further tries after a hang or after a body that is not JSON: each costs a whole answer's time."""
DOUBT = 8
"""So many questions in a row that failed after all their tries, and the server is asked what it answered before."""
_FLUSH = 0.004
"""Seconds for which answers are gathered before the receiver's thread is woken: one wake for many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard a server may be asked. None of it changes an answer."""

    concurrency: int = 32
    """Questions in flight."""
    requests_per_minute: float | None = None
    """Sent evenly spaced, further tries included; None for as fast as the server answers."""
    timeout: float = 120.0
    """Seconds for one try, from sending to the last byte."""
    retries: int = 6
    """Further tries of one question."""
    backoff: float = 0.5
    """Seconds before the second try; doubles with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A secret and the header that carries it. Its text shows nothing."""

    secret: str = field(repr=False)
    header: str = "Authorization"

    @property
    def headers(self) -> dict[str, str]:
        bearer = self.header.lower() == "authorization"
        return {self.header: f"Bearer {self.secret}" if bearer else self.secret}


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One question: `tag` comes back with its answer."""

    tag: T
    path: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Reply(Generic[T]):
    """The server's JSON object, or the error; seconds of the last try."""

    tag: T
    payload: Mapping[str, Any] | None
    error: ServerError | None = None
    seconds: float = 0.0


class Client:
    """See the module's docstring. Close it when done. Raises MissingExtra without aiohttp."""

    def __init__(self, url: str, limits: Limits, key: Key | None = None) -> None:
        try:
            import aiohttp
        except ImportError as error:
            raise MissingExtra("openai:", "server") from error
        self.url, self.limits = url, limits
        self.requests = self.retried = 0
        self.canary: Job[None] | None = None
        """A question that the server is known to answer; without one a server in doubt is given up."""
        self._http = aiohttp
        self._key, self._proxy = key, _proxy(url)
        self._paths: dict[str, Any] = {}
        self._failed_in_a_row = 0
        self._gap = 60.0 / limits.requests_per_minute if limits.requests_per_minute else 0.0
        self._next = self._resume = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="saltus-http", daemon=True)
        self._thread.start()
        self._session = self._wait(self._open())

    def get(self, path: str) -> Mapping[str, Any]:
        """The JSON object at a path. Raises ServerError."""
        return self._wait(self._asked("GET", path, b"", 1))

    def each(self, jobs: Iterable[Job[T]], *, retries: int | None = None, fatal: bool = True) -> Iterator[Reply[T]]:
        """One reply per job as they finish. Jobs are read as they are sent, in the loop's thread.

        fatal: statuses in FATAL and a server that is down raise ModelError, after the replies that came before.
        """
        box: SimpleQueue[list[Reply[T]] | None] = SimpleQueue()
        most = self.limits.retries if retries is None else retries
        work = self._all(iter(jobs), _Outbox(box, self._loop), most, fatal)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while (replies := box.get()) is not None:
                yield from replies
            future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Ends what is in flight. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._wait(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hide(self, text: str) -> str:
        """The text without the key."""
        secret = self._key.secret if self._key else ""
        return text.replace(secret, "(key)") if len(secret) >= 8 else text

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> Any:
        http, limits = self._http, self.limits
        return http.ClientSession(
            headers={"Content-Type": "application/json", **(self._key.headers if self._key else {})},
            connector=http.TCPConnector(limit=limits.concurrency),
            timeout=http.ClientTimeout(total=limits.timeout, sock_connect=min(30, limits.timeout)),
            cookie_jar=http.DummyCookieJar(),
        )

    async def _shut(self) -> None:
        mine = asyncio.current_task()
        others = [t for t in asyncio.all_tasks() if t is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._session.close()

    async def _all(self, jobs: Iterator[Job[T]], out: _Outbox[T], retries: int, fatal: bool) -> None:
        """`concurrency` workers take one job after the other."""
        workers = [asyncio.ensure_future(self._work(jobs, out, retries, fatal)) for _ in range(self.limits.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            out.end()

    async def _work(self, jobs: Iterator[Job[T]], out: _Outbox[T], retries: int, fatal: bool) -> None:
        for job in jobs:
            body = json.dumps(job.body).encode()
            began = self._loop.time()
            try:
                payload = await self._asked("POST", job.path, body, retries)
            except ServerError as error:
                if fatal:
                    await self._judge(error)
                out.put(Reply(job.tag, None, error, self._loop.time() - began))
            else:
                self._failed_in_a_row = 0
                out.put(Reply(job.tag, payload, None, self._loop.time() - began))

    async def _judge(self, error: ServerError) -> None:
        """Raises ModelError where asking on makes no sense."""
        if error.status in FATAL:
            raise ModelError(f"{self.url}: {error}") from error
        lost = error.kind in ("unreachable", "hang") or error.status in PASSING
        self._failed_in_a_row = self._failed_in_a_row + 1 if lost else 0
        if self._failed_in_a_row < DOUBT:
            return
        self._failed_in_a_row = 0
        if self.canary is not None:
            try:
                await self._asked("POST", self.canary.path, json.dumps(self.canary.body).encode(), 1)
                return
            except ServerError as dead:
                error = dead
        raise ModelError(
            f"{self.url}: the server stopped answering: {error}. Start it again and run the same command to go on"
        ) from error

    async def _asked(self, method: str, path: str, body: bytes, retries: int) -> Mapping[str, Any]:
        """The JSON object of one question, tried again as long as that may help. Raises ServerError."""
        tries = 0
        while True:
            await self._turn()
            tries += 1
            self.requests += 1
            try:
                return await self._once(method, path, body)
            except Passing as failure:
                slow = failure.kind in ("hang", "malformed")
                if tries > min(retries, SLOW_RETRIES if slow else retries):
                    often = f" (asked {tries} times)" if tries > 1 else ""
                    raise ServerError(f"{failure}{often}", failure.kind, failure.status) from failure
                self.retried += 1
                await asyncio.sleep(self._pause(failure, body, tries))

    def _pause(self, failure: Passing, body: bytes, tries: int) -> float:
        """Seconds before the next try: doubling, times 0.5–1 drawn from the question and the try."""
        if failure.after is not None:
            if failure.after > LONGEST_PAUSE:
                raise ModelError(
                    f"{self.url}: {failure}; it asks to wait {failure.after:,.0f} s (Retry-After). Run the same "
                    "command after that"
                )
            self._resume = max(self._resume, self._loop.time() + failure.after)
        grown = min(LONGEST_WAIT, self.limits.backoff * 2 ** (tries - 1))
        jitter = 0.5 + seed_from("retry", body.decode(), tries) / 2**64
        return max(grown * jitter, failure.after or 0.0)

    async def _turn(self) -> None:
        """Waits while the server wants quiet, then for this question's place in the rate."""
        while True:
            while (wait := self._resume - self._loop.time()) > 0:
                await asyncio.sleep(wait)
            if not self._gap:
                return
            now = self._loop.time()
            mine = max(now, self._next)
            self._next = mine + self._gap
            if mine > now:
                await asyncio.sleep(mine - now)
            if self._resume <= self._loop.time():
                return

    async def _once(self, method: str, path: str, body: bytes) -> Mapping[str, Any]:
        """One try. Raises Passing, ServerError."""
        url = self._paths.get(path)
        if url is None:
            url = self._paths[path] = _joined(self.url, path)
        try:
            async with self._session.request(
                method, url, data=body or None, allow_redirects=False, proxy=self._proxy
            ) as response:
                raw = await response.read()
        except TimeoutError as error:
            raise Passing(f"no answer within {self.limits.timeout:g} s", "hang") from error
        except (self._http.ClientError, OSError) as error:
            message = str(error) or type(error).__name__
            raise Passing(self.hide(f"it cannot be reached: {message}"), "unreachable") from None
        text = self.hide(raw.decode("utf-8", "replace"))
        if response.status != 200:
            raise unwell(response.status, dict(response.headers), text)
        try:
            payload = json.loads(text)
        except ValueError as error:
            raise Passing(f"its answer is not JSON: {excerpt(text)}", "malformed") from error
        if not isinstance(payload, dict):
            raise Passing(f"its answer is not a JSON object: {excerpt(text)}", "malformed")
        if payload.get("error") and "choices" not in payload:  # some gateways say 200 to an error
            code = payload["error"].get("code") if isinstance(payload["error"], dict) else None
            raise unwell(code if isinstance(code, int) else 400, dict(response.headers), text)
        return payload


class _Outbox(Generic[T]):
    """Gathers replies for a moment, then hands them over together."""

    def __init__(self, box: SimpleQueue[list[Reply[T]] | None], loop: asyncio.AbstractEventLoop) -> None:
        self._box, self._loop, self._held = box, loop, list[Reply[T]]()

    def put(self, reply: Reply[T]) -> None:
        self._held.append(reply)
        if len(self._held) == 1:
            self._loop.call_later(_FLUSH, self._flush)

    def end(self) -> None:
        self._flush()
        self._box.put(None)

    def _flush(self) -> None:
        if self._held:
            self._box.put(self._held)
            self._held = []


def _joined(url: str, path: str) -> Any:
    """The address of a path below a base that may carry a query (`?api-version=…`)."""
    from yarl import URL

    base, _, query = url.partition("?")
    return URL(f"{base}/{path}" + (f"?{query}" if query else ""), encoded=True)


def _proxy(url: str) -> str | None:
    """The environment's proxy for this address; never for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
