"""A study's results as Every Eval Ever records, so that others can set them beside everybody's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from saltus.export.every_eval_ever_write import Written, write
from saltus.results.formats.every_eval_ever_record import Provenance
from saltus.runner.open import load_with_store
from saltus.store.rows import item_from_json
from saltus.tasks.base import origin

if TYPE_CHECKING:
    from saltus.store import Store


def export_every_eval_ever(document: Path, to: Path, source: Provenance, *, items: bool = False) -> Written:
    """Writes one record per model into the folder `to`, with its samples where items is set.

    source: who publishes, who made the models; its `evaluated` is the last question's time where it is None. Raises
    UserError where the study never ran or the folder cannot be written.
    """
    study, store = load_with_store(document)
    if source.evaluated is None:
        source = replace(source, evaluated=_asked_last(store))
    source = replace(source, origins={task.name: origin(task) for task in study.tasks()})
    table = store.table(study).collect()
    if not items:
        return write(table, to, source)
    known = store.items().select("item_hash", "item").collect()
    read = {name: item_from_json(text) for name, text in known.iter_rows()}
    single = store.item_table(study).join(_first_answers(store), on=["model_identity", "ask_id"], how="left")
    return write(table, to, source, items=single.collect(), known=read)


def _asked_last(store: Store) -> int | None:
    last = store.asks().select(pl.col("time").max()).collect().item()
    return None if last is None else int(last)


def _first_answers(store: Store) -> pl.LazyFrame:
    """The words of the first answer to each question; log-likelihoods have none."""
    asks = store.asks().select(model_identity="model", ask_id="ask_id", key=pl.col("keys").list.first())
    texts = store.answers().filter(pl.col("text") != "").select("key", answer="text").unique("key", keep="any")
    return asks.join(texts, on="key", how="inner").drop("key").unique(["model_identity", "ask_id"], keep="any")
