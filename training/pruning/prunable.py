"""Which weights of a model may be pruned, and how their axes map to channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from sparsenet.errors import MaskError

PRUNABLE_MODULES = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class PrunableWeight:
    """One weight tensor: shape (C_out, C_in / groups, K_h, K_w) for Conv2d, (C_out, C_in) for Linear."""

    name: str
    tensor: Tensor
    groups: int

    @property
    def layer(self) -> str:
        """Name of the layer that owns the weight."""
        return self.name.rpartition(".")[0]


def unwrap(model: nn.Module) -> nn.Module:
    """The model itself, out of the data-parallel wrapper that would prefix every parameter name."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    return model


def find_parameter(model: nn.Module, name: str) -> nn.Parameter:
    """Parameter ``name``, or ``name_orig`` where torch.nn.utils.prune has taken its place.

    Raises MaskError if the model has neither.
    """
    model = unwrap(model)
    for candidate in (name, f"{name}_orig"):
        try:
            return model.get_parameter(candidate)
        except AttributeError:
            continue
    raise MaskError(f"the model has no parameter '{name}'; was this mask made for another network?")


def effective_weight(model: nn.Module, name: str) -> Tensor:
    """The weight that the forward pass uses: a mask held by torch.nn.utils.prune is multiplied in."""
    model = unwrap(model)
    parameter = find_parameter(model, name).detach()
    layer, _, attribute = name.rpartition(".")
    held = dict(model.get_submodule(layer).named_buffers(recurse=False)).get(f"{attribute}_mask")
    return parameter if held is None else parameter * held


def prunable_weights(
    model: nn.Module,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> dict[str, PrunableWeight]:
    """Weights of every Conv2d and Linear, in the model's order; biases and BatchNorm never.

    ``include`` and ``exclude`` are shell patterns (fnmatch), matched against the name of the layer
    (``fpn.merge1``) and of the parameter (``fpn.merge1.weight``). A tensor shared by several
    layers is listed once. Raises MaskError if a pattern matches nothing or if nothing is left.
    """
    found: dict[str, PrunableWeight] = {}
    seen: set[nn.Parameter] = set()
    root = unwrap(model)
    for layer, module in root.named_modules():
        if not isinstance(module, PRUNABLE_MODULES):
            continue
        name = f"{layer}.weight" if layer else "weight"
        parameter = find_parameter(root, name)
        if parameter not in seen:
            seen.add(parameter)
            groups = module.groups if isinstance(module, nn.Conv2d) else 1
            found[name] = PrunableWeight(name, effective_weight(root, name), groups)

    chosen = matching(found, include, "include") if include else set(found)
    chosen -= matching(found, exclude or (), "exclude")
    if not chosen:
        raise MaskError(
            "there is nothing to prune: no Conv2d or Linear layer is left after include and exclude"
        )
    return {name: weight for name, weight in found.items() if name in chosen}


def matching(weights: Mapping[str, PrunableWeight], patterns: Sequence[str], option: str) -> set[str]:
    """Names of the ``weights`` that a pattern fits; MaskError, naming ``option``, if one of the patterns fits none."""
    matched: set[str] = set()
    for pattern in patterns:
        hits = {
            name
            for name, weight in weights.items()
            if fnmatchcase(weight.layer, pattern) or fnmatchcase(name, pattern)
        }
        if not hits:
            names = ", ".join(weight.layer for weight in weights.values()) or "none"
            raise MaskError(f"{option} pattern '{pattern}' matches no prunable layer; there are: {names}")
        matched |= hits
    return matched


def to_channels(tensor: Tensor, axis: str, groups: int = 1) -> Tensor:
    """View a weight as (channels, weights per channel), one row for each output or input channel.

    ``axis`` is "output" (rows C_out) or "input" (rows C_in: channel j of group g is read only by the outputs
    of its own group, so the rows of a depthwise convolution are the same either way).
    """
    if axis == "output":
        return tensor.reshape(tensor.shape[0], -1)
    c_out, c_in_group = tensor.shape[:2]
    by_group = tensor.reshape(groups, c_out // groups, c_in_group, -1)
    return by_group.transpose(1, 2).reshape(groups * c_in_group, -1)


def from_channels(kept: Tensor, shape: torch.Size, axis: str, groups: int = 1) -> Tensor:
    """Spread one flag per channel back over a weight of ``shape``; the inverse of ``to_channels``."""
    if axis == "output":
        return kept.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).clone()
    c_out, c_in_group = shape[:2]
    by_group = kept.reshape(groups, 1, c_in_group).expand(groups, c_out // groups, c_in_group)
    return by_group.reshape(c_out, c_in_group, *[1] * (len(shape) - 2)).expand(shape).clone()
