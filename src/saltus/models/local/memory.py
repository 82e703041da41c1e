"""What fits into the memory a user grants beside the weights.

Estimated from the config: half for key/values that are carried from one forward pass to the next, a quarter for
logits, a quarter for what the layers compute in between. The estimate is generous; one row of a plain batch that
alone needs more is asked nevertheless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saltus.models.local.head import vocabulary

LEAST = 1024
"""MB granted by default to the smallest network."""


@dataclass(frozen=True, slots=True)
class Budget:
    """In megabytes, tokens and logits."""

    megabytes: int
    tokens: int
    """Most tokens per forward pass."""
    path: int
    """Longest path whose key/values may be carried."""
    head_cells: int
    """Most logits held at once by an architecture's own head, which may copy them."""
    own_cells: int
    """Most logits held at once by ours, which in fp32 does not."""
    fits_in_fp32: bool
    """Whether a copy of all weights in fp32 fits."""

    @classmethod
    def of(cls, net: Any, megabytes: int | None) -> Budget:
        """The budget of a network, by default a quarter of its weights, at least LEAST.

        Config fields that are missing count as those of a usual transformer.
        """
        weights = sum(p.numel() for p in net.parameters())
        if megabytes is None:
            megabytes = max(LEAST, weights * net.dtype.itemsize // 4 // 2**20)
        room, config = megabytes * 2**20, net.config.get_text_config()
        width = int(getattr(config, "hidden_size", None) or 1024)
        layers = int(getattr(config, "num_hidden_layers", None) or 24)
        heads = int(getattr(config, "num_attention_heads", None) or max(1, width // 64))
        each = int(getattr(config, "head_dim", None) or width // heads)
        shared = int(getattr(config, "num_key_value_heads", None) or heads)
        inner = int(getattr(config, "intermediate_size", None) or 4 * width)
        size = net.dtype.itemsize
        carried = 2 * layers * shared * each * size
        passing = size * (10 * width + 4 * inner + 3 * (heads + 2 * shared) * each)
        return cls(
            megabytes=megabytes,
            tokens=max(1, room // 4 // passing),
            path=room // 2 // carried // 2,
            head_cells=max(vocabulary(net), room // 4 // 8),
            own_cells=max(vocabulary(net), room // 4 // (4 if size == 4 else 8)),
            fits_in_fp32=4 * weights <= room,
        )
