"""Where answers live: append-only, content-addressed, re-scored without asking.

`place` knows folders and object stores, `log` the hash chains, `rows` and `base` the segments, `writer` the commits;
`scores` and `tables` derive what can be thrown away. `Store` is all of it under one name.
"""

from __future__ import annotations

import polars as pl

from saltus.store.base import Segments
from saltus.store.selection import What
from saltus.store.upkeep import Problem
from saltus.store.writer import Writer

__all__ = ["Problem", "Store", "Writer"]


class Store(Segments):
    """Segments of answers, the tables derived from them, and their upkeep."""

    def table(self, asked: What, *, rescore: bool = False) -> pl.LazyFrame:
        """The results table, one row per number, of a study or of a list of tasks. Never asks.

        Columns: `results.table.COLUMNS` and those that `tables` names. rescore: leave kept scores aside.
        """
        from saltus.store.tables import results

        return results(self, asked, rescore=rescore)

    def item_table(self, asked: What, *, rescore: bool = False) -> pl.LazyFrame:
        """The same, one row per item and metric; missing answers and refusals as rows with their reason."""
        from saltus.store.tables import item_rows

        return item_rows(self, asked, rescore=rescore)

    def verify(self) -> list[Problem]:
        """Re-hashes every log line, file and item; empty means that all is as it was written."""
        from saltus.store.upkeep import verify

        return verify(self)

    def compact(self, *, stray_after: float = 3600.0) -> int:
        """Merges each model's segments into one and removes strays; see `upkeep.compact`."""
        from saltus.store.upkeep import compact

        return compact(self, stray_after=stray_after)
