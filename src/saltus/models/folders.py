"""The scheme `dir:`: Hugging Face checkpoints in local folders.

`dir:runs/seed{seed}/step-{step}` matches folders and captures coordinates (`patterns`); `dir:out` is a folder
that holds `checkpoint-*` or `step-*` folders, or points in its `series.yaml`, or is one model itself. Relative
paths start at the study's folder. Nothing is loaded: parameters come from safetensors headers, step, tokens,
flops and loss from `trainer_state.json`. Where several sources state a coordinate, the later one wins:
trainer_state.json, the folder's name, series.yaml, the study; a step that trainer_state.json contradicts is kept
beside it for the guards. A half-written checkpoint is listed, and fails when it is opened. A pattern that ends in
`.gguf` matches GGUF files instead of folders (`gguf`). A folder that holds a LoRA adapter is asked as its base with the
adapter merged into it (`adapter`); the base is a folder or a repository of the hub.

Options of an entry: `tokenizer: folder`, `device_map` (transformers' own), and for a captured name a list of the
values wanted (`step: [0, 512]`).
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.models.base import Model, ModelError
from saltus.models.checkpoints import gguf, patterns
from saltus.models.checkpoints import tokenizer_check as same_words
from saltus.models.checkpoints.adapter import CONFIG, Adapter, AdapterCheckpoint, base_folder, is_adapter
from saltus.models.checkpoints.series_file import NAME, Point, SeriesFile, read
from saltus.models.checkpoints.weights import Checkpoint, tokenizer_files
from saltus.models.local.loading import checked_spread
from saltus.records import AskPolicy, ModelRef, SeriesEntry

CHILDREN = ("checkpoint-{step}", "step-{step}", "step_{step}", "step{step}")
"""Names of checkpoint folders, or with .gguf of files, inside a folder named without captures."""
OPTIONS = ("tokenizer", "device_map")


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder (or GGUF file) that is to be a model, before its coordinates are put together."""

    folder: Path
    captured: Mapping[str, str] = field(default_factory=dict)
    point: Point | None = None


class FolderAdapter:
    """The entry point `dir`."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        where = f"dir:{entry.source}"
        names = patterns.names_in(entry.source, where)
        patterns.check_options(entry.options, names, OPTIONS, where)
        checked_spread(entry.options.get("device_map"), where)
        root, rest = _split(entry.source, base)
        file = read(root) if root.is_dir() else None
        found = [f for f in _find(root, rest, file) if patterns.chosen(f.captured, entry.options)]
        if not found:
            raise _nothing(entry, base, root)
        refs = [_ref(one, entry, base, root, file) for one in found]
        per_step = entry.tokens_per_step or (file.tokens_per_step if file else None)
        whole = [patterns.complete(r, tokens_per_step=per_step) for r in refs]
        return same_words.marked(patterns.in_order(whole), _tokenizer_near)

    def open(self, ref: ModelRef, ask: AskPolicy) -> Model:
        from saltus.models.local.model import TransformersModel

        folder = Path(ref.location)
        if not folder.exists():
            what = "file" if gguf.is_gguf(folder) else "folder"
            raise ModelError(f"{folder}: the {what} is gone; restore it or take it out of the study")
        if gguf.is_gguf(folder):
            gguf.require()
        same_words.refuse_odd(ref)
        named = ref.recipe.get("tokenizer")
        tokenizer = Path(str(named)) if named else _tokenizer_near(folder)
        return TransformersModel(ref, checkpoint(folder), ask, tokenizer=tokenizer)


adapter = FolderAdapter()


def checkpoint(place: Path) -> Checkpoint:
    """The files of a model, in a folder or in one GGUF file. Raises ModelError where an adapter's base is not there."""
    if gguf.is_gguf(place):
        return gguf.GgufCheckpoint(place)
    return AdapterCheckpoint(place, _below(Adapter(place))) if is_adapter(place) else Checkpoint(place)


