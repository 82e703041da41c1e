"""Checks: one question to a batch of curves per file; `base` is the contract."""
