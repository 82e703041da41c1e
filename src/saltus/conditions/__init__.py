"""Conditions: pure changes of an item, one file per kind; `base` is the contract."""
