"""Which hard metric goes with which soft one, and which pair stands for the task.

One curve per hard metric, each with one soft twin; soft scores of a task without a hard one make one curve of
their own. The primary pair is the study's, else the task's, else the first known in `metrics.PREFERENCE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from saltus.errors import UserError, nearest
from saltus.metrics import Metric, base_name, rank, twin

Pair = tuple[str, str | None]
Primary = Pair | Mapping[str, Pair] | None


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve to be: at least one of the two names is there."""

    hard: str | None
    soft: str | None
    primary: bool


class Pairing:
    """Pairs the metrics of a task. twins: hard → soft wished by the user; primary: see the module."""

    def __init__(
        self, metrics: Mapping[str, Metric], roles: Mapping[str, str], twins: Mapping[str, str], primary: Primary
    ) -> None:
        known = {name: replace(m, role=roles.get(name, m.role)) for name, m in metrics.items()}  # type: ignore[arg-type]
        self.metrics, self.primary = known, primary
        self.twins = dict(twins)
        for name in (*twins, *twins.values()):
            if name not in metrics and not any(base_name(m) == name for m in metrics):
                raise UserError(
                    f"no metric `{name}` in the results",
                    where="--twin",
                    wanted=nearest(name, metrics),
                    do="write HARD=SOFT with metrics of the results, e.g. acc=ppl",
                )

    def curves(self, task: str, names: Iterable[str]) -> list[Curve]:
        """The curves of a task that has these metrics, the primary one first."""
        own = [self.metrics[n] for n in names]
        hards = sorted((m for m in own if m.role == "hard"), key=rank)
        softs = sorted((m for m in own if m.role == "soft"), key=rank)
        wish = self.primary if isinstance(self.primary, tuple) else (self.primary or {}).get(task)
        if wish is not None:
            hards.sort(key=lambda m: not _is(m, wish[0]))
        pairs = [(h, self._twin(h, softs, wish)) for h in hards]
        if not hards:
            if not softs:
                return []
            if wish is not None:
                softs.sort(key=lambda m: not _is(m, wish[1]))
            return [Curve(None, softs[0].name, True)]
        return [Curve(h.name, s.name if s else None, i == 0) for i, (h, s) in enumerate(pairs)]

    def _twin(self, hard: Metric, softs: list[Metric], wish: Pair | None) -> Metric | None:
        wanted = self.twins.get(hard.name) or self.twins.get(base_name(hard.name))
        if wanted is None and wish is not None and _is(hard, wish[0]):
            wanted = wish[1]
        chosen = next((m for m in softs if _is(m, wanted)), None)
        return chosen or twin(hard, softs)


def _is(metric: Metric, name: str | None) -> bool:
    return name is not None and name in (metric.name, base_name(metric.name))
