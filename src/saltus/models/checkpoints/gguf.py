"""GGUF files as checkpoints: llama.cpp's format, one file with weights (mostly quantised), settings and tokenizer.

transformers reads the weights and dequantises them (`gguf_file=`), so what is asked is the quantised model at the
precision of `ask: dtype`. The header is read here, in a fraction of a second and without a package: parameters,
whether the file is whole, the kind of quantisation, and a hash of the tokenizer's part alone, which says whether
files of a series share one. Limits: architectures that transformers can convert; files in several parts are refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from saltus.errors import MissingExtra
from saltus.hashing import content_hash
from saltus.models.base import ModelError
from saltus.models.checkpoints.weights import WAIT, Checkpoint, known_hash

SUFFIX = ".gguf"
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF's value types 0 to 12 as struct letters; 8 is a string, 9 an array."""
_MOST = 10_000_000
"""Entries of anything; a larger count means a damaged file."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the table of tensors. `kind` is ggml's number of the type."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights."""

    metadata: Mapping[str, Any]
    """Arrays only as their length."""
    tensors: tuple[Tensor, ...]
    tokenizer: str
    """Hash of all `tokenizer.*` entries."""
    data: int
    """Where the weights begin, in bytes."""


class GgufCheckpoint(Checkpoint):
    """A GGUF file. `folder` is the file itself."""

    def has(self, name: str) -> bool:
        """A GGUF file stands alone: what lies beside it belongs to others."""
        return False

    @cached_property
    def header(self) -> Header:
        """Raises ModelError for what is no GGUF file, or a part of one."""
        if _PART.search(self.folder.name):
            raise ModelError(f"{self.folder}: one part of several; join them with llama.cpp's `gguf-split --merge`")
        return read_header(self.folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings that asking needs, under the names of config.json."""
        stated = self.header.metadata
        family = str(stated.get("general.architecture", "unknown"))
        return {
            "architectures": [f"gguf {family}"],
            "model_type": family,
            "vocab_size": stated.get(f"{family}.vocab_size") or stated.get("tokenizer.ggml.tokens"),
            "max_position_embeddings": stated.get(f"{family}.context_length"),
            "eos_token_id": stated.get("tokenizer.ggml.eos_token_id"),
        }

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        return (self.folder,)

    @cached_property
    def pickles(self) -> tuple[Path, ...]:
        return ()

    @property
    def params(self) -> int | None:
        """Weights of all tensors, those of the rotary table apart."""
        tensors = (t for t in self.header.tensors if not t.name.startswith("rope_"))
        return sum(prod(t.shape) for t in tensors)

    def check(self) -> None:
        """Raises ModelError unless the file is as long as its table of tensors says."""
        from gguf import GGML_QUANT_SIZES

        header, size = self.header, self.folder.stat().st_size
        sizes = {int(kind): per for kind, per in GGML_QUANT_SIZES.items()}
        for tensor in header.tensors:
            if tensor.kind not in sizes:
                raise ModelError(
                    f"{self.folder}: {tensor.name} is of a type ({tensor.kind}) that the installed `gguf` does not "
                    "know; pip install --upgrade gguf"
                )
            block, taken = sizes[tensor.kind]
            end = header.data + tensor.offset + prod(tensor.shape) // block * taken
            if end > size:
                raise ModelError(f"{self.folder}: {size:,} bytes where {tensor.name} ends at {end:,}; {WAIT}")

    def weights_hash(self, hashed: Callable[[Any], str] = content_hash) -> str:
        """Of the whole file."""
        return hashed({"gguf": known_hash(self.folder)})

    @property
    def quantisation(self) -> str | None:
        """The file's own name of it, else the type of most weights; they are read as ask.dtype."""
        from gguf import GGMLQuantizationType, LlamaFileType

        named = self.header.metadata.get("general.file_type")
        if named in {int(kind) for kind in LlamaFileType}:
            return str(LlamaFileType(named).name.removeprefix("MOSTLY_").removeprefix("ALL_"))
        weights: Counter[int] = Counter()
        for tensor in self.header.tensors:
            weights[tensor.kind] += prod(tensor.shape)
        return str(GGMLQuantizationType(weights.most_common(1)[0][0]).name)


def is_gguf(path: Path) -> bool:
    """By its name."""
    return path.suffix == SUFFIX


def require() -> None:
    """Raises MissingExtra where transformers could not read such a file."""
    if any(importlib.util.find_spec(name) is None for name in ("gguf", "accelerate", "torch")):
        raise MissingExtra("a GGUF file", "gguf")


def read_header(path: Path) -> Header:
    """The header of a GGUF file, version 2 or 3, little-endian. Raises ModelError naming the file.

    Layout (ggml/docs/gguf.md): "GGUF", version, number of tensors, number of entries; the entries; the table of
    tensors; then, aligned, the weights.
    """
    about = path.stat()
    return _header(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4)
def _header(path: Path, _size: int, _mtime: int) -> Header:
    try:
        with open(path, "rb") as file:
            return _parsed(file)
    except (ValueError, struct.error, KeyError) as error:
        raise ModelError(f"{path}: not a whole GGUF file ({error}); {WAIT}") from error


def _parsed(file: BinaryIO) -> Header:
    if file.read(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    (version,) = _numbers(file, "I")
    if version not in (2, 3):
        raise ValueError(f"version {version}, where 2 or 3 is read")
    tensors, entries = _numbers(file, "QQ")
    if max(tensors, entries) > _MOST:
        raise ValueError(f"{max(tensors, entries):,} entries")
    metadata: dict[str, Any] = {}
    words: list[tuple[str, bytes]] = []
    for _ in range(entries):
        name = _text(file)
        begins = file.tell()
        metadata[name] = _value(file, *_numbers(file, "I"))
        if name.startswith("tokenizer."):
            ends = file.tell()
            file.seek(begins)
            words.append((name, hashlib.sha256(file.read(ends - begins)).digest()))
    table = tuple(_tensor(file) for _ in range(tensors))
    align = int(metadata.get("general.alignment", 32))
    tokenizer = content_hash([[name, digest.hex()] for name, digest in sorted(words)])
    return Header(metadata, table, tokenizer, -(-file.tell() // align) * align)


def _tensor(file: BinaryIO) -> Tensor:
    name = _text(file)
    (dimensions,) = _numbers(file, "I")
    if dimensions > 8:
        raise ValueError(f"{name} has {dimensions} dimensions")
    shape = _numbers(file, f"{dimensions}Q")
    kind, offset = _numbers(file, "IQ")
    return Tensor(name, shape, kind, offset)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == 8:
        return _text(file)
    if kind != 9:
        return _numbers(file, _PLAIN[kind])[0]
    of, count = _numbers(file, "IQ")
    if count > _MOST:
        raise ValueError(f"an array of {count:,}")
    if of in _PLAIN:
        file.seek(struct.calcsize(f"<{_PLAIN[of]}") * count, 1)
    else:
        for _ in range(count):
            _value(file, of)
    return count


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "Q")
    if length > 100_000_000:
        raise ValueError(f"a text of {length:,} bytes")
    return _taken(file, length).decode("utf-8", "replace")


def _numbers(file: BinaryIO, letters: str) -> tuple[Any, ...]:
    form = f"<{letters}"
    return struct.unpack(form, _taken(file, struct.calcsize(form)))


def _taken(file: BinaryIO, count: int) -> bytes:
    found = file.read(count)
    if len(found) != count:
        raise ValueError("it ends within its header")
    return found
