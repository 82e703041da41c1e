"""Where answers live: append-only, content-addressed, re-scored without asking.

`place` knows folders and object stores, `log` the hash chains, `segments` the rows, `writer` the commits,
`base` the store itself, `scores` and `tables` what is derived from it and can be thrown away.
"""

from saltus.store.base import Problem, Store
from saltus.store.writer import Writer

__all__ = ["Problem", "Store", "Writer"]
