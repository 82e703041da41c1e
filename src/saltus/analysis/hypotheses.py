"""What became of the hypotheses a study registered: kept, refuted, or undecided, and on what it rests.

A refuted hypothesis is a result. Undecided is honest: the finding it rests on is `unresolved` or `defective`, or there
is none. `leap` is kept by `sharp` and `transition`; `no-leap` by `flat`, `smooth`, `artefact` and `irregular`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from saltus.page.context import Hypothesis as Registered
from saltus.page.context import Outcome
from saltus.page.numbers import span
from saltus.records import Finding
from saltus.stats.batch import CurveBatch
from saltus.study.document import Hypothesis
from saltus.verdict import HYPOTHESIS_LEAP, NO_LEAP, WITHOUT_WORD

Interval = tuple[float, float]


def settle(
    hypotheses: Sequence[Hypothesis], findings: Iterable[Finding], loss_falls: Mapping[tuple[str, str], Interval]
) -> tuple[Registered, ...]:
    """Every hypothesis with its outcome. loss_falls: (series, task) → where the loss falls, raw axis units."""
    findings = list(findings)
    return tuple(_settle(h, findings, loss_falls) for h in hypotheses)


def loss_falls(batch: CurveBatch) -> dict[tuple[str, str], Interval]:
    """Per (series, task) along training: from where a tenth to where nine tenths of the loss's fall is done.

    The bracketing points of every seed, joined. Only curves whose points carry a loss and that run along
    `tokens` or `step`.
    """
    falls: dict[tuple[str, str], Interval] = {}
    losses = batch.other_axes.get("loss")
    if losses is None:
        return falls
    for c, key in enumerate(batch.keys):
        if key.axis not in ("tokens", "step"):
            continue
        spans = []
        for s in range(batch.shape[1]):
            ok = batch.seen[c, s] & np.isfinite(losses[c, s])
            span = _fall(batch.raw_x[c, s][ok], losses[c, s][ok]) if ok.sum() >= 3 else None
            spans += [span] if span else []
        if spans:
            falls[key.series, key.task] = (min(s[0] for s in spans), max(s[1] for s in spans))
    return falls


def _fall(x: np.ndarray, loss: np.ndarray) -> Interval | None:
    lowest = np.minimum.accumulate(loss)
    total = loss[0] - lowest[-1]
    if total <= 0:
        return None
    done = (loss[0] - lowest) / total
    first, last = int(np.argmax(done >= 0.1)), int(np.argmax(done >= 0.9))
    return float(x[max(first - 1, 0)]), float(x[last])


def _settle(
    hypothesis: Hypothesis, findings: Sequence[Finding], falls: Mapping[tuple[str, str], Interval]
) -> Registered:
    found = next((f for f in findings if _matches(hypothesis, f)), None)
    if found is None:
        outcome: Outcome = "undecided"
        why = "no finding: nothing was measured for this series, task and axis"
    else:
        outcome, why = _outcome(hypothesis, found)
        if outcome == "kept" and hypothesis.onset_at == "loss-fall":
            outcome, why = _onset_outcome(found, falls.get((found.series, found.task)), why)
    return Registered(
        id=hypothesis.id,
        statement=statement(hypothesis),
        outcome=outcome,
        why=why,
        finding_id=found.finding_id if found else None,
    )


def _matches(h: Hypothesis, f: Finding) -> bool:
    return (
        f.primary
        and f.slice is None
        and f.axis == h.axis
        and f.condition == h.condition
        and h.task in (f.task, f.task.split("[")[0])
        and f.series == h.series
    )


def _outcome(hypothesis: Hypothesis, finding: Finding) -> tuple[Outcome, str]:
    verdict = finding.verdict
    weight = finding.verdict_weights.get(verdict)
    why = f"the verdict is `{verdict}`" + (f" (weight {weight:.2f})" if weight is not None else "")
    expected = {"leap": HYPOTHESIS_LEAP, "no-leap": NO_LEAP}.get(hypothesis.expect, {hypothesis.expect})
    if verdict in expected:
        return "kept", why
    return ("undecided" if verdict in WITHOUT_WORD else "refuted"), why


def _onset_outcome(finding: Finding, fall: Interval | None, why: str) -> tuple[Outcome, str]:
    if fall is None or finding.onset_low is None or finding.onset_high is None:
        return "undecided", f"{why}; no training loss, or no onset interval, to compare"
    together = finding.onset_low <= fall[1] and fall[0] <= finding.onset_high
    onset = span(finding.onset_low, finding.onset_high, finding.axis)
    place = f"onset {onset}, the loss falls {span(*fall, finding.axis)} {finding.axis}"
    return ("kept" if together else "refuted"), f"{why}; {place}"


def statement(h: Hypothesis) -> str:
    """The hypothesis as a sentence."""
    what = {"leap": "leaps", "no-leap": "does not leap"}.get(h.expect, f"is `{h.expect}`")
    condition = "" if h.condition == "baseline" else f" under {h.condition}"
    where = ", with its onset where the training loss falls" if h.onset_at else ""
    return f"{h.task} in {h.series} {what} along {h.axis}{condition}{where}"
