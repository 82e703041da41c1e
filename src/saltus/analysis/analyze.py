"""From a results table, published or of a study, to findings and everything a report says about them.

table → guards and curves (`curves.assemble`) → checks, family, verdict (`judge.judge`) → hypotheses → context. Opens no
model. What was read, how it was mapped and what was left out goes to `inputs.json` beside the findings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from saltus.analysis import hypotheses, provenance
from saltus.checks import pass_rate as below_floor
from saltus.curves.assemble import Assembled, assemble
from saltus.errors import UserError, nearest
from saltus.hashing import content_hash, seed_from
from saltus.judging.findings import Findings, read_findings, write_findings
from saltus.judging.judge import judge
from saltus.page.context import ReportContext
from saltus.records import Analysis
from saltus.results.left_out import refuse_no_curve
from saltus.results.read import Reading, read
from saltus.results.table import AXES
from saltus.runner.open import load_with_store, open_store
from saltus.store import Store
from saltus.study.document import Study

FACTORS = ("skill", "format", "elicitation")
SLICES = ("difficulty", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a user may choose about reading a table; everything else is the study's `analysis`."""

    axis: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    twin: Mapping[str, str] = field(default_factory=dict)
    factor: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """As `curves.assemble` takes them."""
        return {
            "axis": self.axis or None,
            "series": self.series or None,
            "twin": self.twin or None,
            "factor": self.factor or None,
            "slices": self.slices,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """Findings, and what stands behind them."""

    findings: Findings
    context: ReportContext
    inputs: Mapping[str, Any]
    """What was read, mapped and left out, as `inputs.json` says it."""


def parse_choices(
    *,
    axis: Sequence[str] | None = None,
    series: str | None = None,
    twin: Sequence[str] | None = None,
    factor: Sequence[str] | None = None,
    slices: Sequence[str] | None = None,
    rename: Sequence[str] | None = None,
) -> Choices:
    """From the command line's words. Raises UserError with the nearest valid one."""
    for word in axis or ():
        _known(word, AXES, "--axis")
    for word in slices or ():
        _known(word, SLICES, "--slice")
    return Choices(
        axis=tuple(axis or ()),
        series=tuple(s.strip() for s in series.split(",")) if series else (),
        twin=_pairs(twin, "--twin", "acc=ppl"),
        factor={column: _pattern(p) for column, p in _pairs(factor, "--factor", "task=…").items()},
        slices=tuple(slices or ()),
        rename=_pairs(rename, "--rename", "score=value"),
    )


def analyze(
    source: Study | str | Path | Sequence[str | Path], store: Store | None = None, choices: Choices | None = None
) -> Analysed:
    """Judges a study with its store, or published results (files, folders, globs). Raises UserError."""
    if isinstance(source, Study):
        return analyze_answers(source, store or open_store(source.path), choices)
    return analyze_results([source] if isinstance(source, str | Path) else source, choices)


def analyze_results(sources: Sequence[str | Path], choices: Choices | None = None) -> Analysed:
    """Judges published results: files, folders or globs. Raises UserError where they cannot be read."""
    choices, analysis = choices or Choices(), Analysis()
    reading = read(sources, rename=choices.rename)
    assembled = assemble(reading.table, **choices.arguments())
    if not len(assembled.batch):
        paths = [i.path for i in reading.inputs]
        refuse_no_curve(paths, reading.table.height, assembled.left_out, list(reading.notes))
    study_id = content_hash([reading.account()["inputs"], choices])
    findings = _judged(assembled, analysis, study_id)
    context = provenance.of_results(reading, assembled, findings)
    return Analysed(findings=findings, context=context, inputs=_inputs(assembled, choices, reading))


def analyze_study(document: Path, choices: Choices | None = None) -> Analysed:
    """Judges the stored answers of a study. Raises UserError where it never ran."""
    return analyze_answers(*load_with_store(document), choices)


def analyze_answers(study: Study, store: Store, choices: Choices | None = None) -> Analysed:
    """The same with a study and its store at hand."""
    choices = choices or Choices()
    items = store.item_table(study).collect()
    if items.is_empty():
        raise UserError(
            "the store has no answers to this study",
            where=repr(store),
            wanted="answers to at least one of its tasks",
            do=f"saltus run {study.name}",
        )
    arguments = choices.arguments()
    # A study names its series, and its shots are conditions: neither has to be guessed from columns.
    arguments["series"] = arguments["series"] or ("series",)
    assembled = assemble(items, primary=primaries(study), registered=study.hypotheses, **arguments)
    findings = _judged(assembled, study.analysis, study.study_id)
    if study.repeats > 1:
        findings = _with_samples(findings, items)
    settled = hypotheses.settle(study.hypotheses, findings, hypotheses.loss_falls(assembled.batch))
    context = provenance.of_study(study, store, items, findings=findings, settled=settled)
    return Analysed(findings=findings, context=context, inputs=_inputs(assembled, choices, None))


def write(analysed: Analysed, out: Path) -> Path:
    """Writes findings.jsonl, inputs.json, context.json and report.html into out; returns the page's path."""
    from saltus.page.page import write_report  # loads the chart library, which nothing else here needs

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_findings(analysed.findings, out / "findings.jsonl")
        text = json.dumps(analysed.inputs, indent=1, ensure_ascii=False, default=str)
        (out / "inputs.json").write_text(text + "\n", encoding="utf-8")
        provenance.write_context(analysed.context, out / "context.json")
        return write_report(analysed.findings, analysed.context, out / "report.html")
    except OSError as error:
        raise UserError(
            f"cannot be written: {error}", where=str(out), do="free space, or choose another --out"
        ) from error


def rewrite(folder: Path) -> Path:
    """The page again from the findings and context in a folder that `write` filled."""
    from saltus.page.page import write_report

    if not (folder / "findings.jsonl").exists():
        raise UserError(
            "there are no findings", where=str(folder), wanted="findings.jsonl", do="saltus analyze … --out DIR"
        )
    context = provenance.read_context(folder / "context.json")
    return write_report(read_findings(folder / "findings.jsonl"), context, folder / "report.html")


def primaries(study: Study) -> Any:
    """The pair every task is judged by: the study's own, else each task's."""
    chosen = study.analysis.primary
    return chosen if chosen is not None else {t.name: t.primary for t in study.tasks()}


def _judged(assembled: Assembled, analysis: Analysis, study_id: str) -> Findings:
    rng = np.random.default_rng(seed_from(analysis.seed, "judge"))
    judged = judge(assembled.batch, analysis, rng)
    return Findings(tuple(replace(finding, study_id=study_id) for finding in judged))


def _with_samples(findings: Findings, items: pl.DataFrame) -> Findings:
    """Evidence from repeated samples beside the judged one; it decides no verdict."""
    more = below_floor.evidence(items, findings)
    return Findings(tuple(replace(f, evidence=(*f.evidence, *more.get(f.finding_id, ()))) for f in findings))


def _inputs(assembled: Assembled, choices: Choices, reading: Reading | None) -> dict[str, Any]:
    account = reading.account() if reading else {}
    return {
        **account,
        "curves": len(assembled.batch),
        "left_out": dict(assembled.left_out),
        "notes": [*account.get("notes", ()), *assembled.notes],
        "choices": {name: getattr(choices, name) for name in Choices.__slots__},
    }


def _known(word: str, known: Sequence[str], option: str) -> None:
    if word not in known:
        raise UserError(f"{option} {word}", wanted=nearest(word, known), do=f"mend {option}")


def _pairs(given: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        left, sign, right = text.partition("=")
        if not (left and sign and right):
            raise UserError(f"{option} {text}", wanted=f"two names with = between, e.g. {example}")
        pairs[left] = right
    return pairs


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise UserError(
            f"--factor {text}: {error}",
            wanted="a regular expression with named groups",
            do="--factor 'task=(?P<skill>.*)_(?P<format>mc|rc)'",
        ) from error
    for name in groups:
        _known(name, FACTORS, "--factor group")
    return text
