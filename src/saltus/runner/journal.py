"""What a run leaves in the study's event log: that it began and ended, and what was unusual about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from saltus.records import Finding
from saltus.runner.outcome import RunReport, model_name
from saltus.store import Store, events

MOST_REASONS = 20
"""Reasons of failures that one event names; the store has all."""


@dataclass(frozen=True)
class Journal:
    """The events of one study in its store."""

    store: Store
    study_id: str

    def started(self, models: int, shares: int, answers_before: int) -> None:
        """A run begins."""
        data = {"state": "started", "models": models, "shares": shares, "answers_before": answers_before}
        events.append(self.store.place, "run", subject=self.study_id, data=data)

    def ended(self, report: RunReport) -> None:
        """A run ends, and what went wrong in it."""
        self._anomalies(report)
        data = {
            "state": "interrupted" if report.interrupted else "finished",
            "asked": report.asked,
            "known": report.known,
            "failed": report.failed,
            "seconds": round(report.seconds, 1),
        }
        events.append(self.store.place, "run", subject=self.study_id, data=data)

    def deviations(self, sentences: Iterable[str]) -> None:
        """How the study differs from what was locked; each is reported once."""
        for sentence in sentences:
            events.note(self.store.place, "deviation", subject=self.study_id, data={"what": sentence})

    def guards(self, findings: Iterable[Finding]) -> None:
        """Guards that fired, by name and how many findings; reported again when that changes."""
        fired: dict[str, int] = {}
        for finding in findings:
            for name in {g.name for g in finding.guards if g.fired}:
                fired[name] = fired.get(name, 0) + 1
        if fired:
            events.note(self.store.place, "anomaly", subject=self.study_id, data={"what": "guards", "fired": fired})

    def _anomalies(self, report: RunReport) -> None:
        failures = report.failures[:MOST_REASONS]
        if failures:
            self._anomaly("failures", count=report.failed, reasons=failures)
        retried = {model_name(m.ref): m.retried for m in report.models if m.retried}
        if retried:
            self._anomaly("retries", models=retried)
        restarts = {model_name(m.ref): m.restarts for m in report.models if m.restarts}
        if restarts:
            self._anomaly("restarts", models=restarts)

    def _anomaly(self, what: str, **data: object) -> None:
        events.append(self.store.place, "anomaly", subject=self.study_id, data={"what": what, **data})
