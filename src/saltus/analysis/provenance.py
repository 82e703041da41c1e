"""What stands behind findings: models, hashes, versions, hardware, cost, failures, deviations, inputs.

Filled from the store's log for a study and from the reading for published results; written beside the findings, so
that a page can be made again without either.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from saltus._version import __version__
from saltus.analysis.asked import asked_items
from saltus.analysis.flips import flips
from saltus.conditions.base import VARIES, varied
from saltus.curves.assemble import Assembled
from saltus.errors import UserError
from saltus.page.context import (
    Calibration,
    Cost,
    Failure,
    Hypothesis,
    InputFile,
    LeftOut,
    ModelRow,
    ReportContext,
    RobustnessRow,
    TaskRow,
)
from saltus.page.text import without_home
from saltus.records import Finding, Quantity
from saltus.results.read import Reading
from saltus.runner.machine import host
from saltus.store import Store
from saltus.store.contents import Contents
from saltus.store.rows import version_of
from saltus.store.selection import models_of, standing_gaps
from saltus.study.document import Study
from saltus.study.lock import deviations, read_lock
from saltus.tasks.base import Task, origin
from saltus.verdict import HYPOTHESIS_LEAP


def of_results(reading: Reading, assembled: Assembled, findings: Sequence[Finding]) -> ReportContext:
    """For published results: files with hashes, mappings, and rows left out with their reasons."""
    names = [Path(i.path).name for i in reading.inputs]
    title = names[0] if len(names) == 1 else f"{len(names)} results files"
    return ReportContext(
        title=f"Analysis of {title}",
        question="Which of the published capabilities emerge, along which axis, and which only seem to?",
        not_tested=("No model was opened: seeds, wording, new items and adversaries are as the publication has them.",),
        versions=_versions(),
        hardware=_hardware(host()),
        calibration=_calibration(),
        inputs=(*(_input(i) for i in reading.inputs), *_unused(assembled)),
        robustness=_robustness(findings),
    )


def of_study(
    study: Study, store: Store, items: pl.DataFrame, *, findings: Sequence[Finding], settled: tuple[Hypothesis, ...]
) -> ReportContext:
    """For a study: everything its store's log and its lock say."""
    found, tasks = store.contents(), study.tasks()
    lock = read_lock(study.path)
    runs = [s for s in found.studies if s.study_id == study.study_id]
    machine = runs[-1].host if runs else host()
    return ReportContext(
        title=study.document.study,
        question=study.document.question,
        study_id=study.study_id,
        document=study.text,
        locked=f"{lock.locked_at} as {lock.study_id}" if lock else None,
        deviations=tuple(deviations(study, lock)),
        hypotheses=settled,
        not_tested=_not_tested(study),
        versions={**_versions(), **machine.get("packages", {})},
        hardware=_hardware(machine),
        seeds={"study": study.seed, "analysis": study.analysis.seed},
        command=f"saltus run {study.name}",
        cost=_cost(store, found),
        models=_models(found, study),
        failures=_failures(found, items, study),
        tasks=tuple(_task(t) for t in tasks),
        flips=flips(store, items, findings),
        asked=asked_items(tasks, store, items, findings),
        robustness=_robustness(findings),
        calibration=_calibration(),
    )


def write_context(context: ReportContext, path: Path) -> None:
    """As JSON; `read_context` reads it without loss."""
    text = json.dumps(asdict(context), indent=1, ensure_ascii=False)
    path.write_text(without_home(text) + "\n", encoding="utf-8")


def read_context(path: Path) -> ReportContext:
    """A context that `write_context` wrote. Raises UserError where there is none."""
    try:
        return _adapter().validate_json(path.read_bytes())  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise UserError(
            f"this context cannot be read: {error}", where=str(path), do="run saltus analyze again"
        ) from error


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(ReportContext)


def _input(file: Any) -> InputFile:
    return InputFile(
        path=file.path,
        hash=file.sha256,
        rows=file.rows,
        mapping=", ".join(f"{a} → {b}" for a, b in file.mapping.items() if a != b),
        left_out=tuple(LeftOut(reason=why, rows=n) for why, n in file.left_out.items()),
    )


def _unused(assembled: Assembled) -> tuple[InputFile, ...]:
    """Rows that were read and are in no curve, as one more line of the account."""
    left = tuple(LeftOut(reason=why, rows=n) for why, n in assembled.left_out.items())
    rows = sum(part.rows for part in left)
    return (InputFile(path="rows in no curve", hash="", rows=rows, left_out=left),) if left else ()


def _models(found: Contents, study: Study) -> tuple[ModelRow, ...]:
    return tuple(
        ModelRow(
            series=record.ref.series,
            name=str(record.ref.coords.get("model", Path(record.ref.location).name)),
            identity=record.identity,
            location=record.ref.location,
            revision=record.ref.revision,
            dtype=str(record.describe.get("dtype", "")),
            seed=str(record.ref.coords.get("seed", "")),
            coords={k: float(v) if isinstance(v, int | float) else v for k, v in record.ref.coords.items()},
            verified=bool(record.describe.get("verified", True)),
        )
        for record in models_of(found, study.study_id)
    )


