"""What a study may set, as frozen records: where models come from, how they are asked, the numbers of a verdict.

Apart from `records`, which re-exports them, so that both can be read at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPolicy:
    """How models are asked: the study's `ask` block. Part of a model's identity where it changes answers."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    bos: Literal["auto", "always", "never"] = "auto"
    """auto: what the tokenizer itself prepends to plain text; recorded either way."""
    template: Literal["none", "auto"] = "none"
    """none: text as written; auto: the tokenizer's chat template around each prompt."""
    batch_tokens: int = 8192
    """Most tokens (padding included) in one forward pass; fewer than 128 count as 128."""
    memory_mb: int | None = None
    """MB a local model may use beside its weights; by default a quarter of them, at least 1024."""
    allow: tuple[str, ...] = ()
    """What the models need, "trust-remote-code" or "pickle-weights": a request. The user grants it (permissions.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEntry:
    """One entry of a study's `models` list."""

    source: str
    """What follows the scheme's colon."""
    scheme: str
    series: str | None = None
    tokens_per_step: float | None = None
    coords: Mapping[str, float | str] = field(default_factory=dict)
    """Coordinates stated for all models of the entry: params, …"""
    tasks: tuple[str, ...] = ()
    """Tasks asked of these models, by full name or by what stands before `[` or `:`; () means all."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Other keys, for the adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The numbers a verdict rests on: keys of a study's `analysis`, with the defaults of design.md section 6."""

    alpha: float = 0.05
    """Level of q-values and of 1 − alpha intervals."""
    present_margin: float = 0.05
    """Present: differs from the floor at q < alpha and by more than this."""
    invariant_margin: float = 0.05
    """A condition that promises no change keeps its promise where the paired difference lies within ± this."""
    max_mde: float = 0.2
    """A minimum detectable effect above this leaves presence unknown."""
    min_points: int = 6
    jump_share: float = 0.6
    """A jump carries at least this share of the whole rise."""
    jump_width: float = 1.0
    """Decades; a jump's upper width bound is at most this and at most `jump_range` of the range."""
    jump_range: float = 0.3
    points_before: int = 3
    points_after: int = 2
    gradual_range: float = 0.25
    """Gradual: lower width bound at least this share of the range, and no step holds `step_share` of the rise."""
    step_share: float = 0.5
    surprise: float = 0.01
    """Unpredicted: the outcome past the onset is this unlikely, from before it."""
    irregular_share: float = 0.3
    """Falling or non-monotone beyond noise, by at least this share of the range."""
    transition_seeds: int = 3
    transition_share: float = 0.6
    draws: int = 1999
    """Most parametric-bootstrap draws for one curve; clear nulls stop long before."""
    resamples: int = 100
    """Resamples behind `verdict_weights`."""
    primary: tuple[str, str | None] | None = None
    """(hard, soft) metric the verdict is about, where the task's own choice is not wanted."""
    seed: int = 17
