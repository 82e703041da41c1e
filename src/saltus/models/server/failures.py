"""What a server's failure means: gone when asked again, this question's own, or the end of all answers.

Kept apart from the asking so that every status, header and error body a server may send can be tried on its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Literal

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that may be gone when asked again."""
FATAL = frozenset({401, 402, 404})
"""Statuses after which no further answer can come, once the server has answered before; gateways say 403 to a single
question that they will not pass on."""
_SPENT = ("insufficient_quota", "billing_hard_limit", "billing_not_active")
"""Codes of a 429 that no waiting cures."""

Kind = Literal["unreachable", "hang", "status", "malformed"]


class ServerError(Exception):
    """One question got no usable answer; the text says what the server did and how often it was asked."""

    def __init__(self, text: str, kind: Kind, status: int | None = None) -> None:
        super().__init__(text)
        self.kind, self.status = kind, status


class Passing(Exception):
    """What is worth another try, `after` seconds where the server says so."""

    def __init__(self, text: str, kind: Kind, status: int | None = None, after: float | None = None) -> None:
        super().__init__(text)
        self.kind, self.status, self.after = kind, status, after


def unwell(status: int, headers: Mapping[str, str], text: str) -> Exception:
    """The failure behind a status other than 200: Passing or ServerError."""
    message_text = f"HTTP {status}: {message(text)}"
    named = {name.lower(): value for name, value in headers.items()}
    if 300 <= status < 400:
        message_text = f"HTTP {status}: it redirects to {named.get('location')}; state that address"
    if status == 429 and any(code in text for code in _SPENT):
        return ServerError(message_text, "status", 402)
    if status in PASSING:
        return Passing(message_text, "status", status, retry_after(named, time()))
    return ServerError(message_text, "status", status)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from `retry-after` in seconds or as a date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`.

    headers: names in lower case. None where there is none that can be read.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        stated = headers.get("retry-after", "").strip()
        if stated[:1].isdigit():
            return float(stated)
        return max(0.0, parsedate_to_datetime(stated).timestamp() - now) if stated else None
    except ValueError:
        return None


def message(text: str) -> str:
    """What an error body says: OpenAI's `error.message`, FastAPI's `detail`, else its beginning."""
    try:
        body = json.loads(text)
        found = body.get("error", body)
        found = found if isinstance(found, str) else found.get("message") or found.get("detail")
        return excerpt(str(found or text))
    except (ValueError, AttributeError):
        return excerpt(text)


def excerpt(text: str) -> str:
    """At most 200 characters on one line."""
    message_text = " ".join(text.split())
    return (message_text[:200] + "…" if len(message_text) > 200 else message_text) or "(nothing)"
