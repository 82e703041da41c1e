"""From hidden states to log-probabilities and ranks, only where somebody asked, never all at once.

With a vocabulary of 262,144 the output head costs more than the body of a small network and its logits fill a
megabyte per token, so rows go through it in blocks that fit a budget, into one piece of memory used again and again
(to allocate it each time costs a fifth of the product), and the softmax through smaller ones that stay in the
processor's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

PIECE = 2**21
"""Logits (rows × columns) whose softmax is held at once: 8 MB in fp32, to stay in cache."""
MOST_ROWS = 2048
"""Hidden states after which the head runs, even if more would fit: answers should not wait for long."""
NARROW = 4096
"""Columns up to which ranks are counted for many tokens at once."""


def vocabulary(net: Any) -> int:
    """Columns of the output head."""
    config = net.config.get_text_config() if hasattr(net.config, "get_text_config") else net.config
    return int(config.vocab_size)


def read_logits(
    logits: torch.Tensor, tokens: torch.Tensor, rows: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probability, rank) of tokens [n] under logits [rows, vocabulary]; softmax in fp32.

    rows: which row of logits each token is read from, ascending; by default one row per token. Rank: how many
    tokens are more likely, equal ones with a smaller id included.
    """
    logits = logits.float()
    if rows is None:
        rows = torch.arange(len(tokens), device=logits.device)
    chosen = logits[rows, tokens]
    return _logprobs(logits, tokens, rows), _ranks(logits, chosen, tokens, rows)


def _logprobs(logits: torch.Tensor, tokens: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """By torch's own log-softmax, a few rows at a time.

    Over 262,144 columns it is off by 2e-5 nats in fp32, always in the same direction; other harnesses use it, and
    sums over many tokens agree with theirs only if ours does.
    """
    few = max(1, PIECE // logits.shape[1])
    first = torch.arange(0, len(logits) + few, few, device=logits.device)
    bounds = torch.searchsorted(rows.contiguous(), first).tolist()
    found = torch.empty(len(tokens), device=logits.device)
    for piece, a, b in zip(logits.split(few), bounds[:-1], bounds[1:], strict=False):
        found[a:b] = piece.log_softmax(-1)[rows[a:b] % few, tokens[a:b]]
    return found


def _ranks(logits: torch.Tensor, chosen: torch.Tensor, tokens: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Small vocabularies at once; large ones a row at a time, so that nothing of their size is allocated."""
    if logits.shape[1] <= NARROW:
        values, own = logits[rows], chosen[:, None]
        earlier = torch.arange(logits.shape[1], device=logits.device) < tokens[:, None]
        return ((values > own) | ((values == own) & earlier)).sum(-1)
    counted = []
    for row, token, own in zip(rows.tolist(), tokens.tolist(), chosen, strict=True):
        values = _array(logits[row])
        counted.append(_count(values[:token] >= _array(own)) + _count(values[token:] > _array(own)))
    return tokens.new_tensor([int(n) for n in counted])


def _array(values: torch.Tensor) -> Any:
    """On a processor numpy's view of the same numbers, which it compares and counts five times as fast."""
    return values.numpy() if values.device.type == "cpu" else values


def _count(hits: Any) -> Any:
    """How many are true."""
    return np.count_nonzero(hits) if isinstance(hits, np.ndarray) else hits.count_nonzero()


class Head:
    """The output head of a network, taken apart so that it can be asked row by row.

    What an architecture does to its logits afterwards is read from its config; the self-check finds out whether
    that was all. cells: most logits held at once; `most`: how many hidden states that is.
    """

    def __init__(self, net: Any, cells: int) -> None:
        self.most = max(1, min(MOST_ROWS, cells // vocabulary(net)))
        config = net.config.get_text_config()
        self.layer = net.get_output_embeddings()
        self.softcap = getattr(config, "final_logit_softcapping", None)
        self.times = getattr(config, "logit_scale", None)
        self.over = getattr(config, "logits_scaling", None)
        self._room: torch.Tensor | None = None
        """Where a processor writes its logits."""

    def read(self, hidden: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probability, rank) of tokens [n], each after the hidden state [rows[n]] of hidden [r, width]."""
        return read_logits(self._logits(hidden), tokens, rows)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = self._product(hidden)
        if self.times is not None:
            logits.mul_(self.times)
        if self.over is not None:
            logits.div_(self.over)
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits

    def _product(self, hidden: torch.Tensor) -> torch.Tensor:
        """The layer's output; a bare matrix on a processor writes it where the last one was."""
        layer = self.layer
        if hidden.device.type != "cpu" or not _bare(layer):
            return layer(hidden)  # type: ignore[no-any-return]
        if self._room is None:  # what is not written to takes no memory
            self._room = hidden.new_empty(self.most, len(layer.weight))
        return torch.mm(hidden, layer.weight.t(), out=self._room[: len(hidden)])


def _bare(layer: Any) -> bool:
    """Whether a layer is a product with its weight and nothing else."""
    hooked = layer._forward_hooks or layer._forward_pre_hooks
    return type(layer) is torch.nn.Linear and layer.bias is None and not hooked
