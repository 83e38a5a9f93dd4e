"""Which channels of which tensors hold one known number, at every pixel and for every input.

A pruned output channel is such a channel: its weights are zero, so what remains is its bias, carried on through
activation, affine and pooling. Knowledge is kept as one number per channel, NaN where nothing is known. For ops that
treat every pixel alike, the reference op itself is run on a map of one pixel: NaN in is NaN out, so what is unknown
stays unknown without a rule per op.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node, Quantization, Shape
from sparsenet.graph.ops import OPS, attributes, split_inputs, value_inputs
from sparsenet.reference.epilogue import apply_epilogue
from sparsenet.reference.oracle import run_node

Values = npt.NDArray[np.float64]  # one number per channel, NaN: not constant


def channel_values(graph: Graph) -> dict[str, Values]:
    """For each graph input and node output: (C,) values of its constant channels, NaN for the others.

    Channels are dimension 1. Numbers are exact in real arithmetic and computed in float64.
    """
    shapes = graph.shapes()
    values = {t.name: np.full(channel_count(t.shape), np.nan) for t in graph.inputs}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            known = _node_values(graph, node, shapes, values)
            unknown = np.full(channel_count(shapes[node.output]), np.nan)
            # Infinity (of a logarithm, say) could not be carried on by a bias.
            known = unknown if known is None else np.where(np.isfinite(known), known, np.nan)
            values[node.output] = _rounded(known, graph.quantization.get(node.output))
    return values


def _rounded(values: Values, grid: Quantization | None) -> Values:
    """The numbers that stand on the grid of the tensor, if it has one."""
    if grid is None:
        return values
    return np.where(np.isnan(values), values, grid.numbers(grid.round(values)).astype(np.float64))


def channel_count(shape: Shape) -> int:
    """Size of dimension 1; 1 for a tensor that has only a batch."""
    return int(shape[1] or 1) if len(shape) > 1 else 1


def keeps_channel_order(node: Node, x: Shape, y: Shape) -> bool:
    """Whether a flatten or reshape turns each channel of ``x`` into a run of channels of ``y`` (or leaves it one)."""
    if len(x) < 2 or len(y) < 2:
        return False
    return OPS[node.op].keeps_order and (len(y) == 2 or channel_count(x) == channel_count(y))


def _node_values(
    graph: Graph, node: Node, shapes: Mapping[str, Shape], values: Mapping[str, Values]
) -> Values | None:
    """Values of the node's output, ``None`` if the op is not understood channel by channel."""
    own, extra = value_inputs(node), split_inputs(node)[1]
    schema = OPS[node.op]
    rank, width = len(shapes[node.output]), channel_count(shapes[node.output])

    def vector(name: str) -> Values:
        return graph.constants[name].astype(np.float64)

    activations = [name for name in own if name and name not in graph.constants]
    # The rules below need channels on dimension 1 of every operand, and weights that are constants.
    if rank < 2 or any(len(shapes[name]) < 2 for name in activations):
        return None
    tensors = [_pixel(values[name], rank) if name in values else vector(name) for name in extra]
    attrs = attributes(node)
    if schema.arithmetic:
        if any(len(shapes[name]) != rank for name in activations):
            return None
        operands = [_operand(graph, name, rank, values) for name in own]
        if schema.zero_absorbing:  # with zero it is zero whatever the other factor is
            zero = np.logical_or(operands[0] == 0, operands[1] == 0)
            operands = [np.where(zero, 0.0, operand) for operand in operands]
        result = run_node(node, [*operands, *tensors])
        return np.broadcast_to(result, (1, width, *[1] * (rank - 2))).reshape(-1).copy()
    if activations != own[:1] and not schema.joins:
        return None
    x = values[own[0]]
    if schema.per_pixel:
        vectors = [vector(name) for name in own[1:]]
        return run_node(node, [_pixel(x, rank), *vectors, *tensors]).reshape(-1)
    if schema.weighted:
        return apply_epilogue(_pixel(_layer(graph, own, attrs, x), rank), node.epilogue, tensors).reshape(-1)
    if schema.joins:
        parts = [values[name] for name in own]
        if attrs["axis"] == 1:
            return np.concatenate(parts)
        return np.where(np.all([part == parts[0] for part in parts], axis=0), parts[0], np.nan)
    if keeps_channel_order(node, shapes[own[0]], shapes[node.output]):
        return np.repeat(x, width // len(x))
    rule = _OF_IMAGES.get(node.op)
    return None if rule is None else rule(attrs, x)


def _same(_attrs: Mapping[str, Any], x: Values) -> Values | None:
    return x


def _largest(attrs: Mapping[str, Any], x: Values) -> Values | None:
    # A dilated window may be placed so in the padding that it sees no data at all, only -inf.
    return x if not any(attrs["padding"]) or attrs["dilation"] == [1, 1] else None


def _average(attrs: Mapping[str, Any], x: Values) -> Values | None:
    return _only_zeros(x) if attrs["count_include_pad"] and any(attrs["padding"]) else x


def _padded(attrs: Mapping[str, Any], x: Values) -> Values | None:
    return np.where(x == attrs["value"], x, np.nan)


#: Op that makes pixels of each channel from several pixels of it -> f(attributes, values of x): values of the result.
_OF_IMAGES: dict[str, Callable[[Mapping[str, Any], Values], Values | None]] = {
    "global_avg_pool2d": _same,
    "resize": _same,
    "max_pool2d": _largest,
    "avg_pool2d": _average,
    "pad": _padded,
}


def _layer(graph: Graph, own: list[str], attrs: Mapping[str, Any], x: Values) -> Values:
    """conv2d or linear before its epilogue: constant where every input channel with a nonzero weight is.

    Behind zero padding the border sees fewer taps than the middle, so there only zero inputs give a constant.
    """
    weight = graph.constants[own[1]].astype(np.float64)
    groups = attrs.get("groups", 1)
    taps = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)  # (g, C_out/g, C_in/g, K)
    if any(attrs.get("padding", [])):
        x = _only_zeros(x)
    products = np.where(taps.any(-1), taps.sum(-1) * x.reshape(groups, 1, -1), 0.0)
    bias = graph.constants[own[2]].astype(np.float64) if own[2] else 0.0
    return np.asarray(products.sum(-1).reshape(-1) + bias)


def _pixel(vector: Values, rank: int) -> Values:
    """Values (C,) as a map of one pixel, (1, C, 1, …)."""
    return vector.reshape(1, -1, *[1] * (rank - 2))


def _operand(graph: Graph, name: str, rank: int, values: Mapping[str, Values]) -> Values:
    """One side of an add, sub or mul as a map of one pixel; a constant only where it is the same at all pixels."""
    if name in values:
        return _pixel(values[name], rank)
    constant = graph.constants[name].astype(np.float64)
    full = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    axes = tuple(range(2, rank))
    low, high = full.min(axis=axes, keepdims=True), full.max(axis=axes, keepdims=True)
    return np.where(low == high, low, np.nan)


def _only_zeros(x: Values) -> Values:
    return np.where(x == 0, x, np.nan)
