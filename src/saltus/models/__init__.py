"""Adapters: one file per way to reach a model; `base` is the contract."""
