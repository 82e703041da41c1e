"""Published verdicts beside ours: what others said of a curve, what saltus says of it, and why they differ.

    python benchmarks/published_verdicts.py [DATA_FOLDER] [--only ANALYSIS ...] [--no-thin]

Reads `studies/published/known.yaml`: which rows of which data set, what was published about them, and which of our
words say the same. Prints every claim with our words, onsets and weights; where they differ, the reason comes from the
finding itself (its evidence, caveats, what is null and why, what data would settle it), beside a line by hand where
the cause is known. Every claim counts once in the confusion table, spread over the words of its findings. Thinned
grids: a verdict is compatible if it is the same, or undecided, or if both are leaps whose onset intervals overlap.
Known limit: an expected word is our translation of somebody's opinion; `known.yaml` says how it was made.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

import saltus
from saltus.analysis.choices import Choices
from saltus.records import Finding
from saltus.runner.machine import host
from saltus.verdict import JUMPED

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "studies" / "published" / "known.yaml"
DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Outcome:
    """One claim beside the findings it is about."""

    claim: Mapping[str, Any]
    findings: Sequence[Finding]
    agree: Sequence[bool]
    """Per finding: one of the expected words."""
    failed: Sequence[str]
    """What else the claim says and the findings do not: onsets, facts, caveats, dispersion."""

    @property
    def words(self) -> Counter[str]:
        return Counter(f.verdict for f in self.findings)

    @property
    def state(self) -> str:
        """agrees (three quarters say so and nothing else failed) · open (the rest is unresolved) · differs.

        One leap where none is expected is never outvoted.
        """
        others = [f for f, ok in zip(self.findings, self.agree) if not ok]
        if any(f.verdict in JUMPED for f in others):
            return "differs"
        if sum(self.agree) >= 0.75 * len(self.agree) and not self.failed:
            return "agrees"
        undecided = others and all(f.verdict == "unresolved" for f in others)
        return "open" if undecided and not self.failed else "differs"


def known(path: Path = KNOWN) -> dict[str, Any]:
    """The document of published verdicts."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def select(table: pl.DataFrame, analysis: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of one analysis, with the words deleted that it wants forgotten."""
    for column, wanted in analysis["rows"].items():
        text = pl.col(column).cast(pl.String).fill_null("")
        if isinstance(wanted, str):
            pattern = re.compile(wanted)
            values = [v for v in table[column].cast(pl.String).fill_null("").unique() if pattern.fullmatch(v)]
        else:
            values = ["" if v is None else str(v) for v in wanted]
        table = table.filter(text.is_in(values))
    for column, pattern in analysis.get("forget", {}).items():
        hit = pl.col(column).str.contains(pattern)
        filed = [
            pl.when(hit).then(pl.lit(v)).otherwise(pl.col(c)).alias(c) for c, v in analysis.get("as_filed", {}).items()
        ]
        table = table.with_columns(*filed, pl.col(column).str.replace_all(pattern, ""))
    return table.drop(analysis.get("without", []))


def thinned(table: pl.DataFrame, every: int) -> pl.DataFrame:
    """Every k-th trained checkpoint of each run, counted back from the last; untrained ones stay."""
    run = ["family", "model", "variant", "n_shot"]
    steps = table.select(*run, "step").unique().filter(pl.col("step") > 0)
    order = pl.col("step").rank("ordinal", descending=True).over(run) - 1
    kept = steps.filter(order % every == 0)
    untrained = table.filter(pl.col("step") == 0)
    return pl.concat([untrained, table.join(kept, on=[*run, "step"], how="semi", nulls_equal=True)])


def judged(table: pl.DataFrame, choices: Mapping[str, Any]) -> list[Finding]:
    """Our primary findings on those rows, by the public call."""
    options: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in choices.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "evals.parquet"
        table.write_parquet(path)
        analysed = saltus.analyze(str(path), choices=Choices(**options))
    return [f for f in analysed.findings if f.primary]


def about(claim: Mapping[str, Any], findings: Sequence[Finding]) -> list[Finding]:
    """The findings that a claim is about. Raises ValueError where there is none: a claim is never passed over."""
    found = [f for f in findings if all(re.fullmatch(p, str(getattr(f, column))) for column, p in claim["of"].items())]
    if not found:
        have = sorted({(f.series, f.task) for f in findings})
        raise ValueError(f"claim `{claim['id']}` matches no finding; there are {have[:6]} …")
    return found


def compare(claim: Mapping[str, Any], findings: Sequence[Finding]) -> Outcome:
    """Our words and facts against the claim's."""
    mine = about(claim, findings)
    failed = [*_places(claim, mine), *_facts(claim, mine)]
    return Outcome(claim, mine, [f.verdict in claim["expect"] for f in mine], failed)


