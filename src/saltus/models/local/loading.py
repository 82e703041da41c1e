"""From a checkpoint's files to a network ready to be asked: the one place where weights are read.

Nothing in a checkpoint runs: pickles are read with `weights_only` and only where the user allows pickles, a
repository's own code only where the user allows that. What was read is looked at: missing, unread, NaN or infinite
weights are refused by name, because a network of random, broken or half of its weights answers as fluently as any.

A network that accelerate spreads over several GPUs (`device_map`) is asked in plain batches where packing does not
bear it, as the self-check finds; one that does not fit is refused rather than read from disk for every question.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saltus.errors import MissingExtra, UserError
from saltus.models.base import ModelError
from saltus.models.checkpoints.gguf import is_gguf
from saltus.models.checkpoints.trust import hint, trusts_code
from saltus.records import AskPolicy

SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")
"""What accelerate decides by itself; any other word is a device of torch."""


def read_weights(folder: Path, ask: AskPolicy, *, pickled: bool = False, spread: Any = None) -> Any:
    """The network in eval mode on its device. Raises ModelError for missing, foreign, NaN or infinite weights.

    folder: of a checkpoint, or a GGUF file. spread: transformers' `device_map`.
    """
    from pickle import PickleError

    import torch
    from transformers import AutoModelForCausalLM

    where: dict[str, Any] = {"pretrained_model_name_or_path": folder, "use_safetensors": not pickled}
    if is_gguf(folder):
        where = {"pretrained_model_name_or_path": folder.parent, "gguf_file": folder.name}
    if spread is not None:
        if importlib.util.find_spec("accelerate") is None:
            raise MissingExtra("`device_map`", "gguf")
        _refuse_absent(folder, spread)
        where["device_map"] = spread
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                **where,
                dtype=getattr(torch, ask.dtype),
                local_files_only=True,
                weights_only=True,
                trust_remote_code=trusts_code(folder, ask),
                output_loading_info=True,
            )
    except (
        OSError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        ImportError,
        AttributeError,
        PickleError,
    ) as error:
        raise ModelError(f"{folder}: the model cannot be loaded: {_stated(error, folder)}") from error
    net, info = loaded
    _refuse_unsound(folder, net, info)
    return (net if spread is not None else net.to(device())).eval()


def _stated(error: Exception, folder: Path) -> str:
    """The first line of what transformers says, and which permission would change it."""
    line, whole = str(error).partition("\n")[0].strip(), str(error)
    if "trust_remote_code" in whole:
        return f"{line}; {hint(folder)}"
    if "weights_only" in whole or "Weights only load" in whole:
        return f"{line.split('. ')[0]}: its pickle wants to run code, which no permission allows"
    return f"{line}; save the checkpoint again, or take this checkpoint out of the study"


def _refuse_unsound(folder: Path, net: Any, info: Mapping[str, Any]) -> None:
    import torch

    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"{folder}: {len(missing)} weights are missing ({_first(missing)}): the checkpoint is incomplete; "
            "save it again with all of them"
        )
    unread = sorted(name for name in info["unexpected_keys"] if not _may_stay_unread(name, net.config))
    if unread:
        raise ModelError(
            f"{folder}: {len(unread)} tensors of the checkpoint are not read by the network ({_first(unread)}), so "
            f"another network would answer than the one saved here; {_remedy(unread, net.config)}"
        )
    for name, weight in net.named_parameters():
        if weight.is_meta:
            raise ModelError(
                f"{folder}: {name} does not fit the devices of `device_map`; name more of them, or ask in bfloat16"
            )
        if not torch.isfinite(weight).all():
            raise ModelError(
                f"{folder}: NaN or infinity in the weight {name}: training diverged or the file is damaged; restore "
                "the file, or take this checkpoint out of the study"
            )


_TABLES = re.compile(r"(attn|attention)\.(bias|masked_bias)$|rotary_emb\.inv_freq$|(^|\.)position_ids$|^v_head\.")
"""Masks and tables that older releases saved and every release computes; the value head that TRL adds to a model."""
_OTHER_PARTS = re.compile(r"(^|\.)[^.]*(vision|visual|image|audio|projector)[^.]*\.")
_LAYER = re.compile(r"(^|\.)(layers|h|blocks|block)\.(\d+)\.")


def _may_stay_unread(name: str, config: Any) -> bool:
    """Whether a tensor shapes nothing that a text model says, beside what transformers itself knows of a class.

    Masks and tables; layers that predict further tokens, which config.json counts apart from the others; the parts
    for images and sound of a model whose text part alone is asked.
    """
    layer = _LAYER.search(name)
    text = config.get_text_config()
    layers, ahead = getattr(text, "num_hidden_layers", None), getattr(text, "num_nextn_predict_layers", None)
    if layer and isinstance(layers, int) and isinstance(ahead, int):
        return layers <= int(layer[3]) < layers + ahead
    if _OTHER_PARTS.search(name) and not getattr(config, "vision_config", None):
        return "text" in str(config.model_type)
    return bool(_TABLES.search(name))


def _remedy(unread: list[str], config: Any) -> str:
    if any("lora_" in name for name in unread):
        return "they are adapters that were never merged: merge them with peft's `merge_and_unload()` and save again"
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    last = max((int(found[3]) for name in unread if (found := _LAYER.search(name))), default=-1)
    if isinstance(layers, int) and last >= layers:
        return (
            f"config.json states {layers} layers, the files hold {last + 1}: put the config.json of this network there"
        )
    return "put the config.json that belongs to these files beside them, or save the checkpoint again"


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def checked_spread(given: Any, where: str) -> Any:
    """A `device_map` as a study states it; whether a device is there shows where the model is opened.

    Raises UserError for what is neither one of `SPREADS`, nor a device such as cpu or cuda:1, nor a mapping of
    module names to devices.
    """
    devices = list(given.values()) if isinstance(given, Mapping) else [given]
    named = [isinstance(d, int) or (isinstance(d, str) and _DEVICE.fullmatch(d)) for d in devices]
    if given is None or given in SPREADS or (devices and all(named)):
        return given
    raise UserError(
        f"`device_map` is {given!r}",
        where=where,
        wanted=f"one of {', '.join(SPREADS)}, a device such as cpu or cuda:0, or a mapping of modules to devices",
    )


_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|npu|hpu)(:\d+)?")


def _refuse_absent(folder: Path, spread: Any) -> None:
    import torch

    named = [str(d) for d in (spread.values() if isinstance(spread, Mapping) else [spread])]
    named = [f"cuda:{d}" if d.isdigit() else d for d in named]
    there = torch.cuda.device_count()
    for name in named:
        if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= there:
            raise ModelError(f"{folder}: `device_map` names {name}, and this machine has {there} GPUs")


def device() -> Any:
    """Where a network goes that nobody spreads."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bar per checkpoint: a series would print hundreds."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with _without_gguf_bar():
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _without_gguf_bar() -> Iterator[None]:
    """transformers shows one while it dequantises, whatever its own setting says."""
    from functools import partial

    from transformers import modeling_gguf_pytorch_utils as reader

    bar = getattr(reader, "tqdm", None)
    if bar is None:
        yield
        return
    reader.tqdm = partial(bar, disable=True)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        reader.tqdm = bar  # type: ignore[assignment, misc]
