"""What a model is to saltus: something with an identity that encodes requests and answers them.

An adapter is one file, registered under `saltus.models` by the scheme a user writes: `dir:`, `hf:`, `zoo:`.
`series` lists the models behind a source without loading any; `open` gives a model whose tokenizer and identity
are ready at once and whose weights are read on the first question, so a finished model costs nothing to revisit.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from saltus.hashing import content_hash
from saltus.models.description import Bos, Description, Template, Tokenizer
from saltus.records import Answer, AskPolicy, ModelRef, Request, SeriesEntry

__all__ = [
    "Adapter",
    "AskPolicy",
    "Bos",
    "Description",
    "Model",
    "ModelError",
    "Sees",
    "SeriesEntry",
    "Template",
    "Tokenizer",
    "answer_key",
]


class ModelError(Exception):
    """A model could not be opened or asked; stored as a failure, the rest of the study goes on."""


@runtime_checkable
class Model(Protocol):
    """Opened only by the runner. Close it when done: weights go."""

    ref: ModelRef
    identity: str
    """Hash of weights, tokenizer, BOS and template policy, dtype, edits."""
    offers: frozenset[str]
    """"loglikelihood", "generate", "chat", "images", "network", …"""
    # formerly: tuple[str, ...]   optional: identities under which earlier releases stored this model's answers

    def encode(self, request: Request) -> Request:
        """The request with its token ids filled in; needs the tokenizer only."""
        ...

    def loglikelihood(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """One answer per encoded request, in any order; `Answer.key` says whose it is.

        An answer that failed alone carries `error`; ModelError means no further answer can come.
        """
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[Answer]: ...

    def describe(self) -> Description:
        """For provenance and `doctor`; see `Description`, of which only `kind` has to be there."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Sees(Protocol):
    """A model that offers "images": requests name them `sha256:…`, and before it is asked it is given their places."""

    def see(self, fetch: Callable[[str], bytes]) -> None:
        """`fetch(name)` gives the bytes of an image that a request names."""
        ...


class Adapter(Protocol):
    """What an entry point under `saltus.models` names."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        """Every model behind the source, sorted along the series. Raises UserError where there is none."""
        ...

    def open(self, ref: ModelRef, ask: AskPolicy) -> Model: ...


def answer_key(identity: str, request: Request) -> str:
    """The hash that identifies an answer: model identity, token ids or messages, images, settings, seed.

    SHA-256, as 64 hex digits, over these bytes. `text` is its UTF-8 bytes after their count; a count is 4 bytes, little
    endian; `ids` is a count and as many 4-byte little-endian integers, or the count 2³² − 1 where there are none.

        "saltus-answer-2"  text(identity)  text(kind)
        "T" ids(prompt) ids(continuation)  |  "M" count, then of each message count, then text(key) text(value) by key
        count, then text(image) of each    count, then text(name) of each internal observed
        "-"  |  "S" seed, 8 bytes little endian
        "-"  |  "G" max_tokens (4 bytes) temperature (double) top_p (double) count, then text(stop) of each

    The last line is "G" for generation. Raises ValueError for lone surrogates, which UTF-8 has no bytes for.
    """
    parts = [b"saltus-answer-2", _text(identity), _text(request.kind)]
    if request.messages:
        parts += [b"M", _count(len(request.messages))]
        for message in request.messages:
            parts.append(_count(len(message)))
            parts += [_text(key) + _text(str(message[key])) for key in sorted(message)]
    else:
        parts += [b"T", _ids(request.prompt_ids), _ids(request.continuation_ids)]
    for names in (request.images, request.observe):
        parts += [_count(len(names)), *map(_text, names)]
    parts.append(b"-" if request.seed is None else b"S" + struct.pack("<q", request.seed))
    if request.kind == "generate":
        s = request.settings
        parts += [b"G", struct.pack("<idd", s.max_tokens, s.temperature, s.top_p), _count(len(s.stop))]
        parts += map(_text, s.stop)
    else:
        parts.append(b"-")
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _count(n: int) -> bytes:
    return n.to_bytes(4, "little")


def _text(text: str) -> bytes:
    data = text.encode()
    return _count(len(data)) + data


def _ids(ids: Sequence[int] | None) -> bytes:
    if ids is None:
        return b"\xff\xff\xff\xff"
    packed = array("i", ids)
    if sys.byteorder == "big":
        packed.byteswap()
    return _count(len(packed)) + packed.tobytes()


def outcome_key(identity: str, outcome: str) -> str:
    """Names a stored outcome as `answer_key` names an answer: 64 hex digits over model and content."""
    return content_hash([identity, "outcome", outcome])[7:]
