"""A LoRA adapter's folder, as PEFT saves a finetuning: small matrices, and the name of the network they belong to.

Such a folder is a checkpoint like any other: its network is the base with the adapter merged into it (`local/lora`),
and its identity is the hash of both. What is read is what PEFT itself merges as W + scale · B·A. Every other kind of
adapter is refused by name, with PEFT's own way to merge it, because an adapter half understood answers as fluently as
the right one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from saltus.hashing import content_hash
from saltus.models.base import ModelError
from saltus.models.checkpoints.weights import ADAPTER, WAIT, Checkpoint, known_hash, safetensors_header

CONFIG, WEIGHTS = ADAPTER
MERGE = (
    "merge it with peft (`PeftModel.from_pretrained(base, folder).merge_and_unload()`), save the merged model, and "
    "ask that folder"
)
_CHANGES = (
    *("use_dora", "use_qalora", "use_bdlora", "lora_bias", "alora_invocation_tokens", "layer_replication"),
    *("target_parameters", "trainable_token_indices", "arrow_config", "megatron_config", "monteclora_config"),
    *("velora_config", "kasa_config"),
)
"""Settings that make of LoRA something else than W + scale · B·A."""
_KEEPS_THE_BASE = (True, False, None, "gaussian", "orthogonal", "eva")
"""Ways to begin that leave the base as it is; PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA subtract from it."""


@dataclass(frozen=True)
class Adapter:
    """The two files of an adapter. The methods raise ModelError naming the one at fault."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / WEIGHTS

    @cached_property
    def config(self) -> dict[str, Any]:
        """adapter_config.json."""
        path = self.folder / CONFIG
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ModelError(f"{path}: not readable as JSON ({error}); {WAIT}") from error
        if not isinstance(found, dict):
            raise ModelError(f"{path}: not an object of settings; {WAIT}")
        return found

    @property
    def base(self) -> tuple[str, str | None]:
        """(the base network's folder or repository, its revision), as the adapter states them."""
        named = self.config.get("base_model_name_or_path")
        if not isinstance(named, str) or not named:
            raise ModelError(
                f"{self.folder / CONFIG}: `base_model_name_or_path` is {named!r}; state the folder or the repository "
                "of the network that the adapter was trained from"
            )
        return named, self.config.get("revision")

    def check(self) -> None:
        """Raises ModelError unless both files are there and whole, and merging them is B·A and nothing else."""
        kind = self.config.get("peft_type")
        if kind != "LORA":
            raise ModelError(f"{self.folder}: an adapter of the kind {kind}, where LORA is read; {MERGE}")
        for name in _CHANGES:
            if self.config.get(name):
                raise ModelError(f"{self.folder}: its {CONFIG} sets `{name}`, which plain LoRA does not have; {MERGE}")
        start = self.config.get("init_lora_weights")
        if start not in _KEEPS_THE_BASE:
            raise ModelError(
                f"{self.folder}: its {CONFIG} sets `init_lora_weights: {start}`, which changes the base; {MERGE}"
            )
        if not self.file.is_file():
            if (self.folder / "adapter_model.bin").is_file():
                raise ModelError(f"{self.folder}: its {CONFIG} has a pickle beside it, no {WEIGHTS}; {MERGE}")
            raise ModelError(f"{self.folder}: no {WEIGHTS}; {WAIT}")
        safetensors_header(self.file)

    def scale(self, module: str, rank: int) -> float:
        """What B·A is multiplied by in a module. Raises ModelError where the file's rank is not the stated one."""
        stated = self._setting("rank_pattern", module, self.config.get("r"))
        alpha = self._setting("alpha_pattern", module, self.config.get("lora_alpha"))
        if stated != rank or not isinstance(alpha, int | float):
            raise ModelError(
                f"{self.file}: {module} has the rank {rank}, where {CONFIG} states r {stated} and lora_alpha {alpha}; "
                "put the two files of one adapter together"
            )
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def _setting(self, pattern: str, module: str, usual: Any) -> Any:
        """As PEFT looks a module up: the first key that its name ends in, read as a regular expression."""
        named: Mapping[str, Any] = self.config.get(pattern) or {}
        return next((v for key, v in named.items() if re.match(rf"(.*\.)?({key})$", module)), usual)

    def hash(self, hashed: Callable[[Any], str]) -> str:
        """Of its weights and of what scales them."""
        scaling = {k: self.config.get(k) for k in ("r", "rank_pattern", "lora_alpha", "alpha_pattern", "use_rslora")}
        return hashed({"scaling": scaling, "file": known_hash(self.file)})


@dataclass(frozen=True)
class AdapterCheckpoint(Checkpoint):
    """An adapter and the network below it. `folder` is the adapter's."""

    below: Checkpoint

    @property
    def network(self) -> Path:
        return self.below.folder

    @cached_property
    def adapter(self) -> Adapter:
        return Adapter(self.folder)

    def has(self, name: str) -> bool:
        return self.below.has(name)

    @property
    def config(self) -> dict[str, Any]:  # type: ignore[override]
        return self.below.config

    @property
    def weight_files(self) -> tuple[Path, ...]:  # type: ignore[override]
        return self.below.weight_files

    @property
    def pickles(self) -> tuple[Path, ...]:  # type: ignore[override]
        return self.below.pickles

    @property
    def params(self) -> int | None:
        """Those of the base: merging adds none."""
        return self.below.params

    def check(self) -> None:
        self.adapter.check()
        self.below.check()

    def fetch(self) -> None:
        self.below.fetch()

    def weights_hash(self, hashed: Callable[[Any], str] = content_hash) -> str:
        """Of the base and of the adapter."""
        return hashed({"base": self.below.weights_hash(hashed), "adapter": self.adapter.hash(hashed)})


def is_adapter(folder: Path) -> bool:
    """Whether it holds an adapter and no whole network."""
    return (folder / CONFIG).is_file() and not Checkpoint(folder).whole


def base_folder(adapter: Adapter) -> Path | None:
    """The base network where it is named by a folder: absolute, beside the adapter, or from where saltus runs."""
    named = Path(adapter.base[0]).expanduser()
    places = [named] if named.is_absolute() else [adapter.folder / named, Path.cwd() / named]
    found = next((place.resolve() for place in places if (place / "config.json").is_file()), None)
    if found is None and not _REPOSITORY.fullmatch(adapter.base[0]):
        raise ModelError(
            f"{adapter.folder / CONFIG} names the base {adapter.base[0]}, where no model is; correct "
            "`base_model_name_or_path` there"
        )
    if found is not None and is_adapter(found):
        raise ModelError(f"{adapter.folder}: its base {found} is an adapter itself; {MERGE}")
    return found


_REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
