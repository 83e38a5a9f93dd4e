"""Nodes in integers, exactly: what every kernel of bytes is held against, bit for bit.

Sums are made in float64, which holds each of them exactly (they are below 2⁵³), and become bytes as ``graph.integer``
says. Tensors travel as the float numbers that their bytes stand for, as those of all other nodes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node
from sparsenet.graph.clamped_line import ClampedLine
from sparsenet.graph.integer import Product, Rounding, product_ratio, ratio
from sparsenet.graph.ops import OPS, attributes, split_inputs
from sparsenet.graph.quantization import Integers, Quantization
from sparsenet.graph.types import FloatArray
from sparsenet.reference.operation import Array
from sparsenet.reference.pooling import window_counts
from sparsenet.reference.registry import OPERATIONS


def run_integer_node(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Array:
    """The result of a node that ``integer_nodes`` names: ``inputs`` are those of ``node.inputs``, None where absent."""
    out = graph.quantization.get(node.output)
    if out is None:
        return _numbers(_product_of(graph, node), inputs).astype(np.float64)
    return out.numbers(_KINDS[OPS[node.op].integer](graph, node, inputs)).astype(np.float64)


def table(node: Node, x: Quantization, out: Quantization) -> npt.NDArray[np.uint8]:
    """What a function of one number makes of each of the 256 bytes."""
    with np.errstate(all="ignore"):
        numbers = x.numbers(np.arange(256)).astype(np.float64)
        return out.round(OPERATIONS[node.op]([numbers], attributes(node))).astype(np.uint8)


def _centred(grid: Quantization, x: Array | None) -> Array:
    """How many steps each number is from 0."""
    assert x is not None
    return grid.round(x.astype(np.float32)).astype(np.float64) - grid.zero_point


def _rounded(numbers: FloatArray, rounding: Rounding) -> Integers:
    if rounding.bend is not None:
        numbers = np.where(numbers < 0, numbers * np.float32(rounding.bend), numbers)
    steps = np.rint(numbers).astype(np.int64) + rounding.zero_point
    per_channel = (-1, *[1] * (numbers.ndim - 2))
    return np.clip(steps, *(bound.reshape(per_channel) for bound in (rounding.low, rounding.high)))


def _product_of(graph: Graph, node: Node) -> Product:
    product = Product.of(graph, node)
    assert product is not None
    return product


def _product(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Integers:
    product = _product_of(graph, node)
    return _rounded(_numbers(product, inputs), product.rounding)


def _numbers(product: Product, inputs: Sequence[Array | None]) -> FloatArray:
    """The results of a product before they are rounded."""
    operands = [_centred(product.x, inputs[0]), product.weights.astype(np.float64), None]
    sums = OPERATIONS[product.node.op](operands, attributes(product.node))
    per_channel = (-1, *[1] * (sums.ndim - 2))
    sums = sums + product.bias.reshape(per_channel)
    numbers = sums.astype(np.float32) * product.multiplier.reshape(per_channel)
    if product.other is not None:
        added = _centred(product.other, inputs[-1]).astype(np.float32) * product.other_multiplier
        numbers = numbers + added
    return np.asarray(numbers, np.float32)


def _sum(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Integers:
    out = graph.quantization[node.output]
    rounding = Rounding.of(node, out)
    assert rounding is not None
    grids = [graph.quantization[name] for name in node.inputs]
    a, b = (
        _centred(grid, x).astype(np.float32) * ratio(grid, out) for grid, x in zip(grids, inputs, strict=True)
    )
    return _rounded(a + b, rounding)


def _factors(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Integers:
    out = graph.quantization[node.output]
    rounding = Rounding.of(node, out)
    assert rounding is not None
    x, y = (graph.quantization[name] for name in node.inputs)
    products = (_centred(x, inputs[0]) * _centred(y, inputs[1])).astype(np.float32)
    return _rounded(products * product_ratio(x, y, out), rounding)


def _mean(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Integers:
    x, out = graph.quantization[node.inputs[0]], graph.quantization[node.output]
    steps = _centred(x, inputs[0])
    counts = window_counts(node.op, steps.shape[2:], attributes(node))
    sums = np.rint(OPERATIONS[node.op]([steps], attributes(node)) * counts)
    multiplier = (np.float64(x.scale) / (np.float64(out.scale) * counts)).astype(np.float32)
    return _rounded(sums.astype(np.float32) * multiplier, Rounding.along(ClampedLine.straight(), out))


def _choice(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Integers:
    grid = graph.quantization[node.output]
    steps = [None if x is None else _centred(grid, x) for x in inputs]
    own, _ = split_inputs(node)
    steps += [None] * (len(own) - len(steps))
    chosen = OPERATIONS[node.op](steps, attributes(node))
    return (chosen + grid.zero_point).astype(np.int64)


def _table(graph: Graph, node: Node, inputs: Sequence[Array | None]) -> Integers:
    x, out = graph.quantization[node.inputs[0]], graph.quantization[node.output]
    assert inputs[0] is not None
    return np.asarray(table(node, x, out)[x.round(inputs[0].astype(np.float32))])


_KINDS: dict[str, Any] = {
    "product": _product,
    "sum": _sum,
    "mean": _mean,
    "choice": _choice,
    "table": _table,
    "factors": _factors,
}