def _places(claim: Mapping[str, Any], findings: Sequence[Finding]) -> list[str]:
    """Where the published place of the rise and ours do not go together."""
    out = []
    for f in findings:
        if f.onset is None or f.onset_low is None or f.onset_high is None:
            continue
        if "threshold" in claim:
            width = f.width_hard.high if f.width_hard.high is not None else 0.0
            foot = f.onset_low / 10 ** (width / 2)
            if not foot <= float(claim["threshold"]) <= f.onset_high:
                out.append(
                    f"{f.series} {f.task}: onset {place(f)}, published threshold {float(claim['threshold']):.3g}"
                )
        if "onset" in claim:
            low, high = map(float, claim["onset"])
            if f.onset_high < low or f.onset_low > high:
                out.append(f"{f.series} {f.task}: onset {place(f)}, published {low:.3g}–{high:.3g}")
    return out


def _facts(claim: Mapping[str, Any], findings: Sequence[Finding]) -> list[str]:
    """Facts that the claim states, or wants alike in all its findings."""
    out = []
    for name, values in claim.get("facts", {}).items():
        out += [
            f"{f.series} {f.task}: {name} is {getattr(f, name)}" for f in findings if getattr(f, name) not in values
        ]
    for name in claim.get("alike", ()):
        seen = Counter(str(getattr(f, name)) for f in findings)
        out += [f"{name} differs: {dict(seen)}"] if len(seen) > 1 else []
    if claim.get("alike"):
        low = max(f.onset_low or 0.0 for f in findings)
        high = min(f.onset_high or np.inf for f in findings)
        out += [f"onset intervals have no common part ({low:.3g} > {high:.3g})"] if low > high else []
    if "caveat" in claim:
        out += [
            f"{f.series} {f.task}: no caveat on `{claim['caveat']}`"
            for f in findings
            if not any(re.search(claim["caveat"], c) for c in f.caveats)
        ]
    if "guards" in claim:
        out += [
            f"{f.series} {f.task}: none of {', '.join(claim['guards'])}"
            for f in findings
            if not {g.name for g in f.guards} & set(claim["guards"])
        ]
    if "dispersion" in claim:
        values = [f.dispersion for f in findings if f.dispersion is not None]
        top = float(np.quantile(values, 0.9)) if values else float("nan")
        low, high = claim["dispersion"]
        out += [] if low <= top <= high else [f"90th percentile of dispersion {top:.3g}, not in {low}–{high}"]
    return out


def explain(f: Finding) -> list[str]:
    """Why a finding has its word, in its own sentences: too few points, unknown n, no twin, evidence, caveats."""
    out = []
    if f.metric_hard is None:
        out.append(f"no score of right answers in the source, only {f.metric_soft}")
    elif f.n_points < 6:
        out.append(f"{f.n_points} points cannot settle it")
    if f.metric_soft is None:
        out.append(f.reasons.get("metric_soft", "no soft twin in the source"))
    if f.n_items is None:
        out.append("n unknown: its error is estimated from scatter")
    for e in f.evidence:
        decisive = e.name in DECISIVE and e.passed is not True and f.n_points >= 6
        if decisive and e.why != f.reasons.get("metric_soft"):
            out.append(f"{e.name}: {e.why}")
    out += [f"{g.name}: {g.why}" for g in f.guards if g.fired]
    out += list(f.caveats)
    return out + [f"would settle it: {n}" for n in f.next_data]


DECISIVE = frozenset(
    {
        "presence",
        "more than one point",
        "width hard",
        "width soft",
        "sharper than smooth",
        "surprise soft",
        "surprise hard",
        "twin",
        "fall hard",
    }
)


def place(f: Finding) -> str:
    """The onset with its interval."""
    if f.onset is None:
        return "–"
    return f"{f.onset:.2g} [{f.onset_low:.2g}, {f.onset_high:.2g}]"


