"""From text to the token ids a network reads: BOS, chat template and the boundary before a continuation.

Token ids are what is asked and hashed, so everything that shapes them is decided here, once per model, and
recorded. The tokenizer never adds special tokens by itself: `Encoder` adds its prefix explicitly, and never a
second one.

The boundary is lm-eval's: white space at the end of a prompt moves to the front of the continuation, prompt +
continuation are encoded together and split where the encoded prompt ends. Where a token spans that boundary (a
prompt ending in "12" before "3"), lm-eval's split would drop characters; there the two are encoded apart, so
that the text scored is the text written, and `merged` counts it. An empty prompt becomes BOS, else EOS, as in
lm-eval.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from saltus.hashing import content_hash
from saltus.models.base import Bos, ModelError, Template, Tokenizer
from saltus.models.checkpoints.gguf import is_gguf
from saltus.models.checkpoints.tokenizer_check import tokenizer_hash
from saltus.models.checkpoints.trust import hint, trusts_code
from saltus.models.checkpoints.weights import tokenizer_files
from saltus.models.local.loading import quiet
from saltus.records import AskPolicy, Request


class Encoder:
    """A tokenizer under a policy. Raises ModelError where the folder has no tokenizer or the policy cannot hold."""

    def __init__(self, folder: Path, ask: AskPolicy) -> None:
        self.folder, self.ask = folder, ask
        self.tokenizer = _load(folder, trusts_code(folder, ask))
        self._last: tuple[str | None, list[int]] = (None, [])
        self.bos: int | None = self.tokenizer.bos_token_id
        self.eos: int | None = self.tokenizer.eos_token_id
        self.chats = bool(getattr(self.tokenizer, "chat_template", None))
        self.templated = ask.template == "auto" and self.chats
        self.own_prefix, self.own_suffix = self._own_special()
        self.prefix = self._prefix()
        self.merged = 0
        """Requests whose prompt and continuation shared a token and were encoded apart."""
        self.empty = 0
        """Requests without a prompt, which got BOS or EOS instead."""
        self.doubled = 0
        """Requests whose ids begin with two BOS, because the text or the template brought its own."""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what it does to plain text, whatever files and versions it was saved with."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            return content_hash(backend.to_str())
        return content_hash(sorted(self.tokenizer.get_vocab().items()))

    @property
    def identity(self) -> str:
        """Hash of the tokenizer's files and of the policies that shape token ids."""
        return content_hash([tokenizer_hash(self.folder), self.ask.bos, self.ask.template])

    def encode(self, request: Request) -> Request:
        """The request with its ids. Without BOS and EOS an empty prompt stays empty; asking it then fails."""
        text, prefix = self._rendered(request)
        if request.kind == "generate":
            return replace(request, prompt_ids=self._prompt(text, prefix), continuation_ids=())
        kept = text.rstrip()
        continuation = text[len(kept) :] + request.continuation
        prompt = self._prompt_ids(kept)
        whole = self._ids(kept + continuation)
        after = whole[len(prompt) :]
        if whole[: len(prompt)] != prompt or (continuation and not after):
            self.merged += 1
            after = self._ids_amid(continuation)
        return replace(request, prompt_ids=self._with_prefix(prompt, prefix), continuation_ids=tuple(after))

    def decode(self, ids: list[int]) -> str:
        """Generated text, special tokens left out, nothing cleaned up."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def spell(self, ids: list[int]) -> str:
        """The same text with special tokens written out."""
        return self.tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False, spaces_between_special_tokens=False
        )

    @cached_property
    def special(self) -> frozenset[str]:
        """How the tokens are written that `decode` leaves out."""
        added = self.tokenizer.added_tokens_decoder.values()
        return frozenset({*self.tokenizer.all_special_tokens, *(t.content for t in added if t.special)} - {""})

    def pieces(self, ids: tuple[int, ...]) -> list[str]:
        """Each token as text, with the usual spellings of a space and a line break written out."""
        spelled = self.tokenizer.convert_ids_to_tokens(list(ids))
        return [str(p).replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n") for p in spelled]

    def describe(self) -> dict[str, Any]:
        """The fields of a `Description` that are the tokenizer's; eos, pad and unk are for its detail."""
        return {
            "bos": Bos(
                policy=self.ask.bos,
                prepended=bool(self.prefix),
                id=self.bos,
                token=self.tokenizer.bos_token,
                tokenizer_prepends=tuple(self.own_prefix),
                empty_prompt=self._instead_of_nothing(),
            ),
            "template": Template(policy=self.ask.template, has_one=self.chats, applied=self.templated),
            "tokenizer": Tokenizer(
                kind=type(self.tokenizer).__name__,
                size=len(self.tokenizer),
                hash=tokenizer_hash(self.folder),
                folder=str(self.folder),
                fingerprint=self.fingerprint,
            ),
            # None: none was seen yet, and what an earlier run saw stands
            "boundary_tokens_split": self.merged or None,
            "empty_prompts": self.empty or None,
            "double_bos": self.doubled or None,
        }

    def other_tokens(self) -> dict[str, Any]:
        """EOS, padding and unknown: id and text, and what the tokenizer appends to plain text."""
        return {
            "eos": {"id": self.eos, "token": self.tokenizer.eos_token, "tokenizer_appends": list(self.own_suffix)},
            "pad": {"id": self.tokenizer.pad_token_id, "token": self.tokenizer.pad_token},
            "unk": {"id": self.tokenizer.unk_token_id},
        }

    def _own_special(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the tokenizer itself puts before and after plain text."""
        plain, special = self._ids("x"), self.tokenizer("x")["input_ids"]
        if not plain:
            return (tuple(special[:1]) if special[:1] == [self.bos] else ()), ()
        for start in range(len(special) - len(plain) + 1):
            if special[start : start + len(plain)] == plain:
                return tuple(special[:start]), tuple(special[start + len(plain) :])
        return (), ()

    def _prefix(self) -> tuple[int, ...]:
        if self.ask.bos == "never":
            return ()
        if self.ask.bos == "auto":
            return self.own_prefix
        if self.bos is None:
            raise ModelError(
                f"{self.folder}: the tokenizer has no BOS token, but the study asks for `bos: always`; "
                "ask with `bos: auto` or `bos: never`, or give the tokenizer a bos_token"
            )
        return (self.bos,)

    def _rendered(self, request: Request) -> tuple[str, tuple[int, ...]]:
        """The text to encode and what goes before it. A template that was applied brings its own BOS, if any."""
        if not self.templated and not request.messages:
            return request.prompt, self.prefix
        if not self.chats:
            raise ModelError(
                f"{self.folder}: chat messages, but the tokenizer has no chat template; ask with prompts instead"
            )
        messages = request.messages or ({"role": "user", "content": request.prompt},)
        text = self.tokenizer.apply_chat_template(
            [dict(m) for m in messages], tokenize=False, add_generation_prompt=True
        )
        return text, self.prefix if self.ask.bos == "always" else ()

    def _prompt(self, text: str, prefix: tuple[int, ...]) -> tuple[int, ...]:
        return self._with_prefix(self._ids(text), prefix)

    def _with_prefix(self, ids: list[int], prefix: tuple[int, ...]) -> tuple[int, ...]:
        if self.ask.bos == "never" and self.templated and ids[:1] == [self.bos]:
            ids = ids[1:]
        if prefix and tuple(ids[: len(prefix)]) != prefix:
            ids = [*prefix, *ids]
        if ids:
            self.doubled += self.bos is not None and ids[:2] == [self.bos, self.bos]
            return tuple(ids)
        self.empty += 1
        return self.nothing

    @property
    def nothing(self) -> tuple[int, ...]:
        """What an empty prompt becomes."""
        first = self._instead_of_nothing()
        return self.prefix or (() if first is None else (first,))

    def _instead_of_nothing(self) -> int | None:
        return self.bos if self.bos is not None else self.eos

    def _ids(self, text: str) -> list[int]:
        if text == self._last[0]:
            return self._last[1]
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            ids = backend.encode(text, add_special_tokens=False).ids
        else:
            ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return list(ids)

    def _ids_amid(self, text: str) -> list[int]:
        """The ids of a text that does not begin a line: without the space some tokenizers put in front."""
        if not "".join(self.pieces(tuple(self._ids("x")))).startswith(" "):
            return self._ids(text)
        before = "\n" if text[:1].isalnum() else "x"
        return self._ids(before + text)[len(self._ids(before)) :]

    def _prompt_ids(self, text: str) -> list[int]:
        """The same for prompts: choices of one item share theirs."""
        ids = self._ids(text)
        self._last = (text, ids)
        return ids


def _load(folder: Path, trust: bool) -> Any:
    """The tokenizer of a folder, or of a GGUF file. Raises ModelError."""
    if is_gguf(folder):
        return _from_gguf(folder, tokenizer_hash(folder))
    if not tokenizer_files(folder):
        raise ModelError(
            f"{folder}: no tokenizer; save it beside the model, or name its folder in the models entry with "
            "`tokenizer: path`"
        )
    return _read(folder, local_files_only=True, trust_remote_code=trust)


@lru_cache(maxsize=2)
def _from_gguf(file: Path, _tokenizer: str) -> Any:
    """A vocabulary of 262,144 takes ten seconds to read, and the files of a series mostly share one."""
    with quiet():
        return _read(file, gguf_file=file.name, local_files_only=True)


def _read(place: Path, **how: Any) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(place.parent if "gguf_file" in how else place, **how)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:  # a tokenizer.json may have been saved while it truncated or padded
            backend.no_truncation()
            backend.no_padding()
        return tokenizer
    except Exception as error:  # tokenizers raise bare Exception for a torn file
        remedy = "put a whole one beside the model, or name its folder with `tokenizer: FOLDER`"
        if "trust_remote_code" in str(error):
            remedy = hint(place)
        stated = str(error).partition("\n")[0].rstrip(".")
        raise ModelError(f"{place}: the tokenizer cannot be read: {stated}; {remedy}") from error
