"""Which weights of a model may be pruned, and how their axes map to channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from converters.torch_import import permanent_copy
from sparsenet.checks import shown
from sparsenet.errors import MaskError
from training.pruning.held_weights import HeldWeight, effective, held_weight, is_computed

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


def checked_model(model: nn.Module) -> nn.Module:
    """``unwrap(model)``; MaskError if it is no module."""
    if not isinstance(model, nn.Module):
        raise MaskError(f"model must be a torch.nn.Module, got {shown(model)}")
    return unwrap(model)


def find_held(model: nn.Module, name: str) -> HeldWeight:
    """What holds the parameter ``name``, as itself or in the keeping of a wrapper (see ``held_weights``).

    Raises MaskError if the model has no such parameter, or none that could be masked.
    """
    layer, _, attribute = name.rpartition(".")
    try:
        held = held_weight(unwrap(model).get_submodule(layer), attribute, layer)
    except AttributeError:
        held = None
    if held is None:
        raise MaskError(f"the model has no parameter '{name}'; was this mask made for another network?")
    return held


def effective_weight(model: nn.Module, name: str) -> Tensor:
    """The weight that the forward pass uses: wrappers have done their part, masks of torch.nn.utils.prune too."""
    layer, _, attribute = name.rpartition(".")
    return effective(unwrap(model).get_submodule(layer), attribute, find_held(model, name))


def prunable_weights(
    model: nn.Module,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> dict[str, PrunableWeight]:
    """Weights of every Conv2d and Linear, in the model's order; biases and BatchNorm never.

    ``include`` and ``exclude`` are shell patterns (fnmatch), matched against the name of the layer
    (``fpn.merge1``) and of the parameter (``fpn.merge1.weight``). A tensor shared by several
    layers is listed once. Raises MaskError if a pattern matches nothing, if nothing is left, or if a layer's weight
    cannot be masked as it is held (see ``held_weights``).
    """
    root = checked_model(model)
    layers: dict[str, nn.Module] = {}
    seen: set[nn.Module | nn.Parameter] = set()
    for layer, module in root.named_modules():
        if isinstance(module, PRUNABLE_MODULES):
            own = module._parameters.get("weight")
            shared = module if own is None else own
            if shared not in seen:
                seen.add(shared)
                layers[f"{layer}.weight" if layer else "weight"] = module
    # No pattern at all means every layer, as None does.
    chosen = matching(layers, () if include is None else include, "include") or set(layers)
    chosen -= matching(layers, () if exclude is None else exclude, "exclude")
    if not chosen:
        raise MaskError(
            "there is nothing to prune: no Conv2d or Linear layer is left after include and exclude"
        )
    return {
        name: PrunableWeight(
            name, effective_weight(root, name), module.groups if isinstance(module, nn.Conv2d) else 1
        )
        for name, module in layers.items()
        if name in chosen
    }


def matching(names: Iterable[str], patterns: Sequence[str], option: str) -> set[str]:
    """Those of the parameter ``names`` that a pattern fits; MaskError, naming ``option``, if a pattern fits none."""
    known, matched = list(names), set[str]()
    if (
        isinstance(patterns, str | bytes)
        or not isinstance(patterns, Sequence)
        or not all(isinstance(pattern, str) for pattern in patterns)
    ):
        raise MaskError(f"{option} must be a list of patterns of names of layers, got {shown(patterns)}")
    for pattern in patterns:
        hits = {
            name
            for name in known
            if fnmatchcase(name.rpartition(".")[0], pattern) or fnmatchcase(name, pattern)
        }
        if not hits:
            names = ", ".join(name.rpartition(".")[0] for name in known) or "none"
            raise MaskError(f"{option} pattern '{pattern}' matches no prunable layer; there are: {names}")
        matched |= hits
    return matched


def with_plain_weights(model: nn.Module) -> nn.Module:
    """The model, or a copy of it where a weight is computed from others: on the copy it is a parameter that scores."""
    root = unwrap(model)
    return permanent_copy(root) if any(is_computed(module) for module in root.modules()) else model


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
