"""Harness faults that mimic emergence: the guards in `GUARDS`, looked for by `suspects` of every curve."""

from saltus.curves.guards import numbers, provenance
from saltus.curves.guards.base import Guard, Severity, View, suspects

GUARDS: tuple[Guard, ...] = (*numbers.GUARDS, *provenance.GUARDS)

__all__ = ["GUARDS", "Guard", "Severity", "View", "suspects"]
