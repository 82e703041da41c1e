"""What repeated samples say where one answer per item says 0: success rates, pass@k, and their law in scale.

Two checks over the item rows of a view, one per item × repeat; they decide no verdict. Repeats count as samples only
where they differ somewhere on the curve: a
greedy answer repeated a hundred times is one answer, and its 0 of 100 would be a bound that nobody measured.
Known limit: the intervals speak of these items; what other items would give is wider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from saltus.checks.base import View
from saltus.checks.kit import code
from saltus.records import Evidence
from saltus.stats.passk import Bend, bend, exact_interval, pass_at_k

CODE = code("saltus.checks.pass_rate")
LAW_AXES = ("params", "tokens", "step", "flops")
_RATE = "How often does a sampled answer pass?"
_GREEDY = "repeats never differ on this curve: one greedy answer repeated says no more than one"
_LAW = "Does the success rate rise faster than the law exp(−c·N^−a) of a smooth loss?"


@dataclass(frozen=True)
class PassRate:
    """How often sampled answers pass (`law` False), or the law of that rate along the axis (`law` True)."""

    name: str
    law: bool
    needs: frozenset[str] = frozenset({"item_id", "repeat"})
    sees: str = "view"

    def __call__(self, view: View, rng: np.random.Generator) -> Sequence[Evidence | None]:
        """Evidence for every whole-task curve whose items were answered several times; None for the others."""
        out: list[Evidence | None] = [None] * len(view.curves)
        for curve, rows in _samples(view).items():
            key = view.curves.keys[curve]
            if not _sampled(rows):
                out[curve] = None if self.law else Evidence(name=self.name, question=_RATE, why=_GREEDY, code=CODE)
                continue
            x, passed, samples = _matrix(rows)
            out[curve] = _law(key.axis, x, passed, samples) if self.law else _rate(key.axis, x, passed, samples)
        return out


def _samples(view: View) -> dict[int, pl.DataFrame]:
    """Curve → right-or-wrong answers of items that were asked several times, with `x`, the raw place on its axis."""
    if view.items is None:
        return {}
    whole = [i for i, k in enumerate(view.curves.keys) if k.slice is None and k.metric_hard is not None]
    rows = view.items.filter(
        (pl.col("role") == "hard")
        & pl.col("curve").is_in(whole)
        & pl.col("value").is_in([0.0, 1.0])
        & pl.col("repeat").is_not_null()
    )
    several = rows.group_by("curve").agg(pl.col("repeat").n_unique().alias("k")).filter(pl.col("k") > 1)
    found = rows.join(several.select("curve"), on="curve", how="semi").collect()
    out = {}
    for (curve,), part in found.group_by("curve"):
        c = int(curve)  # type: ignore[call-overload]
        x = view.curves.raw_x[c, part["seed_index"].to_numpy(), part["point_index"].to_numpy()]
        out[c] = part.with_columns(pl.Series("x", x))
    return out


def _sampled(rows: pl.DataFrame) -> bool:
    """Repeats of one question to one model gave different answers somewhere."""
    by = ["seed_index", "point_index", "item_id"]
    return bool(rows.group_by(by).agg(pl.col("value").n_unique().alias("k")).select((pl.col("k") > 1).any()).item())


def _rate(axis: str, x: np.ndarray, passed: np.ndarray, samples: np.ndarray) -> Evidence:
    points = [_point(float(x[j]), passed[:, j], samples[:, j]) for j in range(len(x))]
    last = points[-1]
    most = max((int(k) for k in last["pass_at"]), default=1)
    sentence = (
        f"at {axis} {x[-1]:.3g}, {last['passed']:,.0f} of {last['samples']:,.0f} samples of {last['items']:,} "
        f"items passed; pass@{most} = {last['pass_at'].get(str(most), last['rate']):.3g}"
    )
    if last["passed"] == 0:
        sentence += f": not zero, but at most {last['high']:.2g}"
    return Evidence(
        name="pass_rate",
        question=_RATE,
        value=last["rate"],
        low=last["low"],
        high=last["high"],
        unit="share",
        why=sentence,
        code=CODE,
        detail={"axis": axis, "points": points},
    )


def _matrix(mine: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (P,), passes and samples (I, P); seeds and repeats at one place are added up."""
    counts = mine.group_by("item_id", "x").agg(pl.col("value").sum().alias("passed"), pl.len().alias("samples"))
    places, names = np.unique(counts["x"].to_numpy()), sorted(counts["item_id"].unique())
    row = counts["item_id"].replace_strict({n: i for i, n in enumerate(names)}, return_dtype=pl.Int64)
    column = np.searchsorted(places, counts["x"].to_numpy())
    passed, samples = np.zeros((2, len(names), len(places)))
    passed[row.to_numpy(), column] = counts["passed"].to_numpy()
    samples[row.to_numpy(), column] = counts["samples"].to_numpy()
    return places, passed, samples


def _point(x: float, passed: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    """One model's rate with its exact interval (0 of K: the bound 3/K), and pass@k for k = 1, 10, 100 … and the most.

    With items of unequal difficulty the sum of passes scatters by less than a binomial count of the mean rate, so
    the interval covers at least as often as it says (Hoeffding 1956).
    """
    asked = samples > 0
    total, right = float(samples.sum()), float(passed.sum())
    low, high = exact_interval(total, right)
    least = int(samples[asked].min())
    ks = sorted({k for k in (1, 10, 100, 1000, 10_000) if k <= least} | {least})
    at = {str(k): float(pass_at_k(samples[asked], passed[asked], k).mean()) for k in ks}
    return {
        "x": x,
        "items": int(asked.sum()),
        "samples": total,
        "passed": right,
        "rate": right / total,
        "low": float(low),
        "high": float(high),
        "solved_items": int((passed > 0).sum()),
        "pass_at": at,
    }


def _law(axis: str, x: np.ndarray, passed: np.ndarray, samples: np.ndarray) -> Evidence:
    if axis not in LAW_AXES:
        return Evidence(name="pass_law", question=_LAW, why=f"{axis} is not a scale: the law is about N", code=CODE)
    trained = x > 0
    found = bend(np.log10(x[trained]), passed[:, trained], samples[:, trained])
    if not np.isfinite(found.bend):
        return Evidence(name="pass_law", question=_LAW, why=found.why, code=CODE)
    return Evidence(
        name="pass_law",
        question=_LAW,
        value=found.bend,
        low=found.low,
        high=found.high,
        unit="bend of log(−log P)",
        passed={"accelerated": True, "standard": False, "sub-scaling": False}.get(found.law),
        why=_sentence(found),
        code=CODE,
        detail={
            "law": found.law,
            "p": found.p,
            "slope_per_decade": found.slope,
            "instances": found.instances,
            "averaged": [[float(a), float(b)] for a, b in zip(x[trained], found.averaged, strict=True)],
        },
    )


def _sentence(found: Bend) -> str:
    meaning: Mapping[str, str] = {
        "accelerated": "log(−log P) is concave: success grows faster than a smooth loss makes it (accelerated)",
        "standard": "log(−log P) is straight: success grows as a smooth loss makes it (standard)",
        "sub-scaling": "log(−log P) is convex: success grows more slowly than a smooth loss makes it, as tasks of "
        "several steps do (sub-scaling)",
        "undecided": "the law is undecided",
    }
    tail = f"; {found.why}" if found.why else ""
    return f"{meaning[found.law]}, over {found.instances} instances that passed sometimes{tail}"


rate = PassRate("pass_rate", law=False)
law = PassRate("pass_law", law=True)
