"""Which layers carry on a convolution's channels one by one: BatchNorms and depthwise convolutions behind it.

What an op does with channels is told by ``converters.passes.coupled_channels``. The importer would make the graph to
ask it about, but needs an example input, which pruning by magnitude does without; so modules are traced by torch.fx,
and each call is taken for a node of the op that treats channels as it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from converters.passes.coupled_channels import carried
from sparsenet.graph import Node, Shape
from sparsenet.text.one_line import warn
from training.pruning.prunable import unwrap

#: Layers with the op that treats channels as they do: each by itself, all of it alike or a window at a time.
_LAYERS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv2d",
    nn.BatchNorm2d: "batch_norm",
    nn.ReLU: "relu",
    nn.ReLU6: "clip",
    nn.Hardtanh: "clip",
    nn.LeakyReLU: "leaky_relu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Hardswish: "hard_swish",
    nn.Hardsigmoid: "hard_sigmoid",
    nn.ELU: "elu",
    nn.GELU: "gelu",
    nn.Softplus: "softplus",
    nn.Identity: "identity",
    nn.Dropout: "dropout",
    nn.Dropout2d: "dropout",
    nn.MaxPool2d: "max_pool2d",
    nn.AdaptiveMaxPool2d: "max_pool2d",
    nn.AvgPool2d: "avg_pool2d",
    nn.AdaptiveAvgPool2d: "avg_pool2d",
    nn.Upsample: "resize",
    nn.ZeroPad2d: "pad",
}
#: The same for methods of tensors and functions of torch and torch.nn.functional.
_CALLS = {
    "relu": "relu",
    "relu_": "relu",
    "relu6": "clip",
    "hardtanh": "clip",
    "leaky_relu": "leaky_relu",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "elu": "elu",
    "gelu": "gelu",
    "softplus": "softplus",
    "dropout": "dropout",
    "dropout2d": "dropout",
    "max_pool2d": "max_pool2d",
    "adaptive_max_pool2d": "max_pool2d",
    "avg_pool2d": "avg_pool2d",
    "adaptive_avg_pool2d": "avg_pool2d",
    "interpolate": "resize",
}
_FUNCTIONS: dict[Any, str] = {
    getattr(home, name): op for home in (torch, F) for name, op in _CALLS.items() if hasattr(home, name)
}


@dataclass(frozen=True)
class ChannelFlow:
    """Layers by name.

    Attributes:
        batch_norms: convolution → the BatchNorm2d layers that normalise its channels, with nothing in between that
            mixes these.
        leaders: depthwise convolution → the convolution whose channels it takes, as directly.
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
    above = _carried_from(graph, called)
    for node, module in called.items():
        if not isinstance(module, nn.BatchNorm2d | nn.Conv2d) or node not in above:
            continue
        source = above[node]
        while source in above and not isinstance(called.get(source), nn.Conv2d):
            source = above[source]
        convolution = called.get(source)
        if not isinstance(convolution, nn.Conv2d) or times[id(module)] > 1 or times[id(convolution)] > 1:
            continue
        name, leader = str(node.target), str(source.target)
        if isinstance(module, nn.BatchNorm2d):
            flow.batch_norms.setdefault(leader, []).append(name)
        else:
            flow.leaders[name] = flow.leaders.get(leader, leader)
    return flow


class LeafTracer(fx.Tracer):
    """Looks into modules only where they hold others: what a leaf computes does not matter here."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether to take a module for one call."""
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)


def _trace(model: nn.Module) -> fx.Graph | None:
    try:
        return LeafTracer().trace(model)
    except Exception as error:  # the model's own code runs here and may fail on a proxy in any way
        reason = " ".join(str(error).split())[:120]
        warn(
            f"torch.fx cannot trace {type(model).__name__} ({reason}): the BatchNorms and depthwise convolutions "
            "behind pruned channels are not found",
            stacklevel=2,
        )
        return None


def _carried_from(graph: fx.Graph, called: Mapping[fx.Node, nn.Module]) -> dict[fx.Node, fx.Node]:
    """Call → the call whose channels it carries on one by one, for all behind convolutions and BatchNorms."""
    shapes: dict[str, Shape] = {}
    above: dict[fx.Node, fx.Node] = {}
    for call in graph.nodes:
        module, x = called.get(call), call.args[0] if call.args else None
        op = graph_op(call, module)
        if op is None or not isinstance(x, fx.Node):
            continue
        if isinstance(module, nn.Conv2d):
            shapes[x.name], shapes[call.name] = _maps(module.in_channels), _maps(module.out_channels)
        elif isinstance(module, nn.BatchNorm2d):
            shapes[x.name] = shapes[call.name] = _maps(module.num_features)
        elif x.name in shapes:
            shapes[call.name] = shapes[x.name]
        else:
            continue
        attrs = {"groups": module.groups} if isinstance(module, nn.Conv2d) else {}
        if carried(Node(op, call.name, [x.name], [call.name], attrs), shapes, constants=()):
            above[call] = x
    return above


def graph_op(call: fx.Node, module: nn.Module | None) -> str | None:
    """The op that treats channels as a call does; ``None`` if none is known to."""
    if module is not None:
        return next((_LAYERS[kind] for kind in type(module).__mro__ if kind in _LAYERS), None)
    known: Mapping[Any, str] = {"call_function": _FUNCTIONS, "call_method": _CALLS}.get(call.op, {})
    return known.get(call.target)


def _maps(channels: int) -> Shape:
    """The shape of images of any size."""
    return (None, channels, None, None)
