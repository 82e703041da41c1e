"""Plain batching: rows padded on the right, for networks that cannot be read as a trie.

Rows sorted by length, as many together as the budget of tokens allows. In a causal network nothing to the left of a
pad sees it, so no mask and no position ids are needed and every architecture reads its row exactly as if it were
alone. The output head runs only where a log-probability is wanted: a hook in front of it gathers those positions, so
whatever the architecture does after the head (soft caps, scales) still happens.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from saltus.models.local.head import read_logits, vocabulary
from saltus.models.local.rows import Row, Scored


def score(net: Any, rows: Sequence[Row], budget: int, head_cells: int) -> Iterator[Scored]:
    """Every row's continuation under the network, in any order. budget: tokens, padding included, per forward.

    head_cells: most logits (positions × vocabulary) held at once, unless one row needs more.
    """
    head_rows = max(1, head_cells // max(1, vocabulary(net)))
    for batch in plan(rows, budget, head_rows):
        start = time.perf_counter()
        done = _score_batch(net, batch)
        share = (time.perf_counter() - start) / sum(row.length for row in batch)
        for row, (logprobs, ranks) in zip(batch, done, strict=True):
            yield Scored(row.index, tuple(logprobs), tuple(ranks), share * row.length)


def plan(rows: Sequence[Row], budget: int, head_rows: int) -> Iterator[list[Row]]:
    """Batches of rows of like length, longest first (so that memory runs out at once or never)."""
    batch: list[Row] = []
    wanted = 0
    for row in sorted(rows, key=lambda r: (-r.length, r.index)):
        more = wanted + len(row.continuation)
        if batch and ((len(batch) + 1) * batch[0].length > budget or more > head_rows):
            yield batch
            batch, more = [], len(row.continuation)
        batch.append(row)
        wanted = more
    if batch:
        yield batch


def _score_batch(net: Any, batch: Sequence[Row]) -> Iterator[tuple[list[float], list[int]]]:
    width = max(row.length for row in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    at_row: list[int] = []
    at_place: list[int] = []
    wanted: list[int] = []
    for i, row in enumerate(batch):
        ids[i, : row.length] = torch.tensor(row.read)
        at_row += [i] * len(row.continuation)
        at_place += range(len(row.prompt) - 1, row.length)
        wanted += row.continuation
    where = torch.tensor([at_row, at_place])
    with torch.inference_mode():
        logits = _logits_at(net, ids.to(net.device), where.to(net.device))
        logprobs, ranks = read_logits(logits, torch.tensor(wanted, device=logits.device))
    counts = [len(row.continuation) for row in batch]
    return zip(_cut(logprobs.tolist(), counts), _cut(ranks.tolist(), counts), strict=True)


def _logits_at(net: Any, ids: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Logits [n, vocabulary] at n places (row, position) of ids [rows, width]."""
    head = net.get_output_embeddings()

    def gather(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not args or args[0].shape[:2] != ids.shape:
            return None  # not the hidden states of every position: leave it, and gather from the logits
        return (args[0][where[0], where[1]][None], *args[1:])

    hook = head.register_forward_pre_hook(gather) if head is not None else None
    try:
        logits = net(**forward_arguments(net, ids)).logits
    finally:
        if hook is not None:
            hook.remove()
    if logits.shape[:2] == (1, where.shape[1]):
        return logits[0]
    return logits[where[0], where[1]]


def forward_arguments(net: Any, ids: torch.Tensor) -> dict[str, Any]:
    """The arguments for one plain pass over ids: no cache and, where a mask is taken, one that masks nothing."""
    taken = inspect.signature(net.forward).parameters
    arguments: dict[str, Any] = {"input_ids": ids}
    if "attention_mask" in taken:
        arguments["attention_mask"] = torch.ones_like(ids)
    if "use_cache" in taken:
        arguments["use_cache"] = False
    return arguments


def _cut(values: list[Any], counts: Sequence[int]) -> Iterator[list[Any]]:
    start = 0
    for count in counts:
        yield values[start : start + count]
        start += count
