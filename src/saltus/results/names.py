"""What names of checkpoints mean: `step_20k`, `240k-503b`, `stage2-ingredient1-step11931-tokens50B`, `seed-default`.

Model names follow no standard, so everything read from one is a reading, not a fact: a file's own numbers always win
over these. A revision is read more freely than a name, because it names a checkpoint and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from saltus.results.units import SUFFIX

_N = r"(\d+(?:\.\d+)?)"
_END = r"(?![a-z0-9])"
_WORD = r"(?:global[-_]?step|checkpoint|step|ckpt|iter(?:ation)?|update|(?<![a-z])(?:ep\d+[-_])?ba(?:tch)?)s?[-_=]?"
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:[._]\d+)?)([mbt])(?![a-z0-9])", re.IGNORECASE)
_SIZE_BIGSCIENCE = re.compile(r"(?<![a-z0-9])(\d+)b(\d+)(?![a-z0-9])", re.IGNORECASE)
_STEP = re.compile(rf"{_WORD}(?:{_N}([km]){_END}|(\d+)(?!\d))", re.IGNORECASE)
_TOKENS = re.compile(rf"(?:tokens?|train)[-_=]?0*{_N}([kmbt]){_END}", re.IGNORECASE)
_TOKENS_AFTER = re.compile(rf"(?<![a-z0-9.]){_N}([kmbt])[-_ ]?tok(?:en)?s?(?![a-z])", re.IGNORECASE)
_STEP_TOKENS = re.compile(rf"(?<![a-z0-9.])(?:step[-_]?)?{_N}k[-_]{_N}([bt]){_END}", re.IGNORECASE)
"""TinyLlama: `240k-503b` is step 240,000 after 503 billion tokens."""
_TOKENS_ALONE = re.compile(r"(\d+(?:[._-]\d+)?)([bt])", re.IGNORECASE)
_STAGE = re.compile(r"stage[-_]?([2-9]|\d{2,})(?:[-_]ingredient[-_]?\d+)?", re.IGNORECASE)
_FIRST_STAGE = re.compile(r"stage[-_]?1(?!\d)", re.IGNORECASE)
_SEED = re.compile(r"seed[-_= ]?(\d+|default|(?:small|large)[-_ ]aux[-_ ]\d+)(?![a-z0-9])", re.IGNORECASE)
_SEED_WORDS = re.compile(r"(?:^|[-_/])seed[-_=]([a-z][a-z0-9]*(?:[-_][a-z0-9]+)*)$", re.IGNORECASE)
_SHOT_WORDS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "eight": 8, "ten": 10, "sixteen": 16}
_SHOTS = re.compile(r"(?<![a-z0-9])(\d{1,3}|" + "|".join(_SHOT_WORDS) + r")[-_ ]?shot", re.IGNORECASE)
_PATTERNS_OF_PLACE = (_FIRST_STAGE, _STAGE, _TOKENS_AFTER, _TOKENS, _STEP)


@dataclass(frozen=True, slots=True)
class Named:
    """What one text says of a checkpoint; None where it says nothing."""

    step: float | None = None
    tokens: float | None = None
    seed: str | None = None
    stage: str | None = None
    """A later stage of training, as it is written: another run. The first stage is none."""

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.step, self.tokens, self.seed, self.stage))


def in_name(name: str) -> Named:
    """What a model's name or path says. A size in it stays a size: see `params_in`."""
    stage = _STAGE.search(name)
    pair = _step_and_tokens(name)
    return Named(
        step=step_in(name) if pair is None else pair[0],
        tokens=tokens_in(name) if pair is None else pair[1],
        seed=seed_in(name),
        stage=stage[0].lower() if stage else None,
    )