def weights(f: Finding) -> str:
    """The words that came out over resamples."""
    top = sorted(f.verdict_weights.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{word} {share:.2f}" for word, share in top if share >= 0.05)


def compatible(whole: Finding, thin: Finding) -> bool:
    """Same word, or one of them undecided, or two rises at one place."""
    if whole.verdict == thin.verdict or "unresolved" in (whole.verdict, thin.verdict):
        return True
    if {whole.verdict, thin.verdict} <= JUMPED and whole.onset and thin.onset:
        return whole.onset_low <= thin.onset_high and thin.onset_low <= whole.onset_high  # type: ignore[operator]
    return False


def thinning(
    analysis: Mapping[str, Any], table: pl.DataFrame, whole: Sequence[Finding]
) -> tuple[Counter[str], list[str]]:
    """How many verdicts on thinned grids are the same, undecided or incompatible, and which."""
    counts: Counter[str] = Counter()
    broken = []
    usual = {(f.series, f.task, f.axis): f for f in whole}
    for every in analysis.get("thin", ()):
        for f in judged(thinned(table, every), analysis["choices"]):
            one = usual.get((f.series, f.task, f.axis))
            if one is None:
                continue
            good = compatible(one, f)
            counts["same" if one.verdict == f.verdict else "undecided" if good else "incompatible"] += 1
            if not good:
                broken.append(f"{f.series} {f.task}: {one.verdict} → {f.verdict} on every {every}th")
    return counts, broken


def show(outcome: Outcome, longest: int = 3) -> None:
    """One claim, ours beside it, and where they differ, why."""
    claim = outcome.claim
    ours = ", ".join(f"{word} {n}" for word, n in outcome.words.most_common())
    print(f"\n  {claim['id']} — {claim['by']}: {claim['source']}")
    print(f"    published {claim['published']}: {claim['because']}")
    print(f"    ours      {ours}   (says the same: {', '.join(claim['expect'])})   → {outcome.state}")
    print(f"    e.g.      {_example(outcome.findings)}")
    for line in outcome.failed[:longest]:
        print(f"    differs   {line}")
    if len(outcome.failed) > longest:
        print(f"              … and {len(outcome.failed) - longest} more")
    if outcome.state == "agrees" and all(outcome.agree):
        return
    for word in sorted({f.verdict for f, ok in zip(outcome.findings, outcome.agree) if not ok}):
        first = next(f for f, ok in zip(outcome.findings, outcome.agree) if not ok and f.verdict == word)
        print(f"    why {word}: {first.series} {first.task} ({weights(first)})")
        for line in explain(first):
            print(f"      · {line}")
    if "known" in claim:
        print(f"    known     {claim['known']}")


def _example(findings: Sequence[Finding]) -> str:
    f = findings[0]
    return f"{f.series}, {f.task} along {f.axis}: {f.verdict}, onset {place(f)}, weights {weights(f)}"


def confusion(outcomes: Sequence[Outcome]) -> str:
    """Published words down, ours across; a claim spreads one unit over the words of its findings."""
    words = sorted({w for o in outcomes for w in o.words})
    lines = ["published".ljust(16) + "claims".rjust(7) + "".join(w.rjust(12) for w in words)]
    for label in sorted({o.claim["published"] for o in outcomes}):
        mine = [o for o in outcomes if o.claim["published"] == label]
        share = [sum(o.words[w] / len(o.findings) for o in mine) for w in words]
        cells = "".join(f"{s:12.2f}" if s else "·".rjust(12) for s in share)
        lines.append(label.ljust(16) + str(len(mine)).rjust(7) + cells)
    return "\n".join(lines)


def main() -> int:
    """Runs all analyses whose data are there; says which are not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=None)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--no-thin", action="store_true")
    args = parser.parse_args()
    folder = args.data or DATA
    if not folder.is_dir():
        print(f"no folder {folder}: it needs NAME/evals.parquet for the data sets that {KNOWN.name} names")
        return 2 if args.data else 0
    document, began = known(), time.process_time()
    outcomes: list[Outcome] = []
    thin: Counter[str] = Counter()
    missing = []
    for analysis in document["analyses"]:
        path = folder / analysis["data"] / "evals.parquet"
        if args.only and analysis["id"] not in args.only:
            continue
        if not path.exists():
            missing.append(analysis["id"])
            continue
        table = select(pl.read_parquet(path), analysis)
        findings = judged(table, analysis["choices"])
        print(f"\n{analysis['id']}: {table.height} rows of {analysis['data']}, {len(findings)} primary findings")
        for claim in analysis["claims"]:
            outcomes.append(compare(claim, findings))
            show(outcomes[-1])
        if not args.no_thin and "thin" in analysis:
            counts, broken = thinning(analysis, table, findings)
            thin += counts
            print(f"\n  thinned grids ({analysis['thin']}): {dict(counts)}")
            for line in broken[:10]:
                print(f"    {line}")
    _summary(document, outcomes, thin, missing, time.process_time() - began)
    return 0


def _summary(
    document: Mapping[str, Any], outcomes: Sequence[Outcome], thin: Counter[str], missing: Sequence[str], seconds: float
) -> None:
    print("\n" + confusion(outcomes))
    for line in document["not_judged"]:
        print(f"not judged: {line['what']}: {line['why']}")
    for name in missing:
        print(f"not run: {name}: its data are not in the folder")
    states = Counter(o.state for o in outcomes)
    machine = {k: host()[k] for k in ("cpu", "cores")}
    print(
        json.dumps(
            {
                "benchmark": "published_verdicts",
                "claims": len(outcomes),
                **states,
                "findings": sum(len(o.findings) for o in outcomes),
                "differs_in": [o.claim["id"] for o in outcomes if o.state == "differs"],
                "open_in": [o.claim["id"] for o in outcomes if o.state == "open"],
                "thinned": dict(thin),
                "missing": list(missing),
                "cpu_seconds": round(seconds, 1),
                "machine": machine,
                "date": time.strftime("%Y-%m-%d"),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
