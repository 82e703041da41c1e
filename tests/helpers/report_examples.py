"""Findings and a context as a run would make them, built through the records: several verdicts, gaps, hostile text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from saltus.page.context import (
    Calibration,
    Cost,
    Failure,
    Hypothesis,
    InputFile,
    ItemFlip,
    LeftOut,
    ModelRow,
    ReportContext,
    RobustnessRow,
    Stated,
)
from saltus.records import Evidence, Finding, Guard, Quantity, Replication

HOSTILE = "<script>alert('saltus')</script><img src=x onerror=alert(1)>"
WIDTH = Quantity(value=0.31, low=0.18, high=0.46, unit="decades")
UNKNOWN = Quantity(value=None, why="no rise to measure")


def logistic(mid: float, width: float, low: float, high: float) -> Callable[[float], float]:
    """A curve over log10 x that makes 10–90 % of its rise within `width` decades."""
    return lambda x: low + (high - low) / (1 + math.exp(-4.394 * (math.log10(x) - mid) / width))


def curve(
    hard: Callable[[float], float],
    soft: Callable[[float], float] | None,
    xs: Sequence[float],
    *,
    seeds: int = 3,
    rng: np.random.Generator,
    axis: str = "tokens",
) -> dict[str, Any]:
    """The `Finding.curve` of planted truth: seeds shifted a little, sampling noise of 500 items."""
    grid = np.geomspace(min(x for x in xs if x > 0), max(xs), 50)
    made = []
    for seed in range(seeds):
        shift = 10 ** rng.normal(0, 0.05)
        points = []
        for x in xs:
            at = max(x, min(grid) / 10) * shift
            noise = math.sqrt(hard(at) * (1 - hard(at)) / 500)
            v = float(np.clip(hard(at) + rng.normal(0, noise), 0, 1))
            se = 1.96 * math.sqrt(max(v * (1 - v), 0.002) / 500)
            points.append(
                {
                    "x": x,
                    "value": v,
                    "low": max(0.0, v - se),
                    "high": min(1.0, v + se),
                    "n": 500,
                    "name": f"step-{x / 3072:.0f}",
                }
            )
        made.append({"label": f"seed {seed}", "hard": points, "soft": []})
        if soft is not None:
            made[-1]["soft"] = [
                {**p, "value": s, "low": s - 0.08, "high": s + 0.08}
                for p, s in (
                    (p, soft(max(p["x"], min(grid) / 10) * shift) + float(rng.normal(0, 0.03))) for p in points
                )
            ]
    for seed in made:
        seed["fit"] = {"hard": [hard(x) for x in grid]} | ({} if soft is None else {"soft": [soft(x) for x in grid]})
        seed["smoothest"] = {"hard": [0.6 * hard(x) + 0.4 * hard(x**0.99) for x in grid]}
    floor = hard(min(grid) / 100)
    return {
        "axis": axis,
        "unit": axis,
        "log": axis != "loss",
        "places": [float(x) for x in grid],
        "seeds": made,
        "floor": {"hard": {"value": floor, "low": floor - 0.02, "high": floor + 0.02, "nominal": 1 / 64}},
    }


def evidence(name: str, question: str, value: Any, passed: bool | None, why: str) -> Evidence:
    low, high = (value * 0.8, value * 1.2) if isinstance(value, float) else (None, None)
    return Evidence(
        name=name,
        question=question,
        value=value,
        low=low,
        high=high,
        passed=passed,
        why=why,
        code=f"saltus.checks.{name.split('_')[0]}@0.1.0",
    )


EVIDENCE = (
    evidence("presence", "Does the score leave its floor?", 0.81, True, "0.92 against a floor of 0.10, q < 0.001"),
    evidence("width_hard", "How wide is the rise of the hard score?", 0.31, True, "at most 0.46 decades, a jump"),
    evidence("surprise", "Was the outcome foreseen from before the onset?", 0.002, True, "p = 0.002 in the soft score"),
    evidence("twin", "Does the soft score predict the hard jump?", None, None, "too few points before the onset"),
    evidence("breakthroughness", "How uneven are the steps?", 18.2, None, "for comparison with BIG-bench only"),
)


def finding(**changes: Any) -> Finding:
    """A sharp, replicated finding, changed as asked."""
    base: dict[str, Any] = {
        "schema_version": "1",
        "finding_id": "induction-2l|copying|baseline|tokens",
        "study_id": "sha256:" + "ab" * 32,
        "primary": True,
        "series": "induction-2l",
        "task": "copying",
        "condition": "baseline",
        "axis": "tokens",
        "metric_hard": "acc",
        "metric_soft": "token_logprob",
        "slice": None,
        "integrity": "ok",
        "presence": "present",
        "shape_hard": "jump",
        "shape_soft": "jump",
        "predicted": "no",
        "twin": "agrees",
        "replication": Replication(seeds=3, leapt=3, populations=1),
        "scope": "unknown",
        "localised": None,
        "verdict": "transition",
        "verdict_weights": {"transition": 0.94, "sharp": 0.04, "unresolved": 0.02},
        "onset": 640_000.0,
        "onset_low": 467_000.0,
        "onset_high": 860_000.0,
        "onset_other_axes": {"step": Quantity(value=208, low=152, high=280, unit="steps")},
        "width_hard": WIDTH,
        "width_soft": replace(WIDTH, value=0.35, low=0.2, high=0.52),
        "smoothest_admissible_width": Quantity(value=0.46, unit="decades"),
        "rise": Quantity(value=0.81, low=0.79, high=0.83),
        "floor": 0.104,
        "floor_source": "computed: best token-counting guesser over these 500 items",
        "n_points": 21,
        "n_items": 500,
        "n_seeds": 3,
        "dispersion": 1.1,
        "minimum_detectable_effect": 0.04,
        "p_value": 0.0004,
        "q_value": 0.0012,
        "family": "registered",
        "family_size": 6,
        "forecast": {
            "channel": "soft",
            "method": "line through the points before the onset",
            "points": 8,
            "predicted": -3.9,
            "low": -4.2,
            "high": -3.6,
            "observed": -0.41,
            "p": 0.0004,
        },
        "false_alarm_rate": 0.011,
        "reasons": {"localised": "no work inside the network was asked for"},
        "evidence": EVIDENCE,
    }
    return Finding(**{**base, **changes})


STEPS = [3072.0 * round(600 * (i / 20) ** 1.5) for i in range(21)]


def copying(rng: np.random.Generator) -> Finding:
    jump = logistic(5.8, 0.3, 0.104, 0.92)
    soft = logistic(5.78, 0.34, -4.1, -0.4)
    return finding(curve=curve(jump, soft, STEPS, rng=rng))


def copying_on_loss(rng: np.random.Generator) -> Finding:
    points = [
        {"x": x, "value": v, "low": v - 0.03, "high": v + 0.03, "n": 500, "name": f"step-{i}"}
        for i, (x, v) in enumerate((4.16 - 0.1 * i, 0.1 + 0.04 * i + float(rng.normal(0, 0.01))) for i in range(20))
    ]
    made: dict[str, Any] = {
        "axis": "loss",
        "unit": "nats",
        "log": False,
        "places": [p["x"] for p in points],
        "seeds": [{"label": "seed 0", "hard": points, "soft": [], "fit": {"hard": [p["value"] for p in points]}}],
        "floor": {"hard": {"value": 0.104, "low": 0.09, "high": 0.12, "nominal": None}},
    }
    return finding(
        finding_id="induction-2l|copying|baseline|loss",
        axis="loss",
        verdict="smooth",
        shape_hard="gradual",
        shape_soft="unknown",
        twin="missing",
        metric_soft=None,
        predicted="yes",
        verdict_weights={"smooth": 0.88, "unresolved": 0.12},
        onset=3.1,
        onset_low=2.8,
        onset_high=3.4,
        width_hard=Quantity(value=1.4, low=1.2, high=1.6, unit="nats"),
        width_soft=Quantity(value=None, why="no soft twin"),
        replication=Replication(seeds=1, leapt=0, populations=1, why="one seed"),
        n_seeds=1,
        p_value=0.4,
        q_value=0.5,
        forecast=None,
        onset_other_axes={},
        reasons={
            "metric_soft": "the loss table holds accuracies only",
            "width_soft": "no soft twin",
            "smoothest": "the rise is already as wide as the range",
            "forecast": "predicted, so nothing to score",
            "localised": "no work inside the network was asked for",
        },
        caveats=("ONE SEED: nothing here is replicated.",),
        curve=made,
    )


def one_layer(rng: np.random.Generator) -> Finding:
    flat = logistic(6.1, 1.5, 0.095, 0.108)
    return finding(
        finding_id="induction-1l|copying|baseline|tokens",
        series="induction-1l",
        verdict="flat",
        presence="absent",
        shape_hard="flat",
        shape_soft="gradual",
        twin="contradicts",
        predicted="unknown",
        verdict_weights={"flat": 0.99, "unresolved": 0.01},
        onset=None,
        onset_low=None,
        onset_high=None,
        onset_other_axes={},
        width_hard=UNKNOWN,
        width_soft=Quantity(value=0.9, low=0.6, high=1.3, unit="decades"),
        smoothest_admissible_width=UNKNOWN,
        rise=Quantity(value=0.004, low=-0.01, high=0.02),
        p_value=None,
        q_value=None,
        forecast=None,
        replication=Replication(seeds=3, leapt=0, populations=1),
        reasons={
            "onset": "nothing rises above the floor",
            "width_hard": "no rise to measure",
            "p_value": "presence failed, so surprise was not tested",
            "q_value": "presence failed, so surprise was not tested",
            "forecast": "no onset",
            "localised": "no work inside the network was asked for",
        },
        caveats=("THE SOFT SCORE RISES BELOW THE FLOOR: this often announces a later rise.",),
        curve=curve(flat, logistic(5.5, 0.9, -4.1, -3.6), STEPS, rng=rng),
    )


def addition(rng: np.random.Generator) -> Finding:
    soft = logistic(6.0, 1.6, 0.11, 0.99)
    return finding(
        finding_id="addition|addition[digits=3]|baseline|tokens",
        series="addition",
        task="addition[digits=3]",
        metric_hard="exact_match",
        metric_soft="token_logprob",
        verdict="artefact",
        shape_soft="gradual",
        twin="explains",
        predicted="yes",
        verdict_weights={"artefact": 0.83, "smooth": 0.1, "unresolved": 0.07},
        floor=0.0,
        floor_source="computed: best constant answer over these 500 items",
        width_soft=Quantity(value=1.6, low=1.2, high=2.1, unit="decades"),
        p_value=0.21,
        q_value=0.26,
        caveats=("Exact match needs four tokens right at once: p⁴ explains the leap.",),
        curve=curve(lambda x: max(0.0005, soft(x) ** 8), lambda x: math.log(soft(x)), STEPS, rng=rng),
    )


def others(rng: np.random.Generator) -> list[Finding]:
    """Words that the zoo does not show: defective, unresolved, irregular, split, bound, sharp."""
    hump = lambda x: 0.1 + 0.4 * math.exp(-((math.log10(x) - 5.6) ** 2) / 0.2)  # noqa: E731
    step = logistic(5.9, 0.2, 0.25, 0.7)
    made = {
        "irregular": finding(verdict="irregular", shape_hard="non_monotone", curve=curve(hump, None, STEPS, rng=rng)),
        "unresolved": finding(
            verdict="unresolved",
            presence="unknown",
            n_points=4,
            shape_hard="unknown",
            next_data=("at least 2 more points between 1 M and 4 M tokens", "300 more items to see a rise of 0.05"),
            curve=curve(step, None, STEPS[1::5], rng=rng, seeds=1),
        ),
        "defective": finding(
            verdict="defective",
            integrity="defective",
            guards=(
                Guard(
                    name="stale_answers",
                    severity="disqualifying",
                    fired=True,
                    why="two checkpoints agree to the last digit",
                    points=("step-208 @ 640 k",),
                    changes="without it: smooth, onset 1.1 M",
                ),
            ),
            curve=curve(step, None, STEPS, rng=rng),
        ),
        "split": finding(
            verdict="split",
            replication=Replication(seeds=6, leapt=3, populations=2),
            curve=curve(step, None, STEPS, rng=rng, seeds=6),
        ),
        "bound": finding(verdict="bound", scope="format", curve=curve(step, step, STEPS, rng=rng)),
        "sharp": finding(
            verdict="sharp",
            n_seeds=1,
            replication=Replication(seeds=1, leapt=1, populations=1),
            curve=curve(step, step, STEPS, rng=rng, seeds=1),
        ),
    }
    return [
        replace(
            f,
            finding_id=f"demo-{word}",
            series="demo",
            task=word,
            verdict_weights={word: 0.8, "unresolved": 0.2} if word != "unresolved" else {word: 1.0},
        )
        for word, f in made.items()
    ]


def small() -> list[Finding]:
    """What a first run gives: a handful of findings of every kind."""
    rng = np.random.default_rng(5)
    typos = copying(rng)
    typos = replace(
        typos,
        finding_id="induction-2l|copying|typos|tokens",
        condition="typos[rate=0.1]",
        verdict="sharp",
        onset=900_000.0,
        onset_low=700_000.0,
        onset_high=1_200_000.0,
        family="exploration",
        family_size=40,
    )
    return [copying(rng), copying_on_loss(rng), one_layer(rng), addition(rng), typos, *others(rng)]


def many(n: int, rng: np.random.Generator | None = None) -> list[Finding]:
    """n findings as a large published table gives them: mostly flat, 27 checkpoints, one seed."""
    rng = rng or np.random.default_rng(11)
    xs = [2.0**21 * 1.6**i for i in range(27)]
    words = (*["flat"] * 4, "unresolved", "smooth", "smooth", "sharp", "artefact", "irregular")
    found = []
    for i in range(n):
        word = words[i % len(words)]
        low = 0.25 if i % 2 else 0.0
        rise = logistic(10.0 + (i % 7) / 8, 0.3 if word in ("sharp", "artefact") else 1.5, low, 0.6)
        shape = (lambda x, low=low: low + 0.01) if word == "flat" else rise
        found.append(
            finding(
                finding_id=f"pythia-{i}",
                series=f"pythia/{('70m', '160m', '410m', '1b', '6.9b', '12b')[i % 6]}",
                task=f"mmlu_subject_number_{i // 6}",
                primary=i % 3 != 2,
                verdict=word,
                verdict_weights={word: 0.9, "unresolved": 0.1} if word != "unresolved" else {word: 1.0},
                onset=None if word == "flat" else 1e10,
                onset_low=None if word == "flat" else 7e9,
                onset_high=None if word == "flat" else 2e10,
                n_seeds=1,
                n_points=27,
                family="exploration",
                family_size=n,
                curve=curve(shape, logistic(10, 1.8, -3, -1), xs, rng=rng, seeds=1),
            )
        )
    return found


def hostile() -> tuple[list[Finding], ReportContext]:
    """Everything a model or a user can say, saying `<script>`."""
    rng = np.random.default_rng(3)
    bad = replace(
        copying(rng),
        task=HOSTILE,
        series="s\u202e" + HOSTILE,
        caveats=(HOSTILE,),
        metric_hard=HOSTILE,
        evidence=(evidence("x" + HOSTILE, HOSTILE, HOSTILE, None, HOSTILE), *EVIDENCE),
        next_data=(HOSTILE,),
        reasons={"localised": HOSTILE},
    )
    made = context()
    flip = ItemFlip(
        finding_id=bad.finding_id,
        item_id=HOSTILE,
        prompt=f"\ttab {HOSTILE}\n\n  two spaces and a trailing one \ud800 \x1b[31m",
        target=HOSTILE,
        before=Stated(model=HOSTILE, text=HOSTILE, hard=0.0),
        after=Stated(model="after", text="</pre></body></html>", hard=1.0),
    )
    return [bad], replace(
        made,
        title=HOSTILE,
        question=HOSTILE,
        document=HOSTILE,
        flips=(flip,),
        deviations=(HOSTILE,),
        not_tested=(HOSTILE,),
    )


STUDY = """\
study: in-context copying
question: Does copying from context appear abruptly as a small transformer trains?
models:
  - series: induction-2l
    from: zoo:induction-2l