def in_revision(revision: str) -> Named:
    """What a revision, branch or tag says: besides, `5T` is tokens, `1000` a step, `seed-large` a seed by its word."""
    text = revision.strip()
    if match := _STEP_TOKENS.fullmatch(text):
        return Named(step=float(match[1]) * 1e3, tokens=float(match[2]) * SUFFIX[match[3].lower()])
    if match := _TOKENS_ALONE.fullmatch(text):
        return Named(tokens=float(re.sub("[_-]", ".", match[1])) * SUFFIX[match[2].lower()])
    if re.fullmatch(r"\d{1,7}", text):
        return Named(step=float(text))
    found = in_name(text)
    words = _SEED_WORDS.search(text)
    return found if found.seed or not words else Named(found.step, found.tokens, words[1].lower(), found.stage)


def _step_and_tokens(name: str) -> tuple[float, float] | None:
    """A pair such as `240k-503b` behind a size: a model called `32k-7b` names its context and its size."""
    match = _STEP_TOKENS.search(name)
    if match is None or not (_SIZE.search(name[: match.start()]) or _SIZE_BIGSCIENCE.search(name[: match.start()])):
        return None
    return float(match[1]) * 1e3, float(match[2]) * SUFFIX[match[3].lower()]


def params_in(name: str) -> float | None:
    """Parameters from a name: `pythia-1.4b-deduped` → 1.4e9, `bloom-1b7` → 1.7e9; None without a size."""
    bare = _without_tokens(name)
    big = _SIZE_BIGSCIENCE.search(bare)
    if big:
        return float(f"{big[1]}.{big[2]}") * 1e9
    match = _SIZE.search(bare)
    return float(match[1].replace("_", ".")) * SUFFIX[match[2].lower()] if match else None


def step_in(text: str) -> float | None:
    """Training step from a revision or path: `step1000`, `out/checkpoint-500`, `step_20k`, `ep0-ba5000`."""
    found = _STEP.findall(text)
    if not found:
        return None
    scaled, suffix, plain = found[-1]
    return float(plain) if plain else float(scaled) * SUFFIX[suffix.lower()]


def tokens_in(text: str) -> float | None:
    """Training tokens from a revision: `step1000-tokens4B` and `4b_tokens` → 4e9."""
    match = _TOKENS.search(text) or _TOKENS_AFTER.search(text)
    return float(match[1]) * SUFFIX[match[2].lower()] if match else None


def seed_in(text: str) -> str | None:
    """Training seed from a name: `pythia-160m-seed3` → "3", `…-seed-small-aux-2` → "small-aux-2"."""
    match = _SEED.search(text)
    return re.sub("[_ ]", "-", match[1].lower()) if match else None


def shots_in(text: str) -> frozenset[int]:
    """Every number of shots a path speaks of: `five-shot/x-5shot.json` → {5}."""
    return frozenset(
        _SHOT_WORDS[w] if (w := found.lower()) in _SHOT_WORDS else int(w) for found in _SHOTS.findall(text)
    )


def without(name: str, *, seed: bool = True) -> str:
    """The name without its place in training and its seed: what is left is the run."""
    name = _without_pair(name)
    for pattern in (*_PATTERNS_OF_PLACE, *([_SEED] if seed else [])):
        name = pattern.sub("", name)
    return _tidy(name)


def family_in(name: str) -> str:
    """The family from a model's name: owner, size, step and seed left out. `EleutherAI/pythia-70m` → `pythia`."""
    last = without(name).rstrip("/").rsplit("/", 1)[-1]
    bare = _SIZE.sub("", _SIZE_BIGSCIENCE.sub("", last))
    return re.sub(r"[-_.: ]{2,}", "-", bare).strip("-_.: ") or last


def _without_tokens(name: str) -> str:
    return _TOKENS.sub("", _TOKENS_AFTER.sub("", _STEP.sub("", _without_pair(name))))


def _without_pair(name: str) -> str:
    pair = _STEP_TOKENS.search(name) if _step_and_tokens(name) else None
    return name if pair is None else name[: pair.start()] + name[pair.end() :]


def _tidy(name: str) -> str:
    return re.sub(r"[-_/@=. ]{2,}", "-", name).strip("-_/@=. ")
