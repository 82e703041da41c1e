"""The seam between what is asked and what is computed: rows of token ids in, log-probabilities out.

`score` is the only way log-likelihoods are computed, so a better way to share work (one forward pass per
distinct prefix) is a change of this file alone. Today it is plain batching: rows sorted by length, as many
together as the budget of tokens allows, padded on the right. In a causal network nothing to the left of a pad
sees it, so no mask and no position ids are needed and every architecture reads its row exactly as if it were
alone.

The output head runs only where a log-probability is wanted: a hook in front of it gathers those positions, so
whatever the architecture does after the head (soft caps, scales) still happens. `self_check` compares all this
with the architecture's own forward pass, one row at a time, before anything is trusted.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

HEAD_CELLS = 2**26
"""Most logits (positions × vocabulary) held at once: 256 MB in fp32."""


@dataclass(frozen=True, slots=True)
class Row:
    """How likely is `continuation` after `prompt`. Both hold at least one token."""

    index: int
    prompt: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens the network reads: the last one only has to be predicted."""
        return len(self.prompt) + len(self.continuation) - 1


@dataclass(frozen=True, slots=True)
class Scored:
    """Per token of a row's continuation; a log-probability that is not finite is left as it is."""

    index: int
    logprobs: tuple[float, ...]
    ranks: tuple[int, ...]
    """Tokens that are more likely, equal ones with a smaller id included: 0 is what argmax picks."""
    seconds: float


def score(net: Any, rows: Sequence[Row], budget: int) -> Iterator[Scored]:
    """Every row's continuation under the network, in any order. budget: tokens, padding included, per forward."""
    head_rows = max(1, HEAD_CELLS // max(1, vocabulary(net)))
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
        ids[i, : row.length] = torch.tensor((*row.prompt, *row.continuation)[:-1])
        at_row += [i] * len(row.continuation)
        at_place += range(len(row.prompt) - 1, row.length)
        wanted += row.continuation
    where = torch.tensor([at_row, at_place])
    with torch.inference_mode():
        logits = _logits_at(net, ids.to(net.device), where.to(net.device))
        logprobs, ranks = read_logits(logits, torch.tensor(wanted, device=logits.device))
    counts = [len(row.continuation) for row in batch]
    return zip(_cut(logprobs.tolist(), counts), _cut(ranks.tolist(), counts), strict=True)


def read_logits(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probability, rank) of one token per row of logits [n, vocabulary]; softmax in fp32."""
    logits = logits.float()
    chosen = logits.gather(1, tokens[:, None])
    logprobs = chosen[:, 0] - logits.logsumexp(-1)
    earlier = torch.arange(logits.shape[1], device=logits.device) < tokens[:, None]
    ranks = ((logits > chosen) | ((logits == chosen) & earlier)).sum(-1)
    return logprobs, ranks


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


def vocabulary(net: Any) -> int:
    """Columns of the output head."""
    config = net.config.get_text_config() if hasattr(net.config, "get_text_config") else net.config
    return int(config.vocab_size)


def self_check(net: Any, window: int | None) -> float:
    """Largest |Δ| in nats between batched scores and plain forward passes of single rows, on random tokens.

    NaN logits are no disagreement: they are reported where they are asked.
    """
    dice = torch.Generator().manual_seed(0)
    longest = min(window or 17, 17)
    rows = []
    for i, length in enumerate((longest, max(2, longest // 2), max(2, longest // 4))):
        ids = tuple(torch.randint(vocabulary(net), (length,), generator=dice).tolist())
        cut = max(1, length - 3)
        rows.append(Row(i, ids[:cut], ids[cut:]))
    worst = 0.0
    for scored in score(net, rows, budget=10**6):
        row = rows[scored.index]
        whole = torch.tensor([(*row.prompt, *row.continuation)], device=net.device)
        with torch.inference_mode():
            logits = net(input_ids=whole[:, :-1]).logits[0].float().log_softmax(-1)
        for k, (token, ours) in enumerate(zip(row.continuation, scored.logprobs, strict=True)):
            theirs = logits[len(row.prompt) - 1 + k, token].item()
            worst = max(worst, abs(ours - theirs) if ours == ours and theirs == theirs else 0.0)
    return worst


def _cut(values: list[Any], counts: Sequence[int]) -> Iterator[list[Any]]:
    start = 0
    for count in counts:
        yield values[start : start + count]
        start += count
