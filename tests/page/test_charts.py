"""Charts: what is in the data is on the picture, in few bytes, in colours of the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from saltus.page.charts import MOST_POINTS, finding_chart, finding_spec
from saltus.page.context import ReportContext
from saltus.page.frame import frame_of, ticks_of
from saltus.page.onsets import onsets
from saltus.page.page import report_html
from saltus.page.sparks import spark
from saltus.page.svg import render
from saltus.records import Finding

from helpers import report_examples as examples


@pytest.fixture
def copying() -> Finding:
    return examples.copying(np.random.default_rng(5))


def drawn(finding: Finding) -> str:
    return render(finding_spec(finding), title="a title", about="what it shows", key="k")


def test_the_chart_is_valid_vega_with_both_twins_on_one_axis(copying: Finding) -> None:
    spec = finding_chart(copying).to_dict()  # validates against the schema
    assert len(spec["vconcat"]) == 2
    domains = [
        layer["encoding"]["x"]["scale"]["domain"]
        for panel in spec["vconcat"]
        for layer in panel["layer"]
        if "x" in layer["encoding"]
    ]
    assert all(domain == domains[0] for domain in domains)
    assert set(spec["datasets"]) >= {
        "hard-points",
        "hard-bars",
        "hard-seeds",
        "hard-fit",
        "hard-smoothest",
        "hard-floor-interval",
        "hard-floor-nominal",
        "hard-onset-interval",
        "soft-points",
        "soft-fit",
    }


def test_every_measured_point_is_drawn_once(copying: Finding) -> None:
    svg = drawn(copying)
    dots = re.findall(r'stroke="var\(--hard\)" stroke-width="4" stroke-linecap="round" d="([^"]*)"', svg)
    assert len(dots) == 1
    assert dots[0].count("h0") == sum(len(s["hard"]) for s in copying.curve["seeds"])


def test_the_svg_is_small_themed_and_well_formed(copying: Finding) -> None:
    svg = drawn(copying)
    assert len(svg) < 25_000
    assert not re.search(r"#[0-9a-f]{6}", svg), "every colour is a variable of the page"
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert root.findtext("title") == "a title"
    assert root.findtext("desc") == "what it shows"


def test_names_in_a_chart_are_escaped(copying: Finding) -> None:
    svg = drawn(replace(copying, metric_hard=examples.HOSTILE))
    assert "<script" not in svg
    ET.fromstring(svg)


def test_an_untrained_point_stands_apart_at_the_left_edge(copying: Finding) -> None:
    frame = frame_of(copying)
    assert frame is not None
    assert frame.zero_at is not None
    first = min(x for x in examples.STEPS if x > 0)
    assert frame.low < frame.zero_at < first
    assert ticks_of(frame)[0] == (frame.zero_at, "0")
    lines = finding_spec(copying)["datasets"]["hard-seeds"]
    assert all(row["x"] != frame.zero_at for row in lines), "no line leads across the break"


def test_loss_runs_to_the_right_as_it_falls() -> None:
    finding = examples.copying_on_loss(np.random.default_rng(5))
    spec = finding_spec(finding)
    assert len(spec["vconcat"]) == 1, "no soft twin, no soft panel"
    layers = [layer["encoding"] for layer in spec["vconcat"][0]["layer"]]
    scales = [encoding["x"]["scale"] for encoding in layers if "x" in encoding]
    assert all(scale["reverse"] and scale["type"] == "linear" for scale in scales)


def test_a_crowded_panel_keeps_its_lines_and_drops_points_and_bars(copying: Finding) -> None:
    seeds = copying.curve["seeds"] * 6
    crowded = replace(copying, curve={**copying.curve, "seeds": seeds})
    data = finding_spec(crowded)["datasets"]
    assert len(data["hard-seeds"]) > MOST_POINTS
    assert "hard-points" not in data
    assert "hard-bars" not in data


def test_a_curve_without_points_gives_a_titled_empty_chart_and_no_spark() -> None:
    empty = examples.finding(curve={})
    assert finding_chart(empty).to_dict()["vconcat"][0]["title"] == "no points"
    assert spark(empty) == ""


def test_missing_values_are_left_out_of_the_picture(copying: Finding) -> None:
    seed = copying.curve["seeds"][0]
    missing = {"value": None, "low": None, "high": None}
    holed = [p | missing if i == 4 else p for i, p in enumerate(seed["hard"])]
    finding = replace(copying, curve={**copying.curve, "seeds": [{**seed, "hard": holed}]})
    assert len(finding_spec(finding)["datasets"]["hard-points"]) == len(holed) - 1
    assert "NaN" not in drawn(finding)


def test_a_forecast_is_a_band_in_its_own_channel(copying: Finding) -> None:
    band = {"x": [5e5, 1e6], "low": [-4.0, -3.9], "high": [-3.5, -3.0], "channel": "soft"}
    data = finding_spec(replace(copying, curve={**copying.curve, "forecast": band}))["datasets"]
    assert len(data["soft-forecast"]) == 2
    assert "hard-forecast" not in data


def test_ticks_are_few_inside_and_worded(copying: Finding) -> None:
    for low, high in ((1e3, 2e3), (1e6, 3e8), (1e18, 1e25)):
        xs = [low, (low * high) ** 0.5, high]
        points = [{"x": x, "value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "name": ""} for x in xs]
        finding = replace(copying, curve={"log": True, "seeds": [{"label": "a", "hard": points}]})
        frame = frame_of(finding)
        assert frame is not None
        ticks = ticks_of(frame)
        assert 2 <= len(ticks) <= 9
        assert all(frame.low <= place <= frame.high for place, _ in ticks)


def test_a_spark_is_tiny_and_shows_the_onset(copying: Finding) -> None:
    svg = spark(copying)
    assert len(svg) < 500
    assert svg.count("<path") == 3
    ET.fromstring(svg)


def test_a_noisy_share_does_not_look_like_a_rise() -> None:
    flat = examples.one_layer(np.random.default_rng(5))
    path = re.findall(r'<path d="M\d+ \d+l([^"]*)"', spark(flat))[-1]
    steps = [int(pair.replace("-", " -").split()[1]) for pair in path.split("l")]
    assert max(map(abs, steps)) <= 2, "of 22 pixels"


def test_onsets_are_drawn_in_order_with_words_and_names_of_two_alike() -> None:
    findings = [replace(f, finding_id=f"{f.finding_id}{i}") for i in (1, 2) for f in examples.small()]
    (figure,) = onsets(findings, {})
    starts = [row["onset"] for row in figure["rows"]]
    assert len(starts) == 12, "six rises, twice; flat, irregular, unresolved and defective are none"
    assert figure["chart"].count(">copying · induction-2l<") == 2
    assert figure["chart"].count(">artefact<") == 2
    assert "12 rises in order of their onset along tokens" in figure["chart"]
    assert not re.search(r"#[0-9a-f]{6}", figure["chart"])
    assert onsets(examples.small()[:2], {}) == [], "too few to compare"


@pytest.mark.parametrize(
    ("axis", "log", "xs"),
    [
        ("tokens", True, [5e6]),
        ("tokens", True, [0.0]),
        ("tokens", True, [0.0, 1e6]),
        ("date", False, [2020.2, 2023.5, 2026.9]),
        ("loss", False, [2.5]),
        ("my axis", False, [-3.0, 0.0, 4.0]),
        ("flops", True, [1e18, 1e26]),
    ],
)
def test_odd_axes_still_make_a_page(axis: str, log: bool, xs: list[float]) -> None:
    points = [{"x": x, "value": 0.0, "low": None, "high": None, "n": None, "name": None} for x in xs]
    points.append({"x": xs[-1], "value": None, "why": "asked, no answer"})
    made = {"log": log, "seeds": [{"label": 0, "hard": points, "soft": []}], "floor": {"hard": None}}
    finding = examples.finding(axis=axis, curve=made, onset=None, onset_low=None, onset_high=None)
    html = report_html([finding], ReportContext())
    assert "— asked, no answer" in html
    assert "NaN" not in html
    assert ('<svg class="chart"' in html) == (not log or max(xs) > 0)
