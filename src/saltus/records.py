"""The frozen records that flow through saltus, from a question to a verdict.

Change means copy (`dataclasses.replace`). Everything here is plain data: no numpy, no I/O, no behaviour beyond
small conveniences, so a record can be hashed, stored as JSON and rebuilt anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from saltus.settings import Analysis as Analysis
from saltus.settings import AskPolicy as AskPolicy
from saltus.settings import SeriesEntry as SeriesEntry

Verdict = Literal[
    "defective", "unresolved", "split", "irregular", "flat", "artefact", "bound", "transition", "sharp", "smooth"
]
Integrity = Literal["ok", "suspect", "doubtful", "defective"]
Presence = Literal["absent", "below_floor", "present", "unknown"]
Shape = Literal["flat", "gradual", "jump", "falling", "non_monotone", "unknown"]
Predicted = Literal["yes", "no", "unknown"]
Twin = Literal["agrees", "explains", "contradicts", "missing"]
Scope = Literal["general", "format", "elicitation", "memory", "shortcut", "unknown"]
Axis = Literal["params", "tokens", "step", "flops", "loss", "date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model. A series is a label, an axis is a coordinate, an edited network is another model."""

    adapter: str
    """Name of the adapter under entry points `saltus.models`: "hf", "scripted", …"""
    location: str
    """What the adapter opens: a folder, a repository, a URL."""
    revision: str | None = None
    series: str
    """Label of the series this model is a point of (seeds of one series share it)."""
    coords: Mapping[str, float | str] = field(default_factory=dict)
    """Open coordinates: params, tokens, step, flops, loss (nats), seed, date, model (its short name), …"""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, where known: learning rate, optimiser, data."""
    edits: tuple[Mapping[str, Any], ...] = ()
    """Interventions as plain data; part of the identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question, structured, never a finished string: conditions change parts, tasks render them."""

    id: str
    question: str = ""
    context: str = ""
    """Text before the question that belongs to this item: a passage, a table."""
    choices: tuple[str, ...] = ()
    target: str | tuple[str, ...] = ""
    """The right answer; several are alternatives. For multiple choice: the text of the right choice(s)."""
    gold: tuple[int, ...] = ()
    """Indices of the right choices; empty where there are no choices."""
    demos: tuple[Item, ...] = ()
    """Worked examples shown before the question; never contain the item itself."""
    images: tuple[str, ...] = ()
    group: str | None = None
    """Cluster of items that share something (a passage, a template): clustered errors, slices."""
    difficulty: float | None = None
    parent_id: str | None = None
    """The id of the item this one was made from by a condition or a twin; pairs answers."""
    relation: str | None = None
    """What it is to its parent: "fresh", "perturbed", "identity-swap", …"""
    skill: str | None = None
    format: str | None = None
    source: str | None = None
    """Where it comes from: file and line, generator and seed, data set and licence."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Task-specific parts (numbers to add, period of the repetition); plain data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """A condition's refusal of an item, by name and reason."""

    why: str


def condition_label(kind: str, level_name: str, level: float | str | None) -> str:
    """`baseline`, `typos[rate=0.02]`: a condition in ids and in the table's column `condition`."""
    if level is None:
        return kind
    return f"{kind}[{level_name}={format(level, 'g') if isinstance(level, float) else level}]"


def edit_label(edits: Sequence[Mapping[str, Any]]) -> str:
    """`zero(z.5.h3)`, several joined by `+`, "" for the network as it is: edits in the table's column `edit`."""
    return "+".join(_edit(e) for e in edits)


