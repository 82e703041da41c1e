"""Public help for tests: scripted models of known truth, a toy task, temporary stores. No torch.

A scripted model (`scripted:leap`, `scripted:smooth`, `scripted:artefact`, `scripted:flat`, …) answers as if its skill
followed a stated curve along training tokens (or parameters). Every answer is drawn from (identity, token ids, seed)
alone, so order, batches and restarts cannot change it, and a test knows what the verdict should be. It also
misbehaves on demand (`Faults`) and counts how often it was asked (`asked`).

As an entry of a study:

    models:
      - from: scripted:leap
        points: 21          # models along the axis, log-spaced from first to last
        first: 1.0e+6
        last: 1.0e+9
        seeds: 3            # a number, or a list of seeds
        floor: 0.0          # accuracy without the skill; 0.25 for four choices
        ceiling: 0.95
        axis: tokens        # or params
        params: 1.0e+6
        untrained: true     # one more point at 0 tokens
        oracle: mypackage.mymodule:right_answer      # prompt -> right answer, or None where it does not know
        faults: {raise_at: 5}

How truth is made: an item is right iff u < accuracy(x), u uniform from the hash. A right continuation's tokens
have mean log-probability soft(x); a wrong choice's total lies above or below the right one's by a margin whose sign is
that of "right". Limits: a prompt the oracle does not know has every continuation counted as the right one, and
generation answers "?"; ranks and log-probabilities of one token are not those of one distribution.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saltus.testing.scripted import ScriptedModel, adapter, asked, forget, scripted_series
from saltus.testing.scripts import CURVES, Faults, Script, right_answer
from saltus.testing.toy import ToyTask

__all__ = [
    "CURVES",
    "Faults",
    "Script",
    "ScriptedModel",
    "ToyTask",
    "adapter",
    "asked",
    "forget",
    "right_answer",
    "scripted_series",
    "temporary_store",
]


@contextlib.contextmanager
def temporary_store() -> Iterator[Any]:
    """A `saltus.store.Store` in a folder that goes when the block ends."""
    from saltus.store import Store

    with tempfile.TemporaryDirectory(prefix="saltus-test-") as folder:
        yield Store(Path(folder) / "store")