tasks: [copying, {addition: {digits: 3}}]
conditions: [baseline, {typos: [0.1]}]
seed: 17
hypotheses:
  - {id: H1, task: copying, series: induction-2l, axis: tokens, expect: leap}
"""


def context() -> ReportContext:
    """The context of `small()`."""
    before = Stated(model="induction-2l seed 0 step-152", text=" k", hard=0.0, soft=-3.9)
    after = Stated(model="induction-2l seed 0 step-280", text=" q", hard=1.0, soft=-0.1)
    return ReportContext(
        title="in-context copying",
        question="Does copying from context appear abruptly as a small transformer trains?",
        study_id="sha256:" + "ab" * 32,
        document=STUDY,
        locked="2026-11-22 09:12 as sha256:" + "ab" * 32,
        deviations=("H2 was read on loss measured every 10 steps, not every step.",),
        hypotheses=(
            Hypothesis(
                id="H1",
                statement="copying in induction-2l leaps along tokens",
                outcome="kept",
                why="transition in 94 % of resamples, onset 640 k tokens",
                finding_id="induction-2l|copying|baseline|tokens",
            ),
            Hypothesis(
                id="H2",
                statement="copying in induction-2l does not leap along loss",
                outcome="kept",
                why="smooth in 88 % of resamples",
                finding_id="induction-2l|copying|baseline|loss",
            ),
            Hypothesis(
                id="H3",
                statement="addition is an artefact",
                outcome="refuted",
                why="the soft score did not predict the jump",
                finding_id="addition|addition[digits=3]|baseline|tokens",
            ),
            Hypothesis(
                id="H4",
                statement="grokking leaps along tokens",
                outcome="undecided",
                why="no finding: the series failed to train",
            ),
        ),
        not_tested=("Larger models than d = 64.",),
        versions={"saltus": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "numpy": "2.4.0"},
        hardware="2 cores, 8 GB, no accelerator",
        seeds={"study": 17, "analysis": 17},
        command="saltus demo",
        created="2026-11-22 12:40",
        cost=Cost(answers=63_000, tokens_in=2_310_000, tokens_out=0, seconds=71.2),
        models=tuple(
            ModelRow(
                series="induction-2l",
                name=f"seed0/step-{int(s / 3072)}",
                dtype="float32",
                seed="0",
                identity="sha256:" + f"{i:02x}" * 32,
                location=f"zoo/induction-2l/seed0/step-{int(s / 3072)}",
                coords={"tokens": s, "params": 32_768, "loss": 4.2 - 0.1 * i},
            )
            for i, s in enumerate(STEPS)
        ),
        inputs=(
            InputFile(
                path="results/pythia.csv",
                hash="sha256:" + "cd" * 32,
                rows=219_139,
                mapping="family → series, n_params → params",
                left_out=(
                    LeftOut(reason="no value", rows=12, example="line 40"),
                    LeftOut(reason="a group's average over its tasks", rows=890),
                ),
            ),
        ),
        failures=(Failure(model="seed1/step-600", task="copying", reason="out of memory", count=3),),
        flips=tuple(
            ItemFlip(
                finding_id="induction-2l|copying|baseline|tokens",
                item_id=f"copying-{i}",
                prompt="k q z b f k q z b f k\n",
                target=" q",
                before=before,
                after=after,
            )
            for i in range(5)
        ),
        robustness=(
            RobustnessRow(
                series="induction-2l",
                task="copying",
                condition="typos[rate=0.1]",
                metric="acc",
                model="seed0/step-600",
                baseline=0.92,
                changed=0.81,
                difference=Quantity(value=-0.11, low=-0.14, high=-0.08),
                pairs=500,
                passed=False,
                why="falls by more than the 0.05 that was allowed",
            ),
        ),
        calibration=Calibration(
            version="0.1.0",
            curves=4000,
            false_alarm=Quantity(value=0.011, low=0.007, high=0.017),
            power=Quantity(value=0.86, low=0.83, high=0.89),
            confusion={
                "flat": {"flat": 0.97, "unresolved": 0.03},
                "smooth": {"smooth": 0.8, "unresolved": 0.185, "sharp": 0.015},
                "jump": {"sharp": 0.86, "unresolved": 0.12, "smooth": 0.02},
                "p^L": {"artefact": 0.7, "unresolved": 0.2, "smooth": 0.1},
            },
            about="12 points, 3 seeds, 500 items",
        ),
    )
