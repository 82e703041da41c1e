"""Rows leave a batch as they finish: the cache of any architecture without theirs.

transformers' own `batch_select_indices` knows keys and values only. Layers with convolutions or recurrent states
(LFM2, Bamba, Qwen3-Next) have none, and layers with both (Falcon-H1) lose the one and keep the other. Here every
tensor of a cache is selected whose first dimension counts rows, wherever the cache keeps it. A tensor of another first
dimension makes the whole cache `Unselectable`: whoever asked then keeps the finished rows and ignores what is predicted
for them. Limit: a tensor without rows whose first dimension happens to be their number is taken for one of rows; the
self-check of `decoding.company` is there for that.
"""

from __future__ import annotations

import copy
from typing import Any

import torch


class Unselectable(Exception):
    """A cache holds a tensor in which the rows of the batch are not the first dimension."""


def select(cache: Any, rows: torch.Tensor, count: int) -> Any:
    """A cache of those rows out of `count`; the one given is left as it was. Raises Unselectable."""
    chosen = _Selection(rows, count)
    return chosen.of(cache) if isinstance(cache, _PLAIN) else chosen.within(cache)


_PLAIN = (torch.Tensor, dict, list, tuple)


class _Selection:
    def __init__(self, rows: torch.Tensor, count: int) -> None:
        self.rows, self.count = rows, count

    def of(self, value: Any) -> Any:
        """A tensor, or tensors in dicts, lists and tuples; anything else as it is."""
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, dict):
            return {key: self.of(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.of(one) for one in value)
        return value

    def within(self, cache: Any) -> Any:
        """The attributes of a cache and of its layers."""
        found = copy.copy(cache)
        for name, value in vars(cache).items():
            if name == "layers":
                found.layers = [self.within(layer) for layer in value]
            else:
                setattr(found, name, self.of(value))
        return found

    def _tensor(self, value: torch.Tensor) -> torch.Tensor:
        if value.dim() == 0 or value.numel() == 0:
            return value
        if value.shape[0] != self.count:
            raise Unselectable(f"a tensor of shape {tuple(value.shape)} in the cache of {self.count} rows")
        return value.index_select(0, self.rows.to(value.device))
