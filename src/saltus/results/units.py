"""Numbers and names as people write them: `160M`, `pythia-1.4b-deduped`, `step-500`, `5shot`.

Model names follow no standard, so everything read from one is a reading, not a fact: a file's own numbers
always win over these.
"""

from __future__ import annotations

import re

_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_QUANTITY = re.compile(r"^\s*([0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmbgt])?\s*$", re.IGNORECASE)
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:[._]\d+)?)([mbt])(?![a-z0-9])", re.IGNORECASE)
_SIZE_BIGSCIENCE = re.compile(r"(?<![a-z0-9])(\d+)b(\d+)(?![a-z0-9])", re.IGNORECASE)
_STEP = re.compile(r"(?:global[-_]?step|checkpoint|step|ckpt|iter(?:ation)?)[-_=]?(\d+)(?!\d)", re.IGNORECASE)
_TOKENS = re.compile(r"tokens?[-_=]?(\d+(?:\.\d+)?)([kmbt])(?![a-z0-9])", re.IGNORECASE)
_SEED = re.compile(r"seed[-_=]?(\d+)", re.IGNORECASE)
_SHOT_WORDS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "eight": 8, "ten": 10, "sixteen": 16}
_SHOTS = re.compile(r"(?<![a-z0-9])(\d{1,3}|" + "|".join(_SHOT_WORDS) + r")[-_ ]?shot", re.IGNORECASE)


def parse_quantity(text: str) -> float | None:
    """`160M` → 1.6e8, `1,000` → 1000.0; None where it is no number."""
    match = _QUANTITY.match(text)
    if not match:
        return None
    number = float(match[1].replace(",", "").replace("_", ""))
    return number * _SUFFIX.get((match[2] or "").lower(), 1.0)


def params_in(name: str) -> float | None:
    """Parameters from a name: `pythia-1.4b-deduped` → 1.4e9, `bloom-1b7` → 1.7e9; None without a size."""
    big = _SIZE_BIGSCIENCE.search(name)
    if big:
        return float(f"{big[1]}.{big[2]}") * 1e9
    match = _SIZE.search(name)
    return float(match[1].replace("_", ".")) * _SUFFIX[match[2].lower()] if match else None


def step_in(text: str) -> float | None:
    """Training step from a revision or path: `step1000`, `out/checkpoint-500`, `global_step51500`."""
    found = _STEP.findall(text)
    return float(found[-1]) if found else None


def tokens_in(text: str) -> float | None:
    """Training tokens from a revision: `step1000-tokens4B` → 4e9."""
    match = _TOKENS.search(text)
    return float(match[1]) * _SUFFIX[match[2].lower()] if match else None


def seed_in(text: str) -> str | None:
    """Training seed from a name: `pythia-160m-seed3` → "3"."""
    match = _SEED.search(text)
    return match[1] if match else None


def shots_in(text: str) -> frozenset[int]:
    """Every number of shots a path speaks of: `five-shot/x-5shot.json` → {5}."""
    return frozenset(
        _SHOT_WORDS[w] if (w := found.lower()) in _SHOT_WORDS else int(w) for found in _SHOTS.findall(text)
    )


def without(name: str, *, step: bool = True, seed: bool = True) -> str:
    """The name without its training step and seed: what is left is the run."""
    for pattern in ([_STEP] if step else []) + ([_SEED] if seed else []):
        name = pattern.sub("", name)
    return re.sub(r"[-_/@=. ]{2,}", "-", name).strip("-_/@=. ")


def family_in(name: str) -> str:
    """The family from a model's name: owner, size, step and seed left out. `EleutherAI/pythia-70m` → `pythia`."""
    last = without(name).rstrip("/").rsplit("/", 1)[-1]
    bare = _SIZE.sub("", _SIZE_BIGSCIENCE.sub("", _TOKENS.sub("", last)))
    return re.sub(r"[-_.: ]{2,}", "-", bare).strip("-_.: ") or last
