"""What a model is to saltus: something with an identity that encodes requests and answers them.

An adapter is one file, registered under `saltus.models` by the scheme a user writes: `dir:`, `hf:`, `zoo:`.
`series` lists the models behind a source without loading any; `open` gives a model whose tokenizer and identity
are ready at once and whose weights are read on the first question, so a finished model costs nothing to revisit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
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


class Adapter(Protocol):
    """What an entry point under `saltus.models` names."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        """Every model behind the source, sorted along the series. Raises UserError where there is none."""
        ...

    def open(self, ref: ModelRef, ask: AskPolicy) -> Model: ...


def answer_key(identity: str, request: Request) -> str:
    """The content hash that identifies an answer: model identity, token ids or messages, settings, seed."""
    settings = request.settings
    asked = request.messages if request.messages else (request.prompt_ids, request.continuation_ids)
    body = (
        identity,
        request.kind,
        asked,
        request.seed,
        request.observe,
        (settings.max_tokens, settings.temperature, settings.top_p, settings.stop)
        if request.kind == "generate"
        else None,
    )
    return hashlib.sha256(json.dumps(body, separators=(",", ":")).encode()).hexdigest()


def outcome_key(identity: str, outcome: str) -> str:
    """Names a stored outcome as `answer_key` names an answer: 64 hex digits over model and content."""
    return content_hash([identity, "outcome", outcome])[7:]
