"""Harness faults that mimic emergence: the guards in `GUARDS`, looked for by `suspects` of every curve."""

from saltus.curves.guards import harness, numbers, provenance, standstill
from saltus.curves.guards.base import Guard, Severity, View, guarded, suspects

GUARDS: tuple[Guard, ...] = (*harness.GUARDS, *standstill.GUARDS, *numbers.GUARDS, *provenance.GUARDS)

__all__ = ["GUARDS", "Guard", "Severity", "View", "guarded", "suspects"]
