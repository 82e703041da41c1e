"""Tiny random checkpoints, one per architecture, made once per session; hashes are remembered in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from saltus.models.checkpoints import weights
from saltus.models.local.model import TransformersModel
from saltus.models.local.tiny import checkpoint
from saltus.records import AskPolicy, ModelRef


@pytest.fixture(autouse=True)
def _own_memory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path_factory.getbasetemp() / "hashes.tsv"
    monkeypatch.setattr(weights, "memory_file", lambda: memory)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny("gpt2", bos="none") -> the folder of that checkpoint; the same arguments give the same folder. Read only."""
    made: dict[tuple[object, ...], Path] = {}

    def make(architecture: str = "llama", **options: object) -> Path:
        key = (architecture, *sorted(options.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("tiny") / architecture
            made[key] = checkpoint(folder, architecture, **options)  # type: ignore[arg-type]
        return made[key]

    return make


@pytest.fixture
def opened() -> Iterator[Callable[..., TransformersModel]]:
    """opened(folder, dtype=…) -> the model under that policy, closed when the test ends."""
    models = []

    def open_(folder: Path, **policy: object) -> TransformersModel:
        ref = ModelRef(adapter="dir", location=str(folder), series="tiny")
        models.append(TransformersModel(ref, folder, AskPolicy(**policy)))  # type: ignore[arg-type]
        return models[-1]

    yield open_
    for model in models:
        model.close()