def _failures(found: Contents, items: pl.DataFrame, study: Study) -> tuple[Failure, ...]:
    """One per task and kind of reason: a thousand failures of one cause are one line that counts them."""
    failed = items.filter(pl.col("state") == "failed").unique(
        ["model_identity", "task", "condition", "repeat", "item_id"]
    )
    seen = list(failed.select("location", "task", "why_missing").iter_rows())
    for gap, _ in standing_gaps(found, study.study_id):
        seen.append((gap.ref.location, gap.task or "all tasks", f"{gap.what}: {gap.why}"))
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for location, task, why in sorted(seen, key=str):
        reason = why or "no reason was stored"
        kinds.setdefault((task, _DIGITS.sub("#", reason)), []).append((location, reason))
    return tuple(_failure(task, cases) for (task, _), cases in kinds.items())


_DIGITS = re.compile(r"\d+")


def _failure(task: str, cases: list[tuple[str, str]]) -> Failure:
    models = sorted({location for location, _ in cases})
    others = f" and {len(models) - 1} other models" if len(models) > 1 else ""
    return Failure(model=models[0] + others, task=task, reason=cases[0][1], count=len(cases))


def _cost(store: Store, found: Contents) -> Cost:
    sums = (
        store.answers()
        .select(n=pl.len(), tokens_in=pl.col("tokens_in").sum(), tokens_out=pl.col("tokens_out").sum())
        .collect()
        .row(0)
    )
    seconds = sum(segment.seconds for segment in found.segments)
    return Cost(answers=sums[0], tokens_in=sums[1], tokens_out=sums[2], seconds=seconds)


def _not_tested(study: Study) -> tuple[str, ...]:
    conditions = [c for cross in study.conditions() for c in cross]
    left = sorted(VARIES - varied(conditions))
    stated = []
    if left:
        named = ", ".join(left[:-1]) + f" and {left[-1]}" if len(left) > 1 else left[0]
        stated.append(f"Not varied: {named}.")
    silent = sorted({c.kind for c in conditions if c.kind != "baseline" and not getattr(c, "varies", ())})
    if silent:
        stated.append(f"What {', '.join(silent)} varies is not stated.")
    stated.append("Nothing inside the networks was changed.")
    if study.repeats == 1:
        stated.append("Every question was asked once.")
    return tuple(stated)


def _task(task: Task) -> TaskRow:
    found = origin(task)
    return TaskRow(
        name=task.name,
        version=version_of(task),
        skill=task.skill,
        format=task.format,
        source=found.get("source", ""),
        licence=found.get("licence", ""),
        hash=found.get("sha256", ""),
        frame="; ".join(str(task.provenance.get(k) or "") for k in ("frame", "fields") if task.provenance.get(k)),
    )


def _robustness(findings: Sequence[Finding]) -> tuple[RobustnessRow, ...]:
    """One row per finding under a condition that was compared with baseline."""
    rows = []
    for f in findings:
        found = next((e for e in f.evidence if e.name == "robustness"), None)
        if found is not None and isinstance(found.value, float) and f.primary:
            why = None if found.low is not None else "one item, or one group of items, has no interval"
            rows.append(
                RobustnessRow(
                    series=f.series,
                    task=f.task,
                    condition=f.condition,
                    metric=f.metric_hard or "",
                    model="last point",
                    baseline=found.detail["baseline"],
                    changed=found.detail["changed"],
                    difference=Quantity(value=found.value, low=found.low, high=found.high, unit="share", why=why),
                    pairs=found.detail["items"],
                    passed=found.passed,
                    why=found.why,
                )
            )
    return tuple(rows)


@cache
def _calibration() -> Calibration | None:
    """How often the shipped procedure erred on simulated truth; None without the file."""
    file = files("saltus") / "calibration" / "calibration.json"
    if not file.is_file():
        return None
    data = json.loads(file.read_text("utf-8"))
    confusion = data["confusion"]
    true_leaps = {word: confusion[word] for word in HYPOTHESIS_LEAP if word in confusion}
    total = sum(sum(row.values()) for row in true_leaps.values())
    called = sum(n for row in true_leaps.values() for w, n in row.items() if w in HYPOTHESIS_LEAP)
    alarms = data["false_alarms"]["all"]
    return Calibration(
        version=data["version"],
        curves=data["n"],
        false_alarm=Quantity(value=alarms["value"], low=alarms["low"], high=alarms["high"], unit="share"),
        power=Quantity(
            value=called / total, unit="share", why="the shipped file gives intervals by word, not over words"
        ),
        confusion={truth: {word: n / sum(row.values()) for word, n in row.items()} for truth, row in confusion.items()},
        about="docs/calibration.md has power by width, points, items and seeds",
    )


def _versions() -> dict[str, str]:
    return {"saltus": __version__, "python": platform.python_version()}


def _hardware(machine: Any) -> str:
    memory = machine.get("memory")
    size = f", {memory / 2**30:.0f} GiB" if memory else ""
    return f"{machine.get('cpu', 'unknown processor')}, {machine.get('cores', '?')} cores{size}"
