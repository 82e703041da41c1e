"""What repeated samples say where one answer per item says 0: success rates, pass@k, and their law in scale.

Reads item rows (`store.item_table`), one per model × item × repeat, and gives evidence beside the findings they
belong to; it decides no verdict. Repeats count as samples only where they differ somewhere in the task: a
greedy answer repeated a hundred times is one answer, and its 0 of 100 would be a bound that nobody measured.
Known limit: the intervals speak of these items; what other items would give is wider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from saltus._version import __version__
from saltus.records import Evidence, Finding
from saltus.stats.passk import Bend, bend, exact_interval, pass_at_k

CODE = f"saltus.checks.pass_rate@{__version__}"
TRAINING = ("tokens", "step")
LAW_AXES = ("params", "tokens", "step", "flops")
_RATE = "How often does a sampled answer pass?"
_LAW = "Does the success rate rise faster than the law exp(−c·N^−a) of a smooth loss?"


def evidence(items: pl.DataFrame | pl.LazyFrame, findings: Iterable[Finding]) -> dict[str, list[Evidence]]:
    """finding_id → its evidence from repeated samples; findings without repeats are not in it.

    items: rows of `store.item_table` or of any table with task, condition, metric, item_id, repeat, value,
    series and axes.
    """
    rows = items.lazy().collect() if isinstance(items, pl.LazyFrame) else items
    if "repeat" not in rows.columns or "item_id" not in rows.columns:
        return {}
    rows = rows.filter(pl.col("value").is_not_null() & pl.col("item_id").is_not_null())
    rows = rows.with_columns(pl.col("condition").fill_null("baseline"))
    several = rows.group_by("task").agg(pl.col("repeat").n_unique().alias("k")).filter(pl.col("k") > 1)
    rows = rows.join(several.select("task"), on="task", how="semi")
    if not rows.height:
        return {}
    differ = _sampled_tasks(rows)
    out: dict[str, list[Evidence]] = {}
    for finding in findings:
        mine = _rows_of(rows, finding)
        if mine.height and mine["repeat"].n_unique() > 1:
            out[finding.finding_id] = _judge(mine, finding, finding.task in differ)
    return out


def _sampled_tasks(rows: pl.DataFrame) -> set[str]:
    """Tasks in which repeats of one question to one model gave different values, in any metric."""
    by = [
        c
        for c in ("model_identity", "series", "model", "location", "task", "condition", "metric", "item_id", *_AXES)
        if c in rows.columns
    ]
    spread = rows.group_by(by).agg(pl.col("value").n_unique().alias("values"))
    return set(spread.filter(pl.col("values") > 1)["task"].to_list())


_AXES = ("params", "tokens", "step", "flops", "loss", "date", "seed")


def _rows_of(rows: pl.DataFrame, finding: Finding) -> pl.DataFrame:
    """The item rows behind a finding, with `x`, the place on its axis; empty where there are none."""
    if finding.metric_hard is None or finding.slice is not None or finding.axis not in rows.columns:
        return rows.clear()
    label = pl.col("series").fill_null("")
    model = pl.col("model").fill_null("") if "model" in rows.columns else pl.lit("")
    mine = rows.filter(
        (pl.col("task") == finding.task)
        & (pl.col("condition") == finding.condition)
        & (pl.col("metric") == finding.metric_hard)
        & pl.col("value").is_in([0.0, 1.0])
        & ((label == finding.series) | (pl.concat_str(label, pl.lit("/"), model) == finding.series))
    )
    x = pl.col(finding.axis)
    if finding.axis == "flops" and {"params", "tokens"} <= set(rows.columns):
        x = pl.coalesce("flops", 6.0 * pl.col("params") * pl.col("tokens"))
    mine = mine.with_columns(x=x).filter(pl.col("x").is_not_null())
    across = finding.axis not in TRAINING and "model" in mine.columns and mine["model"].n_unique() > 1
    if across and "tokens" in mine.columns:  # every model's last point, as the curve has it
        last = pl.col("tokens").fill_null(0.0)
        mine = mine.filter(last == last.max().over("model"))
    return mine


def _judge(mine: pl.DataFrame, finding: Finding, sampled: bool) -> list[Evidence]:
    if not sampled:
        why = "repeats never differ in this task: one greedy answer repeated says no more than one"
        return [Evidence(name="pass_rate", question=_RATE, why=why, code=CODE)]
    x, passed, samples = _matrix(mine)
    points = [_point(float(x[j]), passed[:, j], samples[:, j]) for j in range(len(x))]
    last = points[-1]
    most = max((int(k) for k in last["pass_at"]), default=1)
    said = (
        f"at {finding.axis} {x[-1]:.3g}, {last['passed']:,.0f} of {last['samples']:,.0f} samples of {last['items']:,} "
        f"items passed; pass@{most} = {last['pass_at'].get(str(most), last['rate']):.3g}"
    )
    if last["passed"] == 0:
        said += f": not zero, but at most {last['high']:.2g}"
    found = Evidence(
        name="pass_rate",
        question=_RATE,
        value=last["rate"],
        low=last["low"],
        high=last["high"],
        unit="share",
        why=said,
        code=CODE,
        detail={"axis": finding.axis, "points": points},
    )
    return [found, _law(finding.axis, x, passed, samples)]


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
        why=_said(found),
        code=CODE,
        detail={
            "law": found.law,
            "p": found.p,
            "slope_per_decade": found.slope,
            "instances": found.instances,
            "averaged": [[float(a), float(b)] for a, b in zip(x[trained], found.averaged, strict=True)],
        },
    )


def _said(found: Bend) -> str:
    meaning: Mapping[str, str] = {
        "accelerated": "log(−log P) is concave: success grows faster than a smooth loss makes it (accelerated)",
        "standard": "log(−log P) is straight: success grows as a smooth loss makes it (standard)",
        "sub-scaling": "log(−log P) is convex: success grows more slowly than a smooth loss makes it, as tasks of "
        "several steps do (sub-scaling)",
        "undecided": "the law is undecided",
    }
    tail = f"; {found.why}" if found.why else ""
    return f"{meaning[found.law]}, over {found.instances} instances that passed sometimes{tail}"
