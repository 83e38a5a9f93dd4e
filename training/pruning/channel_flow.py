"""Which layers carry on a convolution's channels one by one: the BatchNorm behind it, a depthwise convolution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from sparsenet.text.one_line import warn
from training.pruning.prunable import unwrap

# What works on each channel alone and keeps the channels in place.
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


@dataclass(frozen=True)
class ChannelFlow:
    """Layers by name.

    Attributes:
        batch_norms: convolution → the BatchNorm2d layers that read it, directly or behind activations.
        leaders: depthwise convolution → the convolution whose channels it takes, behind BatchNorms and activations.
    """

    batch_norms: dict[str, list[str]] = field(default_factory=dict)
    leaders: dict[str, str] = field(default_factory=dict)


def channel_flow(model: nn.Module) -> ChannelFlow:
    """Follow the channels through a torch.fx trace; layers that are called more than once are left out.

    Warns if torch.fx cannot trace the model; nothing is found then.
    """
    root = unwrap(model)
    graph = _trace(root)
    flow = ChannelFlow()
    if graph is None:
        return flow
    modules = dict(root.named_modules())
    called = {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}
    times = Counter(id(module) for module in called.values())
    for node, module in called.items():
        if times[id(module)] > 1:
            continue
        if isinstance(module, nn.BatchNorm2d):
            source = _source(node, called, CHANNELWISE_MODULES)
            if isinstance(called.get(source), nn.Conv2d) and times[id(called[source])] == 1:
                flow.batch_norms.setdefault(str(source.target), []).append(str(node.target))
        elif isinstance(module, nn.Conv2d) and is_depthwise(module):
            source = _source(node, called, (*CHANNELWISE_MODULES, nn.BatchNorm2d))
            if isinstance(called.get(source), nn.Conv2d) and times[id(called[source])] == 1:
                leader = str(source.target)
                flow.leaders[str(node.target)] = flow.leaders.get(leader, leader)
    return flow


def is_depthwise(module: nn.Conv2d) -> bool:
    """Whether each output channel reads the input channel of its own number, and no other."""
    return module.groups == module.in_channels == module.out_channels > 1


class _Tracer(fx.Tracer):
    """Looks into modules only where they hold others: what a leaf computes does not matter here."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)


def _trace(model: nn.Module) -> fx.Graph | None:
    try:
        return _Tracer().trace(model)
    except Exception as error:  # the model's own code runs here and may fail on a proxy in any way
        reason = " ".join(str(error).split())[:120]
        warn(
            f"torch.fx cannot trace {type(model).__name__} ({reason}): the BatchNorms and depthwise convolutions "
            "behind pruned channels are not found",
            stacklevel=2,
        )
        return None


def _source(node: fx.Node, called: Mapping[fx.Node, nn.Module], passes: tuple[type, ...]) -> fx.Node:
    """The node whose channels ``node`` reads: up through what passes them on."""
    while True:
        above = node.args[0] if node.args else None
        if not isinstance(above, fx.Node):
            return node
        node = above
        if not isinstance(called.get(node), passes) and node.target not in CHANNELWISE_CALLS:
            return node
