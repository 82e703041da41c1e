"""From a results table, published or of a study, to findings and everything a report says about them.

table → guards and curves (`curves.assemble`) → family, verdict (`judging.judge`) → checks beside the verdict →
hypotheses → context. Opens no model. What was read, how it was mapped and what was left out goes to `inputs.json`
beside the findings.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from saltus import plugins
from saltus.analysis import hypotheses, provenance
from saltus.analysis.asked import with_frames
from saltus.analysis.choices import Choices
from saltus.analysis.held import with_corrected, with_held
from saltus.checks.base import Check, View
from saltus.conditions.base import promise_of
from saltus.curves.assemble import Assembled, assemble
from saltus.errors import UserError
from saltus.hashing import content_hash, seed_from
from saltus.judging.beside import Beside, attach, installed
from saltus.judging.findings import Findings, read_findings, write_findings
from saltus.judging.judge import judge
from saltus.page.context import ReportContext
from saltus.page.text import without_home
from saltus.records import Analysis
from saltus.results.left_out import refuse_no_curve
from saltus.results.read import Reading, read
from saltus.runner.open import load_with_store, open_store
from saltus.store import Store
from saltus.study.document import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """Findings, and what stands behind them."""

    findings: Findings
    context: ReportContext
    inputs: Mapping[str, Any]
    """What was read, mapped and left out, as `inputs.json` says it."""


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
    checks = [*installed(), *(plugins.load("checks", name) for name in choices.checks or ())]
    formats = [plugins.load("formats", name) for name in choices.formats or ()]
    reading = read(sources, rename=choices.rename, formats=formats, tables=choices.tables, places=choices.places)
    assembled = assemble(reading.table, **choices.arguments())
    if not len(assembled.batch):
        paths = [i.path for i in reading.inputs]
        refuse_no_curve(paths, reading.table.height, assembled.left_out, list(reading.notes))
    study_id = content_hash([reading.account()["inputs"], choices])
    found = _judged(assembled, analysis, study_id, checks)
    findings = Findings(found.findings)
    context = provenance.of_results(reading, assembled, findings)
    return Analysed(findings=findings, context=context, inputs=_inputs(assembled, choices, reading, found.cautions))


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
    items = with_held(store, items)
    arguments = choices.arguments()
    # A study names its series, and its shots are conditions: neither has to be guessed from columns.
    arguments["series"] = arguments["series"] or ("series",)
    promises = {study.condition_id(c): promise_of(c) for c in study.conditions()}
    assembled = assemble(items, primary=primaries(study), registered=study.hypotheses, **arguments)
    assembled = assembled.promising(promises)
    more = [plugins.load("checks", name) for name in choices.checks or ()]
    found = _judged(assembled, study.analysis, study.study_id, [*installed(), *study.checks(), *more])
    findings = Findings(with_corrected(with_frames(found.findings, study), items))
    settled = hypotheses.settle(study.hypotheses, findings, hypotheses.loss_falls(assembled.batch))
    context = provenance.of_study(study, store, items, findings=findings, settled=settled)
    return Analysed(findings=findings, context=context, inputs=_inputs(assembled, choices, None, found.cautions))


def write(analysed: Analysed, out: Path) -> Path:
    """Writes findings.jsonl, inputs.json, context.json and report.html into out; returns the page's path."""
    from saltus.page.page import write_report  # loads the chart library, which nothing else here needs

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_findings(analysed.findings, out / "findings.jsonl")
        text = json.dumps(analysed.inputs, indent=1, ensure_ascii=False, default=str)
        (out / "inputs.json").write_text(without_home(text) + "\n", encoding="utf-8")
        provenance.write_context(analysed.context, out / "context.json")
        return write_report(analysed.findings, analysed.context, out / "report.html")
    except OSError as error:
        raise UserError(
            f"cannot be written: {error}", where=str(out), do="free space, or choose another --out"
        ) from error


def refuse_other(analysed: Analysed, out: Path, command: Callable[[Path], str]) -> None:
    """Raises UserError where out holds the findings of another study, or of other results.

    command: what to type for another folder instead. A study is the same under its name; results are where they share
    a file, so that a new checkpoint may join those that were analysed before.
    """
    if not (out / "findings.jsonl").exists():
        return
    try:
        context = json.loads((out / "context.json").read_bytes())
        inputs = json.loads((out / "inputs.json").read_bytes())
        title, of_study = context["title"], context["study_id"] is not None
        paths = {file["path"] for file in inputs.get("inputs", ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        title, of_study, paths = "something that cannot be read", True, set()
    mine = json.loads(without_home(json.dumps([file["path"] for file in analysed.inputs.get("inputs", ())])))
    same = title == analysed.context.title if of_study else bool(paths & set(mine))
    if same and of_study == (analysed.context.study_id is not None):
        return
    number = next(n for n in itertools.count(2) if not out.with_name(f"{out.name}-{n}").exists())
    raise UserError(
        f"this folder holds other findings: {title}",
        where=str(out),
        wanted="a folder of its own",
        do=command(out.with_name(f"{out.name}-{number}")),
    )


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


def _judged(assembled: Assembled, analysis: Analysis, study_id: str, checks: Sequence[Check]) -> Beside:
    """Findings with the evidence of the checks beside the verdict, and what went wrong with those."""
    rng = np.random.default_rng(seed_from(analysis.seed, "judge"))
    judged = [replace(finding, study_id=study_id) for finding in judge(assembled.batch, analysis, rng)]
    view = View(assembled.batch, assembled.items, assembled.columns, judged, analysis)
    return attach(view, checks, np.random.default_rng(seed_from(analysis.seed, "checks")))


def _inputs(assembled: Assembled, choices: Choices, reading: Reading | None, cautions: Sequence[str]) -> dict[str, Any]:
    account = reading.account() if reading else {}
    return {
        **account,
        "curves": len(assembled.batch),
        "left_out": dict(assembled.left_out),
        "notes": [*account.get("notes", ()), *assembled.notes],
        "cautions": list(cautions),
        "choices": {name: getattr(choices, name) for name in Choices.__slots__},
    }
