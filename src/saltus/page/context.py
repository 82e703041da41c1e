"""What a report needs beyond its findings: the study, its hypotheses, and how every number came about.

Plain frozen data, filled by whoever ran or analysed, read only by the report. Every part has an empty default,
so that results without a model behind them still make a page; what is empty is stated on the page, not hidden.
Known limit: item flips and robustness rows are chosen by the caller; the page shows what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from saltus.records import Finding, Quantity

Outcome = Literal["kept", "refuted", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One registered hypothesis and what became of it."""

    id: str
    statement: str
    """In words: "copying in induction-2l leaps along tokens"."""
    outcome: Outcome
    why: str
    """What the outcome rests on, in one sentence."""
    finding_id: str | None = None
    """The finding that settled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model that was asked."""

    series: str
    name: str
    identity: str
    """Hash of weights, tokenizer, BOS and template policy, dtype, edits."""
    location: str = ""
    revision: str | None = None
    dtype: str = ""
    seed: str = ""
    coords: Mapping[str, float | str] = field(default_factory=dict)
    """Raw axis values: params, tokens, step, flops, loss."""
    verified: bool = True
    """False for endpoints, whose weights nobody can hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task that was asked, and where it comes from."""

    name: str
    version: str
    skill: str = ""
    format: str = ""
    source: str = ""
    """File, data set or generator."""
    licence: str = ""
    hash: str = ""
    """Of its data or of the file that makes it."""
    frame: str = ""
    """The words around its items, and fields that were read as others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What one model answered to one item."""

    model: str
    text: str
    hard: float | None = None
    soft: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFlip:
    """An item answered differently before and after the onset of a finding."""

    finding_id: str
    item_id: str
    prompt: str
    target: str
    before: Stated
    after: Stated


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    """One item as the last model of a series was asked it, and what came back."""

    series: str
    task: str
    condition: str
    model: str
    item_id: str
    prompt: str
    """As the task sent it."""
    target: str
    answer: str
    """What was written, which choice was likeliest, or how likely the target was."""
    choices: tuple[str, ...] = ()
    """As they were continued, in their order."""
    hard: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessRow:
    """One condition against baseline, paired by item, at one model."""

    series: str
    task: str
    condition: str
    metric: str
    model: str
    baseline: float | None
    changed: float | None
    difference: Quantity
    """changed − baseline over the same items."""
    pairs: int | None = None
    passed: bool | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Questions that got no answer, and why; stored, retried on the next run, never counted as wrong."""

    model: str
    task: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Rows of an input that no finding uses, by reason."""

    reason: str
    rows: int
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file read, what was taken from it and what was not."""

    path: str
    hash: str
    rows: int
    mapping: str = ""
    """Which columns were read as what, where that was not by name."""
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the answers cost; None where it was not measured."""

    answers: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How often the procedure itself errs on simulated truth, as shipped with the release."""

    version: str
    curves: int
    false_alarm: Quantity
    """Share of smooth and flat truths called a leap."""
    power: Quantity
    """Share of true leaps called one."""
    confusion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Truth → verdict → share of the simulated curves of that truth."""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """Everything a page says that is not in the findings."""

    title: str = ""
    question: str = ""
    study_id: str | None = None
    document: str = ""
    """The study document as written."""
    locked: str | None = None
    """When the study was locked and under which hash; None: nothing was registered in advance."""
    deviations: tuple[str, ...] = ()
    """What differs from the locked document."""
    hypotheses: tuple[Hypothesis, ...] = ()
    not_tested: tuple[str, ...] = ()
    """What the caller knows was not tested; the report adds what it can see in the findings."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version, saltus and python included."""
    hardware: str = ""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Which seed → value."""
    command: str = ""
    created: str = ""
    """Date and time of the report, or empty for a reproducible page."""
    cost: Cost = Cost()
    models: tuple[ModelRow, ...] = ()
    tasks: tuple[TaskRow, ...] = ()
    inputs: tuple[InputFile, ...] = ()
    failures: tuple[Failure, ...] = ()
    flips: tuple[ItemFlip, ...] = ()
    asked: tuple[AskedItem, ...] = ()
    robustness: tuple[RobustnessRow, ...] = ()
    calibration: Calibration | None = None
    findings_file: str = "findings.jsonl"
    """Name of the machine-readable file beside the page, with every finding in full."""


def flips_of(flips: Sequence[ItemFlip], finding: Finding) -> list[ItemFlip]:
    """The flips that belong to a finding."""
    return [flip for flip in flips if flip.finding_id == finding.finding_id]


def asked_of(asked: Sequence[AskedItem], finding: Finding) -> list[AskedItem]:
    """Items asked as the finding's curve was."""
    mine = (finding.series, finding.task, finding.condition)
    return [item for item in asked if (item.series, item.task, item.condition) == mine]
