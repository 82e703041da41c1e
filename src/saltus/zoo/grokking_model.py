"""A one-layer transformer without layer norm, in the clothes of transformers, which has no such architecture.

Importing this module registers it, after which `AutoModelForCausalLM` loads its folders like any other. Learned
positions, causal attention, a ReLU MLP, no biases and no norms (Nanda et al. 2023, "Progress measures for grokking via
mechanistic interpretability"): a network small and plain enough to be taken apart. No key-value cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_outputs import CausalLMOutput


class PlainConfig(PreTrainedConfig):
    """Sizes of a `PlainForCausalLM`."""

    model_type = "saltus_plain"

    vocab_size: int = 56
    hidden_size: int = 128
    intermediate_size: int = 512
    num_attention_heads: int = 4
    num_hidden_layers: int = 1
    max_position_embeddings: int = 16
    embedding_range: float = 0.3
    """Standard deviation of fresh embeddings; large ones make memorising easy and so delay generalising."""


class PlainForCausalLM(PreTrainedModel):
    """One attention layer and one MLP, each added to the stream of embeddings; nothing is normalised."""

    config_class = PlainConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _supports_sdpa = False

    def __init__(self, config: PlainConfig) -> None:
        super().__init__(config)
        width, hidden = config.hidden_size, config.intermediate_size
        self.embed = nn.Embedding(config.vocab_size, width)
        self.position = nn.Embedding(config.max_position_embeddings, width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Normal with standard deviation 1/√inputs; embeddings as the config says."""
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.embedding_range)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        logits_to_keep: int = 0,
        **ignored: Any,
    ) -> CausalLMOutput:
        """Logits [batch, kept, vocabulary]; the last `logits_to_keep` positions, all when 0.

        attention_mask: [batch, length], 1 for tokens and 0 for padding on either side.
        """
        batch, length = input_ids.shape
        limit = self.config.max_position_embeddings
        if length > limit:
            raise ValueError(f"{length} tokens are more than the {limit} positions of this network")
        keep = logits_to_keep or length
        stream = self.embed(input_ids) + self.position(_positions(input_ids, attention_mask, position_ids))
        kept = stream[:, -keep:]
        heads = self.config.num_attention_heads

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.view(batch, -1, heads, x.shape[-1] // heads).transpose(1, 2)

        query, key, value = (split(self.query(kept)), split(self.key(stream)), split(self.value(stream)))
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=_seen(length, keep, attention_mask, input_ids.device)
        )
        kept = kept + self.out(mixed.transpose(1, 2).reshape(batch, keep, -1))
        kept = kept + self.down(torch.relu(self.up(kept)))
        return CausalLMOutput(logits=self.lm_head(kept))

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head


def _positions(ids: torch.Tensor, mask: torch.Tensor | None, given: torch.Tensor | None) -> torch.Tensor:
    """Positions [batch, length] counted from the first token that is no padding."""
    if given is not None:
        return given
    if mask is None:
        return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def _seen(length: int, keep: int, mask: torch.Tensor | None, device: torch.device) -> torch.Tensor:
    """Which tokens each kept position attends to: [batch or 1, 1, keep, length]; itself always."""
    at = torch.arange(length, device=device)
    causal = at[None, :] <= at[-keep:, None]
    if mask is None:
        return causal[None, None]
    itself = at[None, :] == at[-keep:, None]  # a row of padding that sees nothing would be NaN
    return (causal[None] & mask.bool()[:, None, :] | itself[None])[:, None]


AutoConfig.register(PlainConfig.model_type, PlainConfig)
AutoModelForCausalLM.register(PlainConfig, PlainForCausalLM)
