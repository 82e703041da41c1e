"""Guards that need more than numbers: which weights, tokenizer and answers are behind a point.

Columns with such facts come from a store (`store.tables`), or from published results that have them; without them
these guards are silent. Registered in `guards.GUARDS`. What is convicted is narrow: choices tie by chance now and then,
a base model rambles, a folder may count its steps in thousands, two seeds may start from the same weights.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from saltus.curves.guards.base import Guard, View, guard

MANY = 0.5
"""Share of a point's questions from which on a tie of all choices, or a probability of 1 for all, is no accident."""
SOME = 0.05
"""Share of cut answers worth a caution, as for answers off the menu."""
UNREAD = 0.05
"""Score up to which answers that hold their own target are a contradiction."""
_RUN = ["cid", "channel", "s"]


def _same_weights(view: View) -> pl.DataFrame:
    """One set of weights at two places of a run: a copied checkpoint, or a name that says another step."""
    rows = view.trained.filter(pl.col("weights_hash").is_not_null()).sort("fit")
    first = rows.group_by(*_RUN, "weights_hash", maintain_order=True).agg(
        pl.col("fit").first().alias("from"), pl.col("x").first().alias("place")
    )
    again = rows.join(first, on=[*_RUN, "weights_hash"]).filter(pl.col("fit") > pl.col("from"))
    why = pl.format(
        "the same weights as at {} {}: a checkpoint under two names", "axis", pl.col("place").round_sig_figs(4)
    )
    return again.select("pid", why.alias("why"))


def _minority(column: str, template: str, *, within: bool) -> Callable[[View], pl.DataFrame]:
    """A guard on what the points of one run share: those are suspected that differ from most. template: with {} for
    what is here and {} for what is elsewhere. within: only along training; families may differ."""

    def find(view: View) -> pl.DataFrame:
        rows = view.trained.filter(pl.col(column).is_not_null() & (pl.lit(not within) | pl.col("within")))
        counts = rows.group_by(*_RUN, column).agg(pl.len().alias("k"), pl.col("fit").min())
        usual = (
            counts.filter(pl.len().over(_RUN) > 1)
            .sort("k", "fit", descending=[True, False])
            .unique(_RUN, keep="first", maintain_order=True)
            .select(*_RUN, pl.col(column).alias("usual"))
        )
        odd = rows.join(usual, on=_RUN).filter(pl.col(column) != pl.col("usual"))
        here, there = (pl.col(c).cast(pl.String).str.slice(0, 15) for c in (column, "usual"))
        return odd.select("pid", pl.format(template, here, there).alias("why"))

    return find


def _misplaced(view: View) -> pl.DataFrame:
    """The name says another step than trainer_state.json, by another factor than elsewhere in the run."""
    rows = view.trained.filter(pl.col("within") & (pl.col("step") > 0))
    reported = pl.coalesce(pl.col("trainer_step").cast(pl.Float64, strict=False), "step")
    rows = rows.with_columns(reported=reported).filter(pl.col("reported") > 0)
    rows = rows.with_columns(factor=(pl.col("step") / pl.col("reported")).log())
    away = (pl.col("factor") - pl.col("factor").median().over(_RUN)).abs()
    why = pl.format(
        "its name says step {}, its trainer_state.json {}",
        pl.col("step").cast(pl.Int64),
        pl.col("reported").cast(pl.Int64),
    )
    return rows.filter(away > 0.001).select("pid", why.alias("why"))


def _changed(view: View) -> pl.DataFrame:
    """One question, one identity, two answers: the model behind a name was exchanged."""
    many = view.points.filter(pl.col("changed_answers") > 0)
    why = pl.format(
        "{} questions have two different answers under one identity: what answers to this name was exchanged",
        pl.col("changed_answers").cast(pl.Int64),
    )
    return many.select("pid", why.alias("why"))


def _share(column: str, least: float, template: str) -> Callable[[View], pl.DataFrame]:
    """A guard on a share of a point's questions. template: with {} for the share."""

    def find(view: View) -> pl.DataFrame:
        many = view.points.filter(pl.col(column) > least)
        return many.select("pid", pl.format(template, pl.col(column).round(3)).alias("why"))

    return find


def _held(view: View) -> pl.DataFrame:
    """Answers that hold their own target where almost none is scored right: they are read wrong, whatever the curve."""
    rows = view.trained.filter(pl.col("held_targets").is_not_null() & (pl.col("channel") == "hard"))
    low = rows.filter(pl.col("y") <= UNREAD)
    return low.select("cid", "s", "p", pl.col("held_targets").alias("why"), pl.lit(True).alias("standing"))


def _seam(view: View) -> pl.DataFrame:
    """White space between prompt and answer, where the task's own prompts show it: the same at every point."""
    bad = view.trained.filter(pl.col("white_space") != "")
    return bad.group_by("cid").agg(pl.col("white_space").mode().min().alias("why"))


GUARDS: tuple[Guard, ...] = (
    guard("same_weights", "disqualifying", _same_weights, "weights_hash"),
    guard(
        "mixed_shots",
        "disqualifying",
        _minority("n_shot", "worked examples differ within the series: {} here, {} elsewhere", within=False),
        "n_shot",
    ),
    guard(
        "mixed_tokenizer",
        "disqualifying",
        _minority(
            "tokenizer",
            "its tokenizer splits text in another way than the run's other checkpoints: {} here, {} elsewhere",
            within=True,
        ),
        "tokenizer",
    ),
    guard("changed_answers", "disqualifying", _changed, "changed_answers"),
    guard(
        "tied_choices",
        "disqualifying",
        _share(
            "tied_choices",
            MANY,
            "in {} of the questions all choices are exactly as likely: no log-probabilities of them",
        ),
        "tied_choices",
    ),
    guard(
        "zero_likelihoods",
        "disqualifying",
        _share("zero_likelihoods", MANY, "in {} of the questions every log-probability is exactly 0, right or wrong"),
        "zero_likelihoods",
    ),
    guard("held_targets", "disqualifying", _held, "held_targets"),
    guard("misplaced_checkpoint", "caution", _misplaced, "trainer_step"),
    guard(
        "cut_answers",
        "caution",
        _share(
            "cut_answers", SOME, "{} of the answers ended at the limit of tokens with the right one in them, or empty"
        ),
        "cut_answers",
    ),
    guard("white_space_seam", "caution", _seam, "white_space"),
)
