"""What a run did: a report per share, and of them all."""

from __future__ import annotations

from dataclasses import dataclass

from saltus.records import ModelRef
from saltus.runner.here import Share
from saltus.runner.pool import Tally


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What became of one share."""

    share: Share
    ref: ModelRef
    identity: str | None
    """None where the model could not be opened."""
    tally: Tally
    error: str | None = None
    """What ended it early."""
    refused: tuple[tuple[str, str], ...] = ()
    """(task, why): what this model cannot be asked."""
    retried: int = 0
    """Requests that were sent again, to an endpoint that failed at first."""
    restarts: int = 0
    """Workers that died over it."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did."""

    study_id: str
    models: tuple[ModelReport, ...]
    """One per share; answers of a worker that died stand in the store and count as known."""
    seconds: float
    interrupted: bool = False

    @property
    def asked(self) -> int:
        """Answers the models gave, failures included."""
        return sum(m.tally.asked for m in self.models)

    @property
    def known(self) -> int:
        """Asks that were complete before."""
        return sum(m.tally.known for m in self.models)

    @property
    def failed(self) -> int:
        """Asks that are stored as failures, and models that failed."""
        return sum(m.tally.failed + (m.error is not None) for m in self.models)

    @property
    def failures(self) -> list[str]:
        """One sentence per model and reason, for the end of a run."""
        sentences = []
        for m in self.models:
            name = model_name(m.ref)
            if m.error is not None:
                sentences.append(f"{name}: {m.error}")
            counts = {why: n for why, n in m.tally.errors.items() if why != m.error}
            sentences += [f"{name}: {n} failed: {why}" for why, n in counts.items()]
        return list(dict.fromkeys(sentences))

    @property
    def refusals(self) -> list[str]:
        """One sentence per model and task that was not asked."""
        sentences = [f"{model_name(m.ref)}: {t} was not asked: {w}" for m in self.models for t, w in m.refused]
        return list(dict.fromkeys(sentences))


def model_name(ref: ModelRef) -> str:
    """What messages call a model: its location, and its revision where it has one."""
    return f"{ref.location}@{ref.revision}" if ref.revision else ref.location
