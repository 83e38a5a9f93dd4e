"""Channels that structured pruning emptied disappear, from every tensor that carries them.

Three steps: ``channel_values`` finds channels that hold one known number, ``needed_channels`` the smallest sets of
channels that still give every output, and here each node is cut to them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from converters.passes.channel_values import Values, channel_count, channel_values
from converters.passes.needed_channels import Kept, constant_carrier, needed_channels
from converters.passes.rewiring import Float64Array, Rewiring
from sparsenet.graph import Graph, Node, Quantization
from sparsenet.graph.ops import OPS, attributes, split_inputs


def reduce_channels(graph: Graph) -> Graph:
    """Remove the channels nobody needs: exact, for any input, up to rounding.

    A channel goes if (a) no kept output channel has a nonzero weight for it, or (b) it holds a known constant v that
    its readers can take over. A layer without padding, and any layer if v = 0, adds v·ΣW to its bias. A zero-padded
    convolution cannot, because its windows at the border see fewer taps: there all constant channels share one
    carrier (see ``constant_carrier``), unless its weights are integers. Elsewhere it stays; above all behind a
    depthwise convolution with padding, where a nonzero constant is no longer one. Graph inputs and outputs keep all
    channels, every tensor at least one, and of tensors in bytes some stay that hold quads together (``whole_quads``).

    Tensors keep their names; ``kept_channels`` tells which of their channels are left.
    """
    return _reduce(graph)[0]


def kept_channels(graph: Graph) -> dict[str, npt.NDArray[np.intp]]:
    """For each graph input and node output that has channels, the indices of those ``reduce_channels`` leaves."""
    return _reduce(graph)[1]


def _reduce(graph: Graph) -> tuple[Graph, dict[str, npt.NDArray[np.intp]]]:
    """Cut until nothing is left to cut: a grouped convolution cut to one group can lose single channels next."""
    shapes = {name: shape for name, shape in graph.shapes().items() if name not in graph.constants}
    kept = {name: np.arange(channel_count(shape)) for name, shape in shapes.items() if len(shape) > 1}
    while True:
        values = channel_values(graph)
        needed = needed_channels(graph, values)
        if all(stays.all() for stays in needed.values()):
            return graph.copy(), kept
        graph = _cut(graph, values, needed)
        kept = {name: indices[needed[name]] for name, indices in kept.items()}


def _cut(graph: Graph, values: Mapping[str, Values], kept: Mapping[str, Kept]) -> Graph:
    wiring = Rewiring(graph)
    ranks = {name: len(shape) for name, shape in graph.shapes().items()}
    for node in wiring.nodes():
        own, extra = split_inputs(node)
        out, schema = kept[node.output], OPS[node.op]
        if schema.weighted and own[0] in kept:
            wiring.read(node, [*own, *extra])
            _cut_layer(wiring, node, values[own[0]], kept[own[0]], out)
        elif schema.per_pixel:
            for position in range(1, len(own)):
                _cut_constant(wiring, node, position, 0, out)
        elif schema.arithmetic and ranks[node.output] > 1:
            for position, name in enumerate(own):
                _cut_constant(wiring, node, position, ranks[name] - ranks[node.output] + 1, out)
        elif node.op == "reshape" and not out.all():
            node.attrs["shape"] = [int(out.sum()), *node.attrs["shape"][1:]]
        for position in range(len(node.inputs) - len(extra), len(node.inputs)):
            _cut_constant(wiring, node, position, 0, out)
    return wiring.done()


def _cut_constant(wiring: Rewiring, node: Node, position: int, axis: int, kept: Kept) -> None:
    """Cut an input that is a constant along its channel axis, if it has one and does not broadcast over it."""
    array = wiring.constants.get(node.inputs[position])
    if array is not None and axis >= 0 and array.shape[axis] == len(kept) and not kept.all():
        wiring.set_constant(node, position, np.compress(kept, array, axis), f"{node.inputs[position]}.kept")


def _cut_layer(wiring: Rewiring, node: Node, values: Values, kept_in: Kept, kept_out: Kept) -> None:
    """Cut weight and bias of a conv2d or linear; removed constant inputs move into the bias or onto the carrier."""
    own, _ = split_inputs(node)
    attrs = attributes(node)
    groups = attrs.get("groups", 1)
    if (kept_in.all() and kept_out.all()) or own[1] not in wiring.constants:
        return
    weight = wiring.constants[own[1]].astype(np.float64)
    bias = wiring.constants[own[2]].astype(np.float64) if own[2] else np.zeros(len(kept_out))
    grid = wiring.quantization.get(own[1])
    if groups > 1:
        node.attrs["groups"] = int(kept_in.reshape(groups, -1).any(1).sum())
    else:
        gone = ~kept_in & (np.nan_to_num(values) != 0)
        moved = _times_constants(weight[:, gone], values[gone])
        carrier = constant_carrier(values, attrs)
        if carrier is None:
            bias += moved.reshape(len(bias), -1).sum(1)
        elif gone.any():
            weight[:, carrier] += moved / values[carrier]
        weight = weight[:, kept_in]
    if grid is not None and grid.axis == 0:
        grid = Quantization.of_weights(grid.scale[kept_out])
    wiring.set_constant(node, 1, weight[kept_out], f"{own[1]}.kept", grid)
    if own[2] or bias[kept_out].any():
        wiring.set_constant(node, 2, bias[kept_out], own[2] or f"{node.name}.bias")


def _times_constants(weight: Float64Array, constants: Values) -> Float64Array:
    """The sum Σᵢ W[:, i]·vᵢ: (C_out, C_in, …) and (C_in,) → (C_out, …)."""
    return np.tensordot(weight, constants, axes=(1, 0))
