"""What a calibration found, as plain records: rates, coverages, confusion, power, and the bars they are held to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from saltus.calibrate.counts import Bar, Rate
from saltus.calibrate.power import PowerRow


@dataclass(frozen=True)
class Coverage:
    """How often an interval held the truth, and how wide it was (decades; nats are left out of the widths)."""

    rate: Rate
    median_width: float | None
    given: Rate
    """How often there was an interval at all."""


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found. `to_json` is what ships; `tables.render` and `markdown.page` are what people read."""

    version: str
    seed: int
    n: int
    analysis: Mapping[str, Any]
    confusion: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, Mapping[str, int]]
    """`truth: kind` → word → how often."""
    exact: Mapping[str, Rate]
    false_alarms: Mapping[str, Rate]
    """Null class, and "all" of them → how often it was called a leap; truths too noisy to tell count too."""
    one_run_transitions: int
    onset: Mapping[str, Coverage]
    """Truth → coverage of its onset; "bar" is over 10–16 points and 4–6 decades."""
    width: Mapping[str, Coverage]
    cells: Sequence[Mapping[str, Any]]
    """Nulls and false alarms by number of points, seeds and twin: what `false_alarm_rate` looks up."""
    power: Sequence[PowerRow]
    bars: Sequence[Bar]

    def to_json(self) -> str:
        """The whole as JSON, numbers rounded to six digits."""
        return json.dumps(_rounded(asdict(self)), indent=1, ensure_ascii=False) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return value
