"""A calibration as a page of the docs: the same figures as the terminal's tables, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from saltus.calibrate.counts import WORDS, by_kind
from saltus.calibrate.result import Calibration, Coverage

_INTRO = """# How often the verdict is wrong

Simulated curves of known truth, judged like any others. A curve carries a word only if the definitions of the design
hold for its noise-free points and an oracle who knows the noise could refute the nearest curve of the opposite kind by
four standard deviations; curves between are in the last table. False alarms also count nulls too noisy for an oracle.
Truths are of our own making: families of curve that real series follow may lie elsewhere.
"""


def page(calibration: Calibration, made: str) -> str:
    """The docs page; `made` says with what command, when and on which machine."""
    parts = [
        _INTRO,
        f"{calibration.n} truths, seed {calibration.seed}, saltus {calibration.version}. {made}\n",
        "## Promises\n",
        *_bars(calibration),
        "## Truth (rows) and verdict (columns)\n",
        *_confusion(calibration),
        "## Called sharp, transition or split without a leap\n",
        *_alarms(calibration),
        "## Intervals\n",
        *_intervals(calibration),
        "## By kind of truth\n",
        "`murky` ones are too noisy for an oracle to tell.\n",
        *_table(("truth: kind", "its own word (95 % interval)", "other words"), by_kind(calibration.kinds)),
    ]
    if calibration.power:
        parts += ["## The middle: % leap / smooth / unresolved by true width, decades of five\n"]
        parts += [_MIDDLE, *_power(calibration)]
    return "\n".join(parts) + "\n"


_MIDDLE = """One logistic rise of 0.6 over a floor of 0.25 on 500 items, 12 points, one run, both twins equally wide;
each row changes one of these. A jump is at most 1 decade here, a gradual rise at least 1.25.
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield "| " + " | ".join(names) + " |"
    yield "|" + "|".join([" --- "] + [" ---: "] * (len(names) - 1)) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _bars(calibration: Calibration) -> Iterator[str]:
    return _table(
        ("", "measured", "promised", ""),
        (
            (
                bar.name,
                "–" if bar.value is None else f"{bar.value:.3f}",
                bar.wanted,
                "kept" if bar.kept else "**missed**",
            )
            for bar in calibration.bars
        ),
    )


def _confusion(calibration: Calibration) -> Iterator[str]:
    rows = ((word, calibration.confusion.get(word)) for word in WORDS)
    return _table(
        ("truth", *WORDS),
        ((word, *(str(counts.get(called, "·")) for called in WORDS)) for word, counts in rows if counts),
    )


def _alarms(calibration: Calibration) -> Iterator[str]:
    return _table(
        ("truth", "false alarms (95 % interval)"),
        ((word, str(rate)) for word, rate in calibration.false_alarms.items()),
    )


def _intervals(calibration: Calibration) -> Iterator[str]:
    def shown(coverage: Coverage | None) -> tuple[str, str]:
        if coverage is None:
            return "", ""
        wide = coverage.median_width
        return str(coverage.rate), "–" if wide is None else f"{wide:.2f}"

    names = {"bar": "10–16 points over 4–6 decades"}
    return _table(
        ("truth", "onset held", "median, decades", "width held", "median, decades"),
        (
            (names.get(word, word), *shown(onset), *shown(calibration.width.get(word)))
            for word, onset in calibration.onset.items()
        ),
    )


def _power(calibration: Calibration) -> Iterator[str]:
    widths = sorted({row.width for row in calibration.power})
    cells = {(row.varied, row.level, row.width): row for row in calibration.power}
    circumstances = dict.fromkeys((row.varied, row.level) for row in calibration.power)

    def shown(varied: str, level: int, width: float) -> str:
        row = cells[varied, level, width]
        return f"{100 * row.leap:.0f}/{100 * row.smooth:.0f}/{100 * row.unresolved:.0f}"

    return _table(
        ("", *(f"{width:g}" for width in widths)),
        ((f"{level} {varied}", *(shown(varied, level, w) for w in widths)) for varied, level in circumstances),
    )
