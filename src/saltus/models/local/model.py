"""A Hugging Face checkpoint in a local folder, asked through transformers.

Opening reads the tokenizer and hashes the files; the weights are read on the first question. What shapes an
answer is explicit and part of the identity: weights, tokenizer, BOS and template policy, dtype. Nothing is ever
truncated: a prompt that does not fit the window is answered with an error that says so, and a text without a prompt is
scored in several windows (`windows`). Limits: decoder-only text models; one device; edits of the network are refused
by name until an adapter of `network/` opens them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from saltus.hashing import content_hash, former_hash, seed_from
from saltus.models.base import Description, ModelError, answer_key
from saltus.models.checkpoints.trust import permit_pickles
from saltus.models.checkpoints.weights import Checkpoint
from saltus.models.local.encoding import Encoder
from saltus.models.local.loading import device, read_weights
from saltus.models.local.windows import Cut, disjoint
from saltus.records import Answer, AskPolicy, ModelRef, Request

T = TypeVar("T")

TOLERANCE = {"float32": 1e-4, "bfloat16": 1.0, "float16": 0.2}
"""Nats by which batched scores may differ from single ones on load; in half precision it is recorded as noise."""


class TransformersModel:
    """See the module's docstring. Raises ModelError for a folder that holds no whole model and tokenizer."""

    def __init__(
        self, ref: ModelRef, checkpoint: Checkpoint | Path, ask: AskPolicy, *, tokenizer: Path | None = None
    ) -> None:
        if isinstance(checkpoint, Path):
            checkpoint = Checkpoint(checkpoint)
        self.ref, self.checkpoint, self.ask = ref, checkpoint, ask
        self.folder = checkpoint.folder
        self.checkpoint.check()
        permit_pickles(self.checkpoint)
        self._refuse_what_cannot_be_asked()
        self.encoder = Encoder(tokenizer or self.folder, ask)
        self.eos = _eos_ids(self.checkpoint, self.encoder.eos)
        self.weights_hash = self.checkpoint.weights_hash()
        self.identity = content_hash(self._what_answers(self.weights_hash))
        before = former_hash(self._what_answers(self.checkpoint.weights_hash(former_hash)))
        self.formerly = (before,) if before != self.identity else ()
        self.offers = frozenset({"loglikelihood", "generate"} | ({"chat"} if self.encoder.chats else set()))
        self.window = _window(self.checkpoint.config)
        self._vocabulary = _text(self.checkpoint.config).get("vocab_size")
        self._engine: Any = None
        self._about: dict[str, Any] = {}
        self._company: Any = None

    def _what_answers(self, weights_hash: str) -> list[Any]:
        """Everything that an answer depends on: what the identity is the hash of."""
        encoder, ask = self.encoder.identity, self.ask
        return ["transformers", 1, weights_hash, encoder, ask.dtype, sorted(self.eos), self.ref.edits]

    def encode(self, request: Request) -> Request:
        """The request with its token ids; `encoding` says how. Needs the tokenizer only."""
        return self.encoder.encode(request)

    def loglikelihood(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Per token of each continuation: log-probability in nats, rank, and whether all were the most likely.

        A text without a prompt that is longer than the window is scored in several; `trace` says in how many.
        """
        asked, cut = list(requests), Cut()
        for i, request in enumerate(asked):
            why = self._unaskable(request)
            if why:
                yield Answer(key=answer_key(self.identity, request), error=why)
            else:
                cut.add(i, self._windows(request))
        if not cut.rows:
            return
        for place, windows, scored in cut.together(self._guarded(self.engine.score(cut.rows))):
            request = asked[place]
            key = answer_key(self.identity, request)
            if not all(map(math.isfinite, scored.logprobs)):
                yield Answer(key=key, error=_NAN, seconds=scored.seconds)
                continue
            yield Answer(
                key=key,
                token_ids=request.continuation_ids or (),
                token_logprobs=scored.logprobs,
                token_ranks=scored.ranks,
                greedy=not any(scored.ranks),
                trace=f"{windows} windows" if windows > 1 else None,
                tokens_in=len(request.prompt_ids or ()) + len(scored.logprobs),
                seconds=scored.seconds,
            )

    def generate(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Greedy or sampled text. `token_ids` are all that was generated, the stop string's included, EOS left out."""
        from saltus.models.local.decoding import Row, Speaker, company, generate

        asked, rows = list(requests), []
        for i, request in enumerate(asked):
            why = self._unaskable(request)
            if why:
                yield Answer(key=answer_key(self.identity, request), error=why)
                continue
            prompt = request.prompt_ids or ()
            seed = request.seed if request.seed is not None else seed_from("sample", prompt)
            room = self.window - len(prompt) if self.window else request.settings.max_tokens
            limit = min(request.settings.max_tokens, room)
            rows.append(Row(i, prompt, request.settings, seed, limit))
        if not rows:
            return
        if self._company is None:
            self._company = company(self.net, TOLERANCE[self.ask.dtype], self.window)
        words = self.encoder
        speaker = Speaker(self.eos, words.decode, self._company, words.spell, words.special)
        for row in self._guarded(generate(self.net, rows, speaker, self.ask.batch_tokens)):
            key = answer_key(self.identity, asked[row.index])
            if row.finish == "nan":
                yield Answer(key=key, error=_NAN, seconds=row.seconds)
                continue
            yield Answer(
                key=key,
                text=row.text,
                token_ids=tuple(row.ids),
                token_logprobs=tuple(row.logprobs),
                token_ranks=tuple(row.ranks),
                greedy=not any(row.ranks),
                finish=row.finish,
                tokens_in=len(row.prompt),
                tokens_out=len(row.ids),
                seconds=row.seconds,
            )

    def pieces(self, ids: tuple[int, ...]) -> list[str]:
        """Each token as text, for people to read."""
        return self.encoder.pieces(ids)

    def describe(self) -> Description:
        """Provenance, as far as it is known before the weights are read, and all of it after."""
        import torch
        import transformers

        config, about = self.checkpoint.config, self._about_engine()
        return Description(
            kind="transformers",
            architecture=(config.get("architectures") or [config.get("model_type")])[0],
            params=self.checkpoint.params,
            dtype=self.ask.dtype,
            quantisation=self.checkpoint.quantisation,
            weights_hash=self.weights_hash,
            window=self.window,
            vocabulary=self._vocabulary,
            self_check=about.get("self_check"),
            engine=about.get("engine"),
            device=str(self.ref.recipe.get("device_map") or device()),
            versions={"torch": torch.__version__, "transformers": transformers.__version__},
            **self.encoder.describe(),
            detail={
                "folder": str(self.folder),
                **({"base": str(self.checkpoint.network)} if self.checkpoint.adapter else {}),
                **self.encoder.other_tokens(),
                "eos_ids": sorted(self.eos),
                "derived": dict(self.ref.recipe.get("derived", {})),
                "batch_tokens": self.ask.batch_tokens,
                "allow": list(self.ask.allow),
                "threads": torch.get_num_threads(),
            },
        )

    def close(self) -> None:
        """Lets the weights go; nothing else refers to them, so they are freed at once."""
        self._about = self._about_engine()
        self._engine = None

    def _about_engine(self) -> dict[str, Any]:
        """What `describe` says of the engine, kept beyond its end."""
        if self._engine is None:
            return self._about
        return {"self_check": self._engine.noise, "engine": self._engine.describe()}

    @property
    def net(self) -> Any:
        """The network, read and checked on first use."""
        return self.engine.net

    @property
    def engine(self) -> Any:
        """What scores with it."""
        if self._engine is None:
            self._engine = self._read()
        return self._engine

    def _read(self) -> Any:
        from saltus.models.local.engine import Engine, Limits

        self.checkpoint.fetch()
        spread, pickled = self.ref.recipe.get("device_map"), not self.checkpoint.weight_files
        net = read_weights(self.checkpoint.network, self.ask, pickled=pickled, spread=spread)
        if self.checkpoint.adapter is not None:
            from saltus.models.local.lora import merge

            merge(net, self.checkpoint.adapter)
        engine = Engine(net, Limits(self.window, self.ask.batch_tokens, self.ask.memory_mb))
        if engine.batched.scaled > TOLERANCE[self.ask.dtype]:
            raise ModelError(
                f"{self.folder}: batched scores differ from single ones by {engine.batched.nats:.2g} nats "
                f"(at most {TOLERANCE[self.ask.dtype]:g} in {self.ask.dtype}), so its answers would depend on the "
                "batch; this architecture needs an adapter of its own"
            )
        return engine

    def _guarded(self, work: Iterator[T]) -> Iterator[T]:
        """The same work, with torch's failures (memory, a broken kernel) reported as this model's."""
        try:
            yield from work
        except (RuntimeError, MemoryError, IndexError) as error:
            raise ModelError(
                f"{self.folder}: the network failed: {error}; if memory ran out, lower `ask: {{memory_mb: "
                f"{self.engine.budget.megabytes}}}`"
            ) from error

    def _unaskable(self, request: Request) -> str | None:
        """Why this request alone cannot be answered."""
        if request.prompt_ids is None:
            raise ModelError("a request was asked before `encode` gave it token ids")
        if request.observe:
            return f"this adapter observes no internals ({', '.join(request.observe)})"
        if not request.prompt_ids:
            return "an empty prompt, and the tokenizer has neither BOS nor EOS to stand for it"
        top, size = max(request.prompt_ids + (request.continuation_ids or ())), self._vocabulary
        if size and top >= size:
            return f"token id {top} lies outside the network's vocabulary of {size}: a foreign tokenizer"
        asked = len(request.continuation_ids or ())
        if request.kind == "loglikelihood" and not asked:
            return "the continuation has no tokens"
        prompt = len(request.prompt_ids)
        room = prompt + (asked - 1 if request.kind == "loglikelihood" else 1)
        if self.window and room > self.window and not self._rolls(request):
            stated = f" and its continuation of {asked}" if asked else ""
            window = f"the window of {self.window} tokens"
            return f"the prompt of {prompt} tokens{stated} exceeds {window}; nothing is truncated"
        return None

    def _rolls(self, request: Request) -> bool:
        """Whether it asks for a text from its beginning: nothing of the prompt is lost by cutting the text."""
        prompt = request.prompt_ids or ()
        scores = request.kind == "loglikelihood" and not request.messages
        return scores and prompt == self.encoder.nothing and len(prompt) <= (self.window or 0)

    def _windows(self, request: Request) -> list[tuple[Sequence[int], Sequence[int]]]:
        """The request in as many windows as it needs, one for all but long texts without a prompt."""
        prompt, given = request.prompt_ids or (), request.continuation_ids or ()
        if self.window is None or len(prompt) + len(given) - 1 <= self.window:
            return [(prompt, given)]
        return list(disjoint(prompt, given, self.window))

    def _refuse_what_cannot_be_asked(self) -> None:
        if self.checkpoint.config.get("is_encoder_decoder"):
            raise ModelError(f"{self.folder}: an encoder-decoder; this adapter asks decoder-only models")
        if self.ref.edits:
            raise ModelError(f"{self.folder}: edits of the network are not opened by this adapter")


_NAN = "the network's logits are NaN or infinite here: the checkpoint's weights diverged or are damaged"


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model: multimodal ones nest it."""
    return config.get("text_config") or config


def _window(config: Mapping[str, Any]) -> int | None:
    """Positions the network was built for; None where its config names no bound."""
    text = _text(config)
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_seq_len"):
        if isinstance(text.get(name), int):
            return int(text[name])
    return None


def _eos_ids(checkpoint: Checkpoint, tokenizer_eos: int | None) -> frozenset[int]:
    """generation_config.json's, else config.json's, and the tokenizer's."""
    import json

    path = checkpoint.network / "generation_config.json"
    named: Any = None
    if checkpoint.has(path.name):
        try:
            named = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
        except ValueError as error:
            raise ModelError(f"{path}: not readable as JSON ({error})") from error
    if named is None:
        named = checkpoint.config.get("eos_token_id")
    ids = [] if named is None else list(named) if isinstance(named, list) else [named]
    return frozenset(int(i) for i in (*ids, *([] if tokenizer_eos is None else [tokenizer_eos])))
