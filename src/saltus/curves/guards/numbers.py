"""Harness faults that mimic emergence, looked for in the numbers: each guard is one function in `GUARDS`.

A guard names points (or whole curves) it suspects; whether that matters is decided later, by judging the curve without
them. Guards see values, errors, items, places on the axes and the columns that say how a number was made, never names
of variants. They must not convict the innocent: equality is weighed against how probable it is by chance (few items
repeat scores), points at the floor of an untrained model may agree, and a flat skill scores 0 throughout.
Known limit: of two checkpoints or two numbers of shots with the same numbers, the later checkpoint and the
larger number of shots are suspected, because caches return the older answer and harnesses fall back to no examples.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from saltus.curves.guards.base import Guard, View, guard
from saltus.curves.guards.equality import DECIDED_ADJACENT, DECIDED_APART, equal_pairs, weigh

OFF = 3.0
"""Errors by which a point lies outside its neighbours for its equality with a distant one to be no plateau."""


def _shots(view: View) -> pl.DataFrame:
    """Equal numbers under different shots, and sources whose path names other shots than the row."""
    points = view.points
    lies = points.filter("lies").select(
        "pid", pl.format("its source names another number of shots than {}", "n_shot").alias("why")
    )
    place = ["series", "run", "seed", "task", "condition", "slice", "metric", "tokens", "step", "flops"]
    whole = pl.col("n_shot").is_not_null() & pl.col("slice").is_null()
    rows = points.filter(whole).with_columns(shots=pl.col("n_shot").cast(pl.Int64))
    own = [*place, "pid", "y", "value", "n", "role", "shots", "series_label"]
    other = ("pid", "y", "shots", "series_label")
    both = rows.select(own).join(
        rows.select(*place, *[pl.col(c).alias(f"{c}_b") for c in other]), on=place, nulls_equal=True
    )
    both = both.filter(pl.col("shots") < pl.col("shots_b"))
    by = ["series_label", "series_label_b", "run", "seed", "shots", "shots_b"]
    weighed = weigh(both.with_columns(same=pl.col("y") == pl.col("y_b")), by)
    guilty = weighed.filter((pl.col("share") > 0.5) & (pl.col("log_p") < DECIDED_ADJACENT))
    why = pl.format(
        "numbers for {} shots equal those for {} shots in {} of {} comparisons: they were not asked with {} shots",
        "shots_b",
        "shots",
        "same",
        "compared",
        "shots_b",
    )
    whole = (pl.col("share") > 0.9) | (pl.col("y") == pl.col("y_b"))  # the odd ones were rerun
    caught = both.join(guilty, on=by, nulls_equal=True).filter(whole)
    return pl.concat([caught.select(pl.col("pid_b").alias("pid"), why.alias("why")), lies])


def _stale(view: View) -> pl.DataFrame:
    """Two checkpoints of a run with the same numbers to the last digit, after it left its untrained state.

    Where one of the two lies far off its own neighbours it is that one, and less equality convicts it: the verdict is
    given without it. Else the later one is suspected.
    """
    pairs = equal_pairs(view.points)
    limit = pl.when("adjacent").then(DECIDED_ADJACENT).otherwise(DECIDED_APART)
    several = pairs.filter((pl.col("share") > 0.5) & pl.col("moved"))
    odd = pl.max_horizontal("off", "off_earlier") > OFF
    stray = several.filter(odd & ~pl.col("adjacent") & (pl.col("log_p") < DECIDED_ADJACENT))
    early = pl.col("off_earlier").fill_null(0) > pl.col("off").fill_null(0)
    same = "the same numbers, to the last digit, as the checkpoint at {} in {} of {} comparisons"
    stray = stray.select(
        pl.when(early).then("pids_earlier").otherwise("pids").alias("pid"),
        pl.format(
            same
            + ", which chance gives with at most {}, and far off its neighbours: another checkpoint's answers, or a"
            " misplaced one",
            pl.when(early).then("at").otherwise("earlier").round_sig_figs(4).cast(pl.String),
            "same",
            "compared",
            pl.col("log_p").exp().round_sig_figs(2),
        ).alias("why"),
        pl.lit(True).alias("dropped"),
    )
    guilty = several.filter(pl.col("log_p") < limit).select(
        pl.col("pids").alias("pid"),
        pl.format(same, pl.col("earlier").round_sig_figs(4).cast(pl.String), "same", "compared").alias("why"),
        pl.lit(False).alias("dropped"),
    )
    stray, guilty = stray.explode("pid"), guilty.explode("pid")
    both = pairs.filter(odd).explode("pids", "pids_earlier") if stray.height else pairs.clear()
    known = pl.concat([stray["pid"], both["pids"], both["pids_earlier"]]) if stray.height else stray["pid"]
    return pl.concat([stray, guilty.filter(~pl.col("pid").is_in(known.implode()))])


def _constant(view: View) -> pl.DataFrame:
    """Graded scores that do not vary: over the items of one point, or over most points of a trained run."""
    soft = view.trained.filter(pl.col("channel") == "soft")
    bound = pl.Series(view.batch.soft.ceiling)
    soft = soft.with_columns(
        top=pl.col("cid").replace_strict(pl.Series(range(len(bound))), bound, return_dtype=pl.Float64)
    )
    free = (pl.col("y") != pl.col("top")) & (pl.col("y") != 0)
    over_items = soft.filter(free & (pl.col("se") == 0) & (pl.col("n") >= 10)).select(
        "pid", pl.lit("every item has the same graded score: the server gave no log-probabilities").alias("why")
    )
    k = pl.len().over("cid", "s", "y")
    digits = pl.col("value").cast(pl.String).str.replace_all(r"[^0-9]", "").str.strip_chars_start("0").str.len_chars()
    repeated = soft.filter(free & (digits >= 4) & (k >= 3) & (2 * k > pl.len().over("cid", "s")))
    why = pl.lit("the graded score is the same, to the last digit, at most points of the run")
    return pl.concat([over_items, repeated.select("pid", why.alias("why"))])


def _tokens(view: View) -> pl.DataFrame:
    """Points of different batch sizes on one axis: sorted by tokens, steps run backwards."""
    rows = view.trained.filter(pl.col("within") & (pl.col("tokens") > 0) & (pl.col("step") > 0))
    rows = rows.unique(["cid", "s", "p"]).sort("cid", "s", "tokens", "step")
    before = pl.col("step").shift(1).over("cid", "s")
    again = (pl.col("tokens") == pl.col("tokens").shift(1).over("cid", "s")) & (pl.col("step") != before)
    jumbled = rows.filter((pl.col("step") < before) | again).select("cid").unique()
    rows = rows.join(jumbled, on="cid", how="semi").with_columns(
        rate=(pl.col("tokens") / pl.col("step")).log10().round(1)
    )
    usual = (
        rows.group_by("cid", "rate")
        .len()
        .sort("len", "rate", descending=True)
        .unique("cid", keep="first", maintain_order=True)
        .select("cid", pl.col("rate").alias("usual"))
    )
    odd = rows.join(usual, on="cid").filter(pl.col("rate") != pl.col("usual"))
    why = pl.format(
        "{} tokens per step here, about {} elsewhere: points of different runs on one axis",
        (pl.col("tokens") / pl.col("step")).round_sig_figs(3),
        (10 ** pl.col("usual")).round_sig_figs(2),
    )
    return odd.select("pid", why.alias("why"))


def _contradicting(view: View) -> pl.DataFrame:
    """Several different numbers for one point: a superseded rerun, or rows of different conditions pooled."""
    why = pl.format("{} different numbers for this point, {} apart", "readings", pl.col("spread").round_sig_figs(2))
    return view.points.filter(pl.col("spread") > 0).select("pid", why.alias("why"))


def _truncated(view: View) -> pl.DataFrame:
    """Prompts that were cut to fit, where a column says so."""
    cut = view.points.filter(pl.col("truncated") > 0)
    return cut.select("pid", pl.format("{} of the prompts were cut", "truncated").alias("why"))


def _white_space(view: View) -> pl.DataFrame:
    """Exact match that a kinder reading of the same answers raises: white space once made 15 of 17 models score 0."""
    names = pl.col("metric").cast(pl.String)
    rows = view.points.filter(names.str.starts_with("exact_match")).with_columns(
        kind=names.str.replace("_stripped", "", literal=True).str.split(",").list.first(),
        kind_reading=names.str.contains("_stripped|flexible"),
    )
    place = ["series_label", "run", "seed", "task", "condition", "slice", "tokens", "step", "params", "flops", "kind"]
    kinder = rows.filter("kind_reading").group_by(place).agg(pl.col("y").max().alias("kinder"))
    both = rows.filter(~pl.col("kind_reading")).join(kinder, on=place, nulls_equal=True)
    gap = pl.col("kinder") - pl.col("y")
    bad = both.filter(gap > pl.max_horizontal(pl.lit(0.02), 3 * pl.col("se").fill_null(0.0)))
    why = pl.format(
        "exact match is {} as written and {} when white space or words around it are ignored",
        pl.col("y").round(3),
        pl.col("kinder").round(3),
    )
    return bad.select("pid", why.alias("why"))


def _off_menu(view: View) -> pl.DataFrame:
    many = view.points.filter(pl.col("off_menu") > 0.05)
    return many.select("pid", pl.format("{} of the answers are none of the choices", "off_menu").alias("why"))


def _unequal_items(view: View) -> pl.DataFrame:
    rows = view.trained.filter(pl.col("n").is_not_null())
    counts = rows.group_by("cid", "channel").agg(pl.col("n").min().alias("low"), pl.col("n").max().alias("high"))
    why = pl.format("points rest on {} to {} items", pl.col("low").cast(pl.Int64), pl.col("high").cast(pl.Int64))
    return counts.filter(pl.col("high") > 1.01 * pl.col("low")).select("cid", why.alias("why")).unique("cid")


def _zero(view: View) -> pl.DataFrame:
    hard = (
        view.trained.filter(pl.col("channel") == "hard")
        .group_by("cid")
        .agg((pl.col("value") == 0).all().alias("zero"), pl.len().alias("k"))
    )
    why = "the score is exactly 0 at every point: a skill that is absent, or answers that are never read right"
    return hard.filter(pl.col("zero") & (pl.col("k") > 1)).select("cid", pl.lit(why).alias("why"))


def _floor(view: View) -> pl.DataFrame:
    """Untrained models away from 1/k: the nominal floor would see emergence, or miss it.

    A floor that a task computed is away from 1/k by design and no fault.
    """
    hard = view.batch.hard
    untrained = np.array([key.floor_source == "untrained points" for key in view.batch.keys])
    off = np.abs(hard.floor - hard.nominal_floor)
    large = np.nan_to_num(off) > np.fmax(0.02, 3 * np.nan_to_num(hard.floor_stderr))
    hit = np.flatnonzero(large & untrained)
    why = [f"untrained score {hard.floor[c]:.3f}, nominal chance {hard.nominal_floor[c]:.3f}" for c in hit]
    return pl.DataFrame({"cid": hit, "why": why}, schema={"cid": pl.UInt32, "why": pl.String})


def _heavy_tail(view: View) -> pl.DataFrame:
    """A raw quantity over three powers of ten: a few items make its mean, its logarithm is what to analyse."""
    raw = view.trained.filter((pl.col("y") == pl.col("value")) | (pl.col("y") == -pl.col("value")))
    spans = raw.group_by("cid", "channel").agg(pl.col("value").min().alias("low"), pl.col("value").max().alias("high"))
    wide = spans.filter((pl.col("low") > 1) & (pl.col("high") > 1000 * pl.col("low")))
    why = pl.format(
        "raw values from {} to {}: heavy-tailed, analyse the logarithm (name it as a perplexity)",
        pl.col("low").round_sig_figs(3),
        pl.col("high").round_sig_figs(3),
    )
    return wide.select("cid", why.alias("why"))


def _flops(view: View) -> pl.DataFrame:
    """Compute that does not fit 6 × params × tokens as it does for the other models of the series."""
    known = (pl.col("params") > 0) & (pl.col("tokens") > 0) & (pl.col("flops") > 0)
    rows = view.trained.filter(known & (pl.col("axis") == "flops")).with_columns(
        rate=(pl.col("flops") / (6 * pl.col("params") * pl.col("tokens"))).log()
    )
    away = (pl.col("rate") - pl.col("rate").median().over("cid")).abs()
    odd = rows.filter((away > np.log(1.3)) & (pl.len().over("cid") >= 3))
    why = pl.format(
        "{} FLOPs are {} × 6·params·tokens, unlike the other models",
        pl.col("flops").round_sig_figs(3),
        pl.col("rate").exp().round_sig_figs(3),
    )
    return odd.select("pid", why.alias("why"))


def _bos(view: View) -> pl.DataFrame:
    """A beginning-of-sequence token that is missing or doubled, where a column says so."""
    bad = view.points.filter(pl.col("bos").str.to_lowercase().is_in(["missing", "double", "doubled"]))
    return bad.select("pid", pl.format("beginning-of-sequence token: {}", "bos").alias("why"))


GUARDS: tuple[Guard, ...] = (
    guard("shots", "disqualifying", _shots, "n_shot"),
    guard("stale_answers", "disqualifying", _stale),
    guard("constant_likelihoods", "disqualifying", _constant),
    guard("truncated_prompts", "disqualifying", _truncated, "truncated"),
    guard("mixed_tokens", "disqualifying", _tokens),
    guard("contradicting_rows", "disqualifying", _contradicting),
    guard("white_space", "caution", _white_space),
    guard("off_menu", "caution", _off_menu, "off_menu"),
    guard("bos", "caution", _bos, "bos"),
    guard("unequal_items", "caution", _unequal_items),
    guard("exactly_zero", "caution", _zero),
    guard("floor_off_nominal", "caution", _floor),
    guard("heavy_tail", "caution", _heavy_tail),
    guard("flops_mismatch", "caution", _flops),
)
