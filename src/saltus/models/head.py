"""From hidden states to log-probabilities and ranks, only where somebody asked, never all at once.

With a vocabulary of 262,144 the output head costs more than the body of a small network and its logits fill a
megabyte per token, so rows go through it in blocks that fit a budget and the softmax runs over pieces of the
vocabulary that stay in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import torch

PIECE = 2**18
"""Logits (rows × columns) whose exponentials are held at once: 1 MB in fp32."""
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
    return chosen - _logsumexp(logits)[rows], _ranks(logits, chosen, tokens, rows)


def _logsumexp(logits: torch.Tensor) -> torch.Tensor:
    """As torch's, over pieces of a row: one temporary that stays in cache."""
    most = logits.amax(-1, keepdim=True)
    most = torch.where(most.isinf(), torch.zeros_like(most), most)
    width = max(1, PIECE // max(1, len(logits)))
    total = torch.zeros_like(most)
    for piece in logits.split(width, 1):
        total += (piece - most).exp_().sum(-1, keepdim=True)
    return (total.log_() + most)[:, 0]


def _ranks(
    logits: torch.Tensor, chosen: torch.Tensor, tokens: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """Small vocabularies at once; large ones a row at a time, so that nothing of their size is made anew."""
    if logits.shape[1] <= NARROW:
        values, own = logits[rows], chosen[:, None]
        earlier = torch.arange(logits.shape[1], device=logits.device) < tokens[:, None]
        return ((values > own) | ((values == own) & earlier)).sum(-1)
    ranks = torch.zeros_like(tokens)
    for i, (row, token) in enumerate(zip(rows.tolist(), tokens.tolist(), strict=True)):
        values, own = logits[row], chosen[i]
        ranks[i] = (values[:token] >= own).count_nonzero() + (values[token:] > own).count_nonzero()
    return ranks


class Head:
    """The output head of a network, taken apart so that it can be asked row by row.

    What an architecture does to its logits afterwards is read from its config; the self-check finds out whether
    that was all.
    """

    def __init__(self, net: Any) -> None:
        config = net.config.get_text_config()
        self.layer = net.get_output_embeddings()
        self.softcap = getattr(config, "final_logit_softcapping", None)
        self.times = getattr(config, "logit_scale", None)
        self.over = getattr(config, "logits_scaling", None)

    def read(
        self, hidden: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probability, rank) of tokens [n], each after the hidden state [rows[n]] of hidden [r, width]."""
        return read_logits(self._logits(hidden), tokens, rows)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = self.layer(hidden)
        if self.times is not None:
            logits = logits * self.times
        if self.over is not None:
            logits = logits / self.over
        if self.softcap is not None:
            logits = (logits / self.softcap).tanh_() * self.softcap
        return logits
