"""The layers of a network that can be pruned by reconstruction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from converters.passes.optimize import optimize
from converters.passes.rewiring import Rewiring
from converters.pruning.columns import Columns
from converters.quantization.choose import kept_float
from sparsenet.checks import items, shown
from sparsenet.errors import InputError
from sparsenet.graph import Graph
from sparsenet.graph.ops import OPS, split_inputs

#: Fewer weights than that are no layer that learned, but arithmetic: a detector's matrix that makes corners of centres.
FEWEST = 64


@dataclass(frozen=True)
class Layer:
    """A conv2d or linear layer.

    Attributes:
        name: of its node.
        reads: the tensor that it reads.
        weight, bias: its constants.
        columns: how it is laid out.
    """

    name: str
    reads: str
    weight: str
    bias: str
    columns: Columns

    @property
    def size(self) -> int:
        """Number of its weights."""
        return math.prod(self.columns.shape)


def prepared(graph: Graph, skip: Iterable[str]) -> tuple[Graph, list[Layer]]:
    """The network after all passes, each layer to prune with a bias of its own, and these layers in order.

    Depthwise convolutions stay dense: they have few weights, and none that could do what another did. So do layers that
    share their weight with others, and those of fewer than ``FEWEST`` weights.

    Args:
        graph: in float32.
        skip: layers that stay dense, too: names, patterns of them, or the words "first" and "last".

    Raises:
        InputError: an argument has the wrong type, the graph is quantized, ``skip`` names no layer, or nothing is left
            to prune.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    names = items(skip, "skip")
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"skip must be names of layers, got {shown(names)}")
    if graph.quantization:
        raise InputError(f"'{graph.name}' is quantized; prune the float32 network that it was made of")
    given = optimize(graph, reduce=False)
    kept, uses, wiring = kept_float(given, names), given.use_counts(), Rewiring(given)
    layers = []
    for node in wiring.nodes():
        weight = node.inputs[1] if OPS[node.op].weighted else ""
        if weight not in given.constants or given.constants[weight].size < FEWEST:
            continue
        columns = Columns.of(node, given.constants[weight])
        if node.name in kept or uses[weight] > 1 or (columns.groups > 1 and columns.channels == 1):
            continue
        own, added = split_inputs(node)
        wiring.read(node, [*own, *added])
        bias = wiring.constants[own[2]] if own[2] else np.zeros(columns.shape[0])
        wiring.set_constant(node, 2, bias, f"{node.name}.bias")
        layers.append(Layer(node.name, own[0], weight, node.inputs[2], columns))
    if not layers:
        raise InputError(f"'{graph.name}' has no layer left to prune")
    return wiring.done(), layers
