"""Whether the checkpoints of one run share a tokenizer, seen when they are listed.

A checkpoint that splits text in another way than the rest of its run answers other questions: its curve has a step in
it that training did not make. Files are compared by size first and read only where sizes differ, so that hundreds of
checkpoints are listed in moments; what two files of one size hide is found by the guard `mixed_tokenizer`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from saltus.hashing import content_hash
from saltus.models.base import ModelError
from saltus.models.checkpoints.gguf import is_gguf, read_header
from saltus.models.checkpoints.weights import known_hash, tokenizer_files
from saltus.records import ModelRef

_IDLE = ("version", "truncation", "padding")
"""Parts of tokenizer.json that depend on what was done with it last, and that asking sets itself."""
_SPLITTING = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "merges.txt")
"""Files that say how text is split; the first one counts alone where it is there."""


def tokenizer_hash(folder: Path) -> str:
    """Hash of a tokenizer's files by name and content; of a GGUF file, of its tokenizer's part."""
    if folder.suffix == ".gguf":
        return read_header(folder).tokenizer
    return content_hash({path.name: known_hash(path) for path in tokenizer_files(folder)})


def marked(refs: Sequence[ModelRef], near: Callable[[Path], Path]) -> list[ModelRef]:
    """The refs, those with a tokenizer that most of their run does not have saying so in `recipe`.

    near: from a checkpoint's place to its tokenizer's. A run is what agrees in series, model and seed.
    """
    runs: dict[tuple[object, ...], list[int]] = {}
    for i, ref in enumerate(refs):
        if "tokenizer" not in ref.recipe:
            key = ref.series, ref.coords.get("model"), ref.coords.get("seed")
            runs.setdefault(key, []).append(i)
    out = list(refs)
    for members in runs.values():
        places = [near(Path(refs[i].location)) for i in members]
        for k, usual in _odd(places).items():
            ref = refs[members[k]]
            out[members[k]] = replace(ref, recipe={**ref.recipe, "odd_tokenizer": str(usual)})
    return out


def refuse_odd(ref: ModelRef) -> None:
    """Raises ModelError for a checkpoint that `marked` found to be alone with its tokenizer."""
    usual = ref.recipe.get("odd_tokenizer")
    if usual:
        raise ModelError(
            f"{ref.location}: its tokenizer splits text in another way than that of most checkpoints of this run, such "
            f"as {usual}; put the right one beside it, name one for all with `tokenizer: FOLDER`, or give this "
            "checkpoint an entry of its own"
        )


def _odd(places: Sequence[Path]) -> dict[int, Path]:
    """Index of a place unlike more than half of them → one that is like those. Nothing where there is no such half."""
    if len(set(places)) < 3 or len({_size(p) for p in places}) == 1:
        return {}
    words = [_words(place) for place in places]
    there = [w for w in words if w is not None]
    if not there:
        return {}
    usual, count = Counter(there).most_common(1)[0]
    if 2 * count <= len(there):
        return {}
    example = places[words.index(usual)]
    return {i: example for i, w in enumerate(words) if w not in (None, usual)}


def _files(place: Path) -> list[Path]:
    found = [path for path in tokenizer_files(place) if path.name in _SPLITTING]
    found.sort(key=lambda path: _SPLITTING.index(path.name))
    return found[:1] if found and found[0].name == "tokenizer.json" else found


def _size(place: Path) -> object:
    """What is cheap to compare; of a GGUF file its tokenizer's hash, which its header gave already."""
    if is_gguf(place):
        return _words(place)
    return tuple(path.stat().st_size for path in _files(place))


def _words(place: Path) -> str | None:
    """Hash of what splits text; None where it cannot be read, which opening the checkpoint reports."""
    try:
        if is_gguf(place):
            return read_header(place).tokenizer
        parts: list[object] = []
        for path in _files(place):
            raw = path.read_bytes()
            if path.name == "tokenizer.json":
                whole = json.loads(raw)
                parts.append({k: v for k, v in whole.items() if k not in _IDLE})
            else:
                parts.append(raw.hex())
        return content_hash(parts) if parts else None
    except (OSError, ValueError, AttributeError, ModelError):
        return None
