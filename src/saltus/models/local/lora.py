"""A LoRA adapter merged into the network it was trained from: W + scale · B·A, and whole tensors saved beside.

Tensors are matched by name, all of them: one that is not understood is refused, since without it another network
would answer. Sums are taken in fp32 and rounded once to the network's dtype.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

from saltus.models.base import ModelError
from saltus.models.checkpoints.adapter import MERGE, Adapter

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(\.default)?(\.weight)?")
_WRAPPERS = re.compile(r"\.(base_layer|modules_to_save(\.default)?|original_module)(?=\.)")


def merge(net: Any, adapter: Adapter) -> None:
    """Adds the adapter to the network's weights, in place. Raises ModelError naming what does not fit."""
    factors: dict[str, dict[str, torch.Tensor]] = {}
    whole: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(adapter.file).items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{adapter.file}: NaN or infinity in {name}: training diverged or the file is damaged")
        found = _FACTOR.fullmatch(name)
        if not name.startswith(_PREFIX) or (found is None and "lora_" in name):
            raise _unknown(adapter, name)
        if found:
            factors.setdefault(found[1].removeprefix(_PREFIX), {})[found[3]] = tensor
        else:
            whole[_WRAPPERS.sub("", name.removeprefix(_PREFIX))] = tensor
    if not factors and not whole:
        raise ModelError(f"{adapter.file}: holds no tensor; save the adapter again")
    weights = _Weights(net, adapter)
    with torch.no_grad():
        for name, tensor in whole.items():
            weights.put(name, tensor)
        for module, pair in factors.items():
            weights.add(module, pair)


class _Weights:
    """The parameters of a network, changed by name."""

    def __init__(self, net: Any, adapter: Adapter) -> None:
        self.adapter, self.modules = adapter, dict(net.named_modules())
        self.named = dict(net.named_parameters(remove_duplicate=False))
        self.shared: dict[int, list[str]] = {}
        for name, weight in self.named.items():
            self.shared.setdefault(id(weight), []).append(name)

    def put(self, name: str, tensor: torch.Tensor) -> None:
        """A whole tensor in the place of the network's own."""
        weight = self._of(name, tuple(tensor.shape))
        if not torch.equal(weight.cpu(), tensor.to(weight.dtype)):
            self._refuse_shared(name)
            weight.copy_(tensor)

    def add(self, module: str, pair: dict[str, torch.Tensor]) -> None:
        """scale · B·A to a module's weight."""
        if set(pair) != {"A", "B"} or any(t.dim() != 2 for t in pair.values()):
            raise ModelError(f"{self.adapter.file}: {module} needs two matrices, lora_A and lora_B; save it again")
        a, b = pair["A"].float(), pair["B"].float()
        if a.shape[0] != b.shape[1]:
            raise ModelError(f"{self.adapter.file}: lora_A and lora_B of {module} differ in rank; save it again")
        across = isinstance(self.modules.get(module), torch.nn.Embedding | Conv1D)
        product = self.adapter.scale(module, a.shape[0]) * (b @ a)
        product = product.T if across else product
        weight = self._of(f"{module}.weight", tuple(product.shape))
        self._refuse_shared(f"{module}.weight")
        weight.copy_(weight.float() + product.to(weight.device))

    def _of(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        weight = self.named.get(name)
        if weight is None:
            raise _unknown(self.adapter, name)
        if tuple(weight.shape) != shape or not weight.is_floating_point():
            raise ModelError(
                f"{self.adapter.file}: {name} is {list(shape)} here and {list(weight.shape)} of {weight.dtype} in the "
                f"base {self.adapter.base[0]}; {MERGE}"
            )
        return weight

    def _refuse_shared(self, name: str) -> None:
        others = [other for other in self.shared[id(self.named[name])] if other != name]
        if others:
            raise ModelError(
                f"{self.adapter.file}: changes {name}, which the base shares with {others[0]}; untie them "
                f"(`tie_word_embeddings: false`) and {MERGE}"
            )


def _unknown(adapter: Adapter, name: str) -> ModelError:
    return ModelError(f"{adapter.file}: {name} belongs to nothing in the base {adapter.base[0]}; {MERGE}")