def _edit(edit: Mapping[str, Any]) -> str:
    place = ".".join(str(edit[k]) for k in ("site", "layer") if edit.get(k) is not None)
    head = f".h{edit['head']}" if edit.get("head") is not None else ""
    index = f".i{edit['index']}" if edit.get("index") is not None else ""
    return f"{edit.get('op', 'edit')}({place}{head}{index})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a model is to answer. Part of an answer's identity."""

    max_tokens: int = 64
    temperature: float = 0.0
    """0 is greedy and needs no seed."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Generation ends before the first of these strings; the string itself is not in the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a model. Tasks write text or messages; `Model.encode` fills in the token ids.

    "loglikelihood": how likely is `continuation` after `prompt`. "generate": go on after `prompt`.
    """

    kind: Literal["loglikelihood", "generate"]
    prompt: str = ""
    messages: tuple[Mapping[str, str], ...] = ()
    """Chat messages {role, content} instead of a prompt, for chat models."""
    continuation: str = ""
    settings: Settings = Settings()
    seed: int | None = None
    """Only for sampled generation; from (study seed, item id, repeat)."""
    observe: tuple[str, ...] = ()
    """Internal quantities wanted with the answer: attention, activations."""
    images: tuple[str, ...] = ()
    """`sha256:…` of images in the store's blobs, in the order shown."""
    prompt_ids: tuple[int, ...] | None = None
    """Filled by `Model.encode`: exactly what the network reads, BOS included."""
    continuation_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answered, or how likely it found the continuation: raw, per token, unreduced."""

    key: str
    """`answer_key` of the model's identity and the encoded request."""
    text: str = ""
    token_ids: tuple[int, ...] = ()
    """Of the continuation or of the generated text."""
    token_logprobs: tuple[float, ...] = ()
    """Nats, one per token id."""
    token_ranks: tuple[int, ...] = ()
    """0 where the token was the most likely one."""
    greedy: bool | None = None
    """Every token was the most likely one."""
    trace: str | None = None
    """Reasoning apart from the answer, where kept apart; how many windows a too long text was scored in."""
    finish: str | None = None
    """"stop", "length", "eos"; None for log-likelihoods."""
    observed: str | None = None
    """Name of the side file with observed internals."""
    error: str | None = None
    """Why there is no answer. A failure is retried on the next run and never becomes a wrong answer."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Both twins of one item's score. `hard` is right or wrong (or a rate); `soft` is graded, higher is better."""

    metric_hard: str
    hard: float | None
    metric_soft: str | None = None
    soft: float | None = None
    why_no_soft: str | None = None
    why_no_hard: str | None = None
    detail: Mapping[str, float | str | None] = field(default_factory=dict)
    """More metrics from the same answers: name in `metrics.py` → value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What an answerer without the skill scores on the hard metric, computed; `nominal` is 1/k and the like."""

    value: float
    source: str
    """How it was computed, e.g. "best token-counting guesser over these 500 items"."""
    stderr: float = 0.0
    nominal: float | None = None
    soft: float | None = None
    """The same guesser's score on the soft metric, where that is defined."""
    why_no_soft: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number with its interval and unit. `value` None comes with `why`."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A named answer to a named question about one curve."""

    name: str
    question: str
    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    passed: bool | None = None
    """None: could not be judged, and `why` says what was missing."""
    why: str = ""
    code: str = ""
    """Module and version that computed it, e.g. "saltus.checks.sharpness@0.1.0"."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A harness fault that mimics emergence, found (or looked for) in the numbers."""

    name: str
    severity: Literal["disqualifying", "doubt", "caution"]
    fired: bool
    why: str
    points: tuple[str, ...] = ()
    """The suspected points, as "model @ axis value"."""
    changes: str | None = None
    """What becomes of verdict and onset without the suspected points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """Seeds of a series, how many leapt, one population at the end or two."""

    seeds: int
    leapt: int | None
    populations: Literal[1, 2] | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything `verdict.decide` looks at, and nothing else (design.md section 6)."""

    integrity: Integrity = "ok"
    presence: Presence = "unknown"
    shape_hard: Shape = "unknown"
    shape_soft: Shape = "unknown"
    predicted: Predicted = "unknown"
    twin: Twin = "missing"
    scope: Scope = "unknown"
    n_points: int = 0
    n_seeds: int = 1
    n_sharp: int = 0
    """Seeds (or series) judged sharp on their own."""
    contradicting: bool = False
    """A seed with power to leap that did not, or leapt elsewhere."""
    onsets_together: bool | None = None
    two_populations: bool | None = None
    lone_point: bool = False
    """One point alone is off the floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict on one capability in one series, with its evidence and caveats (design.md section 6).

    Null always comes with a reason in `reasons`, under the field's name.
    """

    schema_version: str
    finding_id: str
    study_id: str | None
    primary: bool
    series: str
    task: str
    condition: str
    axis: str
    metric_hard: str | None
    metric_soft: str | None
    slice: str | None

    integrity: Integrity
    presence: Presence
    shape_hard: Shape
    shape_soft: Shape
    predicted: Predicted
    twin: Twin
    replication: Replication
    scope: Scope
    localised: bool | None

    verdict: Verdict
    verdict_weights: Mapping[str, float]
    """How often each word came out over resamples; sums to 1."""
    onset: float | None
    """Raw units of the axis."""
    onset_low: float | None
    onset_high: float | None
    onset_other_axes: Mapping[str, Quantity]
    width_hard: Quantity
    width_soft: Quantity
    smoothest_admissible_width: Quantity
    rise: Quantity
    floor: float | None
    floor_source: str
    n_points: int
    n_items: int | None
    n_seeds: int
    dispersion: float | None
    minimum_detectable_effect: float | None
    p_value: float | None
    q_value: float | None
    family: str
    family_size: int
    forecast: Mapping[str, Any] | None
    """What was predicted for after the onset from what lies before it, and how that scored."""
    false_alarm_rate: float | None
    guards: tuple[Guard, ...] = ()
    caveats: tuple[str, ...] = ()
    next_data: tuple[str, ...] = ()
    """What would settle it: items, points, seeds, repeats."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Field name → why it is null."""
    evidence: tuple[Evidence, ...] = ()
    curve: Mapping[str, Any] = field(default_factory=dict)
    """What a chart needs: points of both twins per seed, fitted and smoothest admissible curves."""

    def _repr_html_(self) -> str:
        from saltus.page.notebook import finding_html

        return finding_html(self)

    def plot(self) -> Any:
        """An altair chart of this finding: both twins, seeds, floor, onset, fits."""
        from saltus.page.charts import finding_chart

        return finding_chart(self)
