"""A checkpoint's files before any is loaded: which are there, whether they are whole, their hashes, its parameters.

Everything here reads headers and sizes only, so a series of hundreds of checkpoints is listed in moments and a
half-written one is found without loading it. Hashes are the files' SHA-256: taken from the hub cache where it
names the file by it, else from a small memory of (path, size, mtime) in the user's cache folder, else computed.
Limit: a file changed in place to the same size and the same mtime keeps its old hash.
"""

from __future__ import annotations

import json
import os
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

from saltus.hashing import content_hash, file_hash
from saltus.models.base import ModelError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
)
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
"""What PEFT saves of an adapter (`adapter`)."""
_VOLATILE = ("_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype")
"""Keys of config.json that differ between copies of one model. The dtype asked with is hashed on its own."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RACY = 2.0
"""Seconds: a file younger than this may still be written without its mtime showing it, so it is not remembered."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a model in it, perhaps not whole; the methods raise ModelError naming the file at fault."""

    folder: Path

    @property
    def network(self) -> Path:
        """Where the weights lie that are read."""
        return self.folder

    @property
    def adapter(self) -> Any:
        """What is merged into them, if anything."""
        return None

    @property
    def whole(self) -> bool:
        """Whether weights of a whole network are there, in whatever form."""
        names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin.index.json")
        return any(self.has(name) for name in names) or bool(self.pickles)

    def has(self, name: str) -> bool:
        """Whether a file belongs to the checkpoint and can be had."""
        return (self.folder / name).exists()

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json."""
        path = self.folder / "config.json"
        if not path.is_file() and self.has(ADAPTER[0]):
            raise ModelError(f"{self.folder}: an adapter without its network; download it and ask its folder with dir:")
        if not path.is_file():
            raise ModelError(f"{self.folder}: no config.json; {WAIT}")
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ModelError(f"{path}: not readable as JSON ({error}); {WAIT}") from error

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The safetensors files, all present; empty where there are weights in pickle form only."""
        shards = self._shards("model.safetensors.index.json")
        if shards:
            return shards
        single = self.folder / "model.safetensors"
        if self.has(single.name):
            return (single,)
        if not self.pickles:
            raise ModelError(f"{self.folder}: no model.safetensors and no index of shards; {WAIT}")
        return ()

    @cached_property
    def pickles(self) -> tuple[Path, ...]:
        """Weights in pickle form (pytorch_model*.bin), which can run code when read carelessly."""
        found = tuple(sorted(self.folder.glob("pytorch_model*.bin")))
        return self._shards("pytorch_model.bin.index.json") or found if found else ()

    def _shards(self, name: str) -> tuple[Path, ...]:
        """The files an index names, all present; () without that index."""
        index = self.folder / name
        if not self.has(name):
            return ()
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, OSError) as error:
            raise ModelError(f"{index}: not a weight index ({error!r}); {WAIT}") from error
        for shard in names:
            if not self.has(shard):
                raise ModelError(f"{index} names {shard}, which is not there; copy the missing shard into the folder")
        return tuple(self.folder / shard for shard in names)

    @cached_property
    def headers(self) -> dict[Path, dict[str, Any]]:
        """The header of each safetensors file, after checking that the file is as long as it says."""
        return {path: safetensors_header(path) for path in self.weight_files}

    @property
    def params(self) -> int | None:
        """Parameters counted from the headers: floating-point tensors, tied ones once; None for pickles.

        Masks and other buffers stored as integers or booleans (older GPT-NeoX files) do not count.
        """
        if not self.weight_files:
            return None
        return sum(prod(shape) for header in self.headers.values() for shape in _shapes(header))

    def check(self) -> None:
        """Raises ModelError unless config and weights are there and whole."""
        self.check_listing()
        _ = self.headers

    def check_listing(self) -> None:
        """The same without looking into the weights' files."""
        _ = self.config, self.weight_files
        if all(self.has(name) for name in ADAPTER):
            raise ModelError(
                f"{self.folder}: a whole network and an adapter ({ADAPTER[1]}) in one folder, which does not say "
                "what is meant; move the adapter's files, or the network's, to a folder of their own"
            )

    @property
    def quantisation(self) -> str | None:
        """What the weights were quantised to, where they were."""
        return None

    def fetch(self) -> None:
        """Brings the weights into the folder, where they come from elsewhere. Called before they are read."""

    def file_hashes(self) -> list[str]:
        """SHA-256 of the weights' files in order of their names."""
        return [known_hash(path) for path in self.weight_files or self.pickles]

    def weights_hash(self, hashed: Callable[[Any], str] = content_hash) -> str:
        """Hash of the weights' files, by content, and of the parts of config.json that shape what is computed."""
        config = {k: v for k, v in self.config.items() if k not in _VOLATILE}
        return hashed({"config": config, "files": self.file_hashes()})


WAIT = "the checkpoint is half-written or incomplete: let its writer finish, or remove it"


def _shapes(header: Mapping[str, Any]) -> Iterator[list[int]]:
    tensors = (entry for name, entry in header.items() if name != "__metadata__")
    return (entry["shape"] for entry in tensors if entry["dtype"].startswith(("F", "BF")))


def safetensors_header(path: Path) -> dict[str, Any]:
    """The header: tensor name -> {dtype, shape, data_offsets}. Raises ModelError if the file is cut short.

    Layout (safetensors 0.x): 8 bytes little-endian length, that many bytes of JSON, then the tensors' bytes.
    """
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(size - 8, 100_000_000):
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for k, entry in header.items() if k != "__metadata__"]
    except (ValueError, struct.error, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}); {WAIT}") from error
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise ModelError(f"{path}: {size:,} bytes where its header wants {wanted:,}; {WAIT}")
    return header


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """The files that make up a tokenizer, those that are there."""
    return tuple(folder / name for name in TOKENIZER_FILES if (folder / name).is_file())


def known_hash(path: Path, memory: Path | None = None) -> str:
    """`sha256:…` of a file; see the module's docstring for where it comes from."""
    real = path.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return f"sha256:{real.name}"
    memory = memory or memory_file()
    about = real.stat()
    key = f"{real}\t{about.st_size}\t{about.st_mtime_ns}"
    known = _remembered(memory, memory.stat().st_size if memory.is_file() else 0)
    if key in known:
        return known[key]
    found = file_hash(real)
    if time.time() - about.st_mtime > _RACY:
        _remember(memory, key, found)
    return found


def memory_file() -> Path:
    """Where hashes are remembered: $XDG_CACHE_HOME/saltus, else ~/.cache/saltus."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "saltus" / "hashes.tsv"


@lru_cache(maxsize=2)
def _remembered(memory: Path, size: int) -> dict[str, str]:
    """Key -> hash, the last line of a key counting; a torn last line is skipped. `size` keeps it fresh."""
    try:
        lines = memory.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    cut = (line.rpartition("\t") for line in lines)
    return {key: value for key, _, value in cut if _SHA256.fullmatch(value.removeprefix("sha256:"))}


def _remember(memory: Path, key: str, value: str) -> None:
    """One appended line per file: writers side by side do not disturb each other. A full disk only forgets."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with open(memory, "a", encoding="utf-8") as file:
            file.write(f"{key}\t{value}\n")
    except OSError:
        return
