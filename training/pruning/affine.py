"""Biases and BatchNorm values that outlive their channel when only its weights are pruned.

A convolution's channel without weights still gives its bias, and the BatchNorm behind it turns that into the
constant β − γμ/σ. A zero-padded layer further on sees that constant inside the image and zeros around it, so the
channel cannot be removed exactly. With bias, γ and β zero as well the channel is exactly 0, before ReLU or after.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sparsenet.errors import MaskError
from training.pruning.prunable import find_parameter, unwrap

# Between a convolution and its BatchNorm: what works on each channel alone and keeps the channels in place.
CHANNELWISE_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
)
CHANNELWISE_CALLS: frozenset[Any] = frozenset(
    {torch.relu, F.relu, F.relu6, F.leaky_relu, F.silu, F.hardswish, F.dropout, F.dropout2d, "relu", "relu_"}
)


def affine_masks(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks, bool (C_out,), of the bias, γ and β of those output channels that the weight masks leave empty.

    The bias is the layer's own; γ and β are those of the BatchNorm2d that reads the convolution and nothing else,
    directly or behind an activation. A convolution or BatchNorm that is called more than once keeps its γ and β, and
    parameters that two modules share stay as they are. Warns if torch.fx cannot trace the model: the BatchNorms are
    not found then.
    """
    root = unwrap(model)
    following = batch_norms(root)
    owners = Counter(id(parameter) for _, parameter in root.named_parameters(remove_duplicate=False))
    masks: dict[str, Tensor] = {}
    for name, mask in weights.items():
        layer = name.rpartition(".")[0]
        values = [name.removesuffix("weight") + "bias"]
        for batch_norm in following.get(layer, ()):
            values += [f"{batch_norm}.weight", f"{batch_norm}.bias"]
        for value in values:
            parameter = _parameter(root, value)
            if parameter is not None and owners[id(parameter)] == 1:
                masks[value] = mask.flatten(1).any(dim=1)
    return masks


def batch_norms(model: nn.Module) -> dict[str, list[str]]:
    """Convolution → the BatchNorm2d layers that normalise its channels, by name; see ``affine_masks``."""
    graph = _trace(model)
    if graph is None:
        return {}
    modules = dict(model.named_modules())
    called = {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}
    times = Counter(id(module) for module in called.values())
    found: dict[str, list[str]] = {}
    for node, module in called.items():
        source = _first_argument(node)
        while source is not None and _keeps_channels(source, called):
            source = _first_argument(source)
        producer = called.get(source) if source is not None else None
        if isinstance(module, nn.BatchNorm2d) and isinstance(producer, nn.Conv2d):
            assert source is not None
            if times[id(module)] == times[id(producer)] == 1:
                found.setdefault(str(source.target), []).append(str(node.target))
    return found


class _Tracer(fx.Tracer):
    """Looks into modules only where they hold others: what a leaf computes does not matter here."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)


def _trace(model: nn.Module) -> fx.Graph | None:
    try:
        return _Tracer().trace(model)
    except Exception as error:  # the model's own code runs here and may fail on a proxy in any way
        reason = " ".join(str(error).split())[:120]
        warnings.warn(
            f"torch.fx cannot trace {type(model).__name__} ({reason}): the BatchNorms behind pruned channels "
            "are not found and keep their values",
            stacklevel=2,
        )
        return None


def _first_argument(node: fx.Node) -> fx.Node | None:
    source = node.args[0] if node.args else None
    return source if isinstance(source, fx.Node) else None


def _keeps_channels(node: fx.Node, called: Mapping[fx.Node, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(called[node], CHANNELWISE_MODULES)
    return node.op in ("call_function", "call_method") and node.target in CHANNELWISE_CALLS


def _parameter(model: nn.Module, name: str) -> nn.Parameter | None:
    try:
        return find_parameter(model, name)
    except MaskError:
        return None
