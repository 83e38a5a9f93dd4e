"""Channels change places, so that nonzero weights meet in quads: what int8 kernels skip are four zeros in a row.

An unstructured mask of 90 % zeros leaves a third of the quads of four input channels; in another order of the channels
it leaves fewer. The order of a tensor's channels is free: it is the order in which the layer before makes them. Only
tensors that are added, or walk through a depthwise convolution, an activation or a pooling, must have one order, and
graph inputs and outputs, concatenations and groups keep theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from converters.passes.channel_values import channel_count
from converters.passes.coupled_channels import Coupling, couplings
from converters.passes.quad_order import least_quads, quad_order, quads_used
from converters.passes.rewiring import Rewiring
from converters.passes.whole_quads import uses
from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.ops import OPS, split_inputs

Order = npt.NDArray[np.intp]


@dataclass(frozen=True)
class QuadCount:
    """Quads of input channels with a nonzero weight, of the layers whose input may be put in another order.

    Attributes:
        before, after: with the channels as they were, and as they are now.
        layers: how many layers read channels in another order now.
    """

    before: int
    after: int
    layers: int


def permute_channels(graph: Graph) -> Graph:
    """The same network, channels inside in the order that leaves the fewest quads with nonzero weights.

    Of a quantized graph only the layers in integers count, which alone skip quads.

    Exact for integer nodes, up to the order of sums for others. Tensors keep their names, but their channels are in
    another order, so they can no longer be compared with the source's one by one; inputs and outputs are as before.
    """
    return permuted(graph)[0]


def permuted(graph: Graph) -> tuple[Graph, QuadCount]:
    """``permute_channels``, and what it brought."""
    shapes = graph.shapes()
    classes = _Classes(graph, shapes)
    orders: dict[str, Order] = {}
    before = after = layers = 0
    for tensors, readers in classes.free():
        used = np.concatenate([uses(graph.constants[node.inputs[1]]) for node in readers], axis=1)
        own = np.arange(len(used))
        # Dense weights and 1×4 blocks fill their quads as they are.
        order = own if quads_used(used, own) == least_quads(used) else quad_order(used)
        counts = quads_used(used, own), quads_used(used, order)
        before, after = before + counts[0], after + min(counts)
        if counts[1] < counts[0]:
            orders |= dict.fromkeys(tensors, order)
            layers += len(readers)
    return _apply(graph, shapes, orders), QuadCount(before, after, layers)


class _Classes:
    """Tensors that must have one order of channels, as sets that were joined."""

    def __init__(self, graph: Graph, shapes: Mapping[str, Shape]) -> None:
        self._graph, self._parent, self._fixed = graph, {name: name for name in shapes}, set[str]()
        self._integers = integer_nodes(graph, shapes)
        for name in [*(info.name for info in graph.inputs), *graph.outputs]:
            self._fix(name)
        for node in graph.nodes:
            self._meet(node, shapes)

    def free(self) -> Iterator[tuple[list[str], list[Node]]]:
        """The sets that may be put in another order, each with the dense layers that read its tensors."""
        members, readers = defaultdict(list), defaultdict(list)
        fixed = {self._root(name) for name in self._fixed}
        for name in self._parent:
            members[self._root(name)].append(name)
        for node in self._graph.nodes:
            skips = node.name in self._integers or not self._graph.quantization
            if OPS[node.op].weighted and node.attrs.get("groups", 1) == 1 and skips:
                readers[self._root(node.inputs[0])].append(node)
        for root, nodes in readers.items():
            if root not in fixed:
                yield members[root], nodes

    def _root(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def _fix(self, *names: str) -> None:
        self._fixed.update(names)

    def _meet(self, node: Node, shapes: Mapping[str, Shape]) -> None:
        """Join or fix what a node couples."""
        found, width = couplings(node, shapes, self._graph.constants), channel_count(shapes[node.output])
        computed = [name for name in node.inputs if name and name not in self._graph.constants]
        if found is None:
            self._fix(node.output, *computed)
            return
        for coupling in found.coupled:
            if _one_by_one(coupling, shapes, width):
                self._parent[self._root(coupling.tensor)] = self._root(node.output)
            else:
                self._fix(coupling.tensor, node.output)
        if not OPS[node.op].weighted:
            self._fix(*found.read)
        if not _understood(node, self._graph):
            self._fix(node.output)


def _one_by_one(coupling: Coupling, shapes: Mapping[str, Shape], width: int) -> bool:
    whole = (coupling.start, coupling.stop) == (0, width)
    return whole and coupling.runs == width == channel_count(shapes[coupling.tensor])


def _understood(node: Node, graph: Graph) -> bool:
    """Whether the channels of every constant of a node are where ``_channel_axis`` says."""
    own, extra = split_inputs(node)
    schema = OPS[node.op]
    if any(name in graph.constants and graph.constants[name].ndim != 1 for name in extra):
        return False
    known = schema.weighted or schema.arithmetic or schema.per_pixel
    return known or not any(name in graph.constants for name in own)


def _channel_axis(node: Node, position: int, graph: Graph, shapes: Mapping[str, Shape]) -> int | None:
    """The axis of a constant input that goes along the output's channels; None if it is the same for all."""
    if not OPS[node.op].arithmetic or position >= len(split_inputs(node)[0]):
        return 0
    shape, out = graph.constants[node.inputs[position]].shape, shapes[node.output]
    axis = len(shape) - len(out) + 1
    return axis if axis >= 0 and shape[axis] == channel_count(out) > 1 else None


def _apply(graph: Graph, shapes: Mapping[str, Shape], orders: Mapping[str, Order]) -> Graph:
    """Every constant along channels in the new order of these."""
    wiring = Rewiring(graph)
    for node in wiring.nodes():
        order = orders.get(node.output)
        for position, name in enumerate(node.inputs):
            if name not in graph.constants:
                continue
            array, grid = graph.constants[name], graph.quantization.get(name)
            if order is not None:
                axis = _channel_axis(node, position, graph, shapes)
                if axis is not None:
                    array = np.take(array, order, axis)
                    if grid is not None and grid.axis is not None:
                        grid = replace(grid, scale=grid.scale[order])
            if OPS[node.op].weighted and position == 1 and node.attrs.get("groups", 1) == 1:
                read = orders.get(node.inputs[0])
                array = array if read is None else np.take(array, read, 1)
            if array is not graph.constants[name]:
                wiring.set_constant(node, position, array, f"{name}.permuted")
                if grid is not None:
                    wiring.quantization[node.inputs[position]] = grid
    return wiring.done()
