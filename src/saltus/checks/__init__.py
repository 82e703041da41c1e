"""Checks: one question per file; `base` is the contract.

`MEASURED` read what the judge measured and decide the verdict's facts; `BESIDE` look at the items and decide nothing.
Both stand here, and under entry points `saltus.checks` like any plug-in's.
"""

from saltus.checks import flips, pass_rate, presence, replication, robustness, shape, surprise, twin
from saltus.checks.base import Check
from saltus.checks.kit import BuiltIn

MEASURED: tuple[BuiltIn, ...] = (presence.check, shape.check, surprise.check, twin.check, replication.check)
BESIDE: tuple[Check, ...] = (robustness.check, flips.check, pass_rate.rate, pass_rate.law)

__all__ = ["BESIDE", "MEASURED"]