def _below(adapter: Adapter) -> Checkpoint:
    """The files of the network that an adapter was trained from."""
    folder = base_folder(adapter)
    if folder is not None:
        return Checkpoint(folder)
    name, revision = adapter.base
    places = tuple(os.environ.get(name) for name in ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE"))
    return _of_the_hub(name, revision or "main", places)


@lru_cache(maxsize=8)
def _of_the_hub(repository: str, revision: str, _places: tuple[str | None, ...]) -> Checkpoint:
    """Asked once for all checkpoints of a run."""
    from saltus.models.hub import Hub

    return Hub().checkpoint(repository, revision)


def _split(source: str, base: Path) -> tuple[Path, str]:
    """(the deepest folder, or the file, named before the first capture, the pattern below it or "")."""
    parts = Path(source).expanduser().parts
    fixed = next((i for i, part in enumerate(parts) if patterns.has_holes(part)), len(parts))
    return base.joinpath(*parts[:fixed]), "/".join(parts[fixed:])


def _find(root: Path, rest: str, file: SeriesFile | None) -> list[_Found]:
    points = {(root / p.path).resolve(): p for p in file.points} if file else {}
    if rest:
        return [_Found(f, captured, points.get(f.resolve())) for f, captured in _walk(root, rest, {})]
    if points:
        return [_Found(folder, {}, point) for folder, point in points.items()]
    if gguf.is_gguf(root) and root.is_file():
        return [_Found(root, _named_step(root))]
    for pattern in (*CHILDREN, *(name + gguf.SUFFIX for name in CHILDREN)):
        children = [_Found(folder, captured) for folder, captured in _walk(root, pattern, {})]
        if children:
            return children
    if not any((root / name).is_file() for name in ("config.json", CONFIG)) and not any(root.glob("*.safetensors")):
        return []
    return [_Found(root, _named_step(root))]


def _named_step(root: Path) -> dict[str, str]:
    """What the name of one checkpoint's folder captures: `out/checkpoint-500` is step 500."""
    name = root.resolve().name.removesuffix(gguf.SUFFIX)
    captures = (patterns.match(pattern, name) for pattern in CHILDREN)
    return next((c for c in captures if c), {})


def _walk(folder: Path, pattern: str, captured: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Folders (GGUF files) below `folder` that match, one path component at a time."""
    head, _, tail = pattern.partition("/")
    head = patterns.fill(head, captured)
    if not folder.is_dir():
        return
    wanted = Path.is_file if not tail and head.endswith(gguf.SUFFIX) else Path.is_dir
    for child in sorted(p for p in folder.iterdir() if wanted(p)):
        here = patterns.match(head, child.name)
        if here is None:
            continue
        both = {**captured, **here}
        if tail:
            yield from _walk(child, tail, both)
        else:
            yield child, both


def _ref(one: _Found, entry: SeriesEntry, base: Path, root: Path, file: SeriesFile | None) -> ModelRef:
    series = entry.series or (file.series if file else None) or _label(entry.source, root)
    derived: dict[str, str] = {}
    coords: dict[str, float | str] = {"model": _model_name(one.captured, series)}
    params = _params(one.folder)
    if params:
        header = "GGUF header" if gguf.is_gguf(one.folder) else "safetensors headers"
        coords["params"], derived["params"] = params, f"counted from the {header}"
    trained, sources = trainer_state(one.folder)
    coords |= trained
    derived |= sources
    stated = {name: patterns.value(name, text) for name, text in one.captured.items()}
    stated |= (one.point.coords() if one.point else {}) | dict(entry.coords)
    given = entry.options.get("device_map")
    recipe: dict[str, Any] = {**(file.recipe if file else {}), **(one.point.recipe if one.point else {})}
    tokenizer = _stated_tokenizer(entry, base, root, file)
    if tokenizer:
        recipe["tokenizer"] = tokenizer
    if given is not None:
        recipe["device_map"] = given
    if "step" in trained and trained["step"] != stated.get("step", trained["step"]):
        recipe["trainer_step"] = trained["step"]
    derived = {name: how for name, how in derived.items() if name not in stated}
    if derived:
        recipe["derived"] = derived
    location = str(one.folder.resolve())
    return ModelRef(adapter="dir", location=location, series=series, coords=coords | stated, recipe=recipe)


def _label(source: str, root: Path) -> str:
    if patterns.has_holes(source):
        return patterns.label(source) or root.resolve().name
    return (root.resolve().parent if _named_step(root) else root.resolve()).name


def _model_name(captured: Mapping[str, str], series: str) -> str:
    """The series' name and every capture that is neither place nor seed, so that sizes are different models."""
    apart = [f"{v}" for k, v in captured.items() if k not in ("seed", "step", "tokens", "flops", "loss")]
    return "-".join((series, *apart))


def _params(folder: Path) -> int | None:
    """None where the weights cannot be counted; opening such a checkpoint says why."""
    try:
        return checkpoint(folder).params
    except (ModelError, OSError):
        return None


def _stated_tokenizer(entry: SeriesEntry, base: Path, root: Path, file: SeriesFile | None) -> str | None:
    named = entry.options.get("tokenizer")
    folder = base / str(named) if named else root / file.tokenizer if file and file.tokenizer else None
    if folder is None:
        return None
    if not tokenizer_files(folder):
        raise UserError(
            f"no tokenizer in {folder}", where=f"dir:{entry.source}: tokenizer", wanted="a folder with tokenizer.json"
        )
    return str(folder.resolve())


def _tokenizer_near(folder: Path) -> Path:
    """The checkpoint's own, else that of the folder above, where trainers leave it, else that of an adapter's base."""
    if gguf.is_gguf(folder) or tokenizer_files(folder):
        return folder
    if tokenizer_files(folder.parent):
        return folder.parent
    try:
        return checkpoint(folder).network
    except (ModelError, OSError):  # opening it says why
        return folder


def trainer_state(folder: Path) -> tuple[dict[str, float | str], dict[str, str]]:
    """(coordinates, where each comes from) in trainer_state.json, written by transformers' Trainer.

    Loss: the evaluation loss logged at this step, else the last training loss up to it. A zero count of tokens
    or flops means that the trainer did not count.
    """
    try:
        state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        step = state.get("global_step")
        history = [h for h in state.get("log_history", []) if h.get("step", 0) <= (step or 0)]
    except (OSError, ValueError, AttributeError, TypeError):
        return {}, {}
    coords: dict[str, float | str] = {}
    sources: dict[str, str] = {}
    counted = (("step", step), ("tokens", state.get("num_input_tokens_seen")), ("flops", state.get("total_flos")))
    for name, number in counted:
        if number or (name == "step" and number == 0):
            coords[name], sources[name] = number, "trainer_state.json"
    held_out = [h["eval_loss"] for h in history if "eval_loss" in h and h.get("step") == step]
    trained = [h["loss"] for h in history if "loss" in h]
    for kind, losses in (("evaluation", held_out), ("training", trained)):
        if losses and math.isfinite(losses[-1]):
            coords["loss"], sources["loss"] = losses[-1], f"{kind} loss in trainer_state.json"
            break
    return coords, sources


def _nothing(entry: SeriesEntry, base: Path, root: Path) -> UserError:
    """What was there instead, and the folder that was perhaps meant."""
    where = f"dir:{entry.source}"
    missing = root
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    if not root.is_dir():
        beside = sorted(p.name for p in missing.parent.iterdir() if p.is_dir())
        near = difflib.get_close_matches(missing.name, beside, n=1, cutoff=0.5)
        hint = f"did you mean `{missing.parent / near[0]}`?" if near else f"one of: {_list(beside)}"
        if not beside:
            hint = f"a folder in {missing.parent}, which holds none"
        return UserError(
            f"there is no folder {missing}",
            where=where,
            wanted=hint,
            do="fix the path; relative paths start at the study's folder",
        )
    inside = sorted(p.name for p in root.iterdir() if p.is_dir())
    wanted = (
        f"folders that match `{entry.source}`"
        if patterns.has_holes(entry.source)
        else f"a model (config.json), checkpoint-* or step-* folders, or a {NAME}"
    )
    return UserError(
        f"no model in {root}, which holds {_list(inside)}",
        where=where,
        wanted=wanted,
        do="fix the pattern; `{name}` captures within one folder name",
    )


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return (shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")) or "no folders"
