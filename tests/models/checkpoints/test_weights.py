"""Files are checked, counted and hashed without being loaded."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from saltus.models.base import ModelError
from saltus.models.checkpoints import weights
from saltus.models.checkpoints.tokenizer_check import tokenizer_hash
from saltus.models.checkpoints.weights import Checkpoint, known_hash, safetensors_header

Tiny = Callable[..., Path]


def old(path: Path) -> Path:
    """The file as if written an hour ago."""
    about = path.stat()
    os.utime(path, (about.st_atime, about.st_mtime - 3600))
    return path


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, path = tmp_path / "memory/hashes.tsv", tmp_path / "weights"
    read: list[Path] = []
    whole = weights.file_hash
    monkeypatch.setattr(weights, "file_hash", lambda p: read.append(p) or whole(p))
    path.write_bytes(b"one")
    old(path)
    first = known_hash(path, memory)
    assert first == "sha256:" + hashlib.sha256(b"one").hexdigest()
    assert known_hash(path, memory) == first
    assert len(read) == 1
    path.write_bytes(b"two")
    assert known_hash(path, memory) == "sha256:" + hashlib.sha256(b"two").hexdigest()


def test_a_file_still_warm_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    known_hash(path, tmp_path / "memory")
    assert not (tmp_path / "memory").exists()


def test_a_torn_memory_or_a_full_disk_only_costs_time(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    old(path)
    memory = tmp_path / "memory"
    memory.write_text(f"{path}\t3\t{path.stat().st_mtime_ns}\tsha256:12ab")
    assert known_hash(path, memory) == weights.file_hash(path)
    assert known_hash(path, Path("/proc/cannot/be/written")) == weights.file_hash(path)


def test_hub_blobs_are_not_read_again(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    blob.write_bytes(b"anything")
    (tmp_path / "model.safetensors").symlink_to(blob)
    assert known_hash(tmp_path / "model.safetensors") == "sha256:" + "ab" * 32


def test_parameters_are_floating_point_tensors_only(tmp_path: Path) -> None:
    save_file(
        {"w": np.zeros((3, 5), np.float32), "b": np.zeros(2, np.float16), "mask": np.zeros((9, 9), np.bool_)},
        tmp_path / "model.safetensors",
    )
    assert Checkpoint(tmp_path).params == 17


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"0",
        lambda data: data[:20],
        lambda data: struct.pack("<Q", 2**60) + data[8:],
        lambda data: data[:8] + b"x" + data[9:],
    ],
)
def test_a_damaged_file_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.zeros((3, 5), np.float32)}, path)
    assert safetensors_header(path)["w"]["shape"] == [3, 5]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"model\.safetensors.*half-written"):
        safetensors_header(path)


def test_the_tokenizers_hash_is_of_its_files_alone(tiny: Tiny) -> None:
    assert tokenizer_hash(tiny("llama")) == tokenizer_hash(tiny("gpt2"))
    assert tokenizer_hash(tiny("llama")) != tokenizer_hash(tiny("llama", bos="none"))
