"""Integer arithmetic: which nodes are computed in integers, and with which numbers.

A node can be an integer one if its op has a meaning in integers (the trait ``integer``) and every tensor that it reads
or makes has a grid (``Graph.quantization``); of a fully connected layer the result need not have one. It is one if that
is worth the borders (``graph.borders``). Everything else is computed in float32, and tensors change their form where
the two meet. The arithmetic is exact, so that every target
gives the same bytes: sums are int32, and become bytes by one float32 product, rounded half to even (Jacob et al., arXiv
1712.05877, section 2.2, with a float32 multiplier as ONNX Runtime has it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from sparsenet.graph.borders import worth_their_borders
from sparsenet.graph.clamped_line import ClampedLine
from sparsenet.graph.graph import Graph
from sparsenet.graph.node import Node
from sparsenet.graph.ops import OPS, attributes, split_inputs
from sparsenet.graph.ops.table import value_inputs
from sparsenet.graph.quantization import LARGEST_WEIGHT, Integers, Quantization
from sparsenet.graph.types import I8, U8, FloatArray, Shape

#: How an op is computed in integers: sums of products with a weight; a sum of two tensors; a mean; by taking numbers
#: as they are, in another place; by a table of all 256 results; the product of two tensors that are computed.
Kind = Literal["product", "sum", "mean", "choice", "table", "factors"]
KINDS: frozenset[str] = frozenset(get_args(Kind))
#: A sum may not pass int32, and a result, before it is clamped, must be far within it.
MOST_SUM, MOST_RESULT = 2**31 - 1, 2.0**30


def integer_nodes(graph: Graph, shapes: Mapping[str, Shape]) -> frozenset[str]:
    """The names of the nodes that are computed in integers.

    Args:
        graph: verified.
        shapes: of all its tensors.
    """
    return worth_their_borders(graph, shapes, possible_in_integers(graph, shapes))


def possible_in_integers(graph: Graph, shapes: Mapping[str, Shape]) -> frozenset[str]:
    """The names of the nodes that can be computed in integers; arguments as of ``integer_nodes``."""
    if not graph.quantization:
        return frozenset()
    return frozenset(
        node.name
        for node in graph.nodes
        if OPS[node.op].integer in KINDS and _RULES[OPS[node.op].integer](graph, node, shapes)
    )


@dataclass(frozen=True, eq=False)
class Rounding:
    """How numbers become bytes: byte = clamp(rint(number) + zero_point, low, high).

    Attributes:
        zero_point: of all channels.
        low, high: uint8, of shape () or (C,), one for each channel.
        bend: by what numbers below 0 are multiplied before, rounded to float32, if they are.
    """

    zero_point: int
    low: npt.NDArray[np.uint8]
    high: npt.NDArray[np.uint8]
    bend: float | None

    @classmethod
    def along(cls, line: ClampedLine, out: Quantization) -> Rounding:
        """To the bytes of ``out`` that stand for numbers between the line's levels, or are nearest to these."""
        low, high = (
            out.round(np.asarray(level, np.float32)).astype(np.uint8) for level in (line.low, line.high)
        )
        return cls(out.zero_point, low, high, line.bend)

    @classmethod
    def of(cls, node: Node, out: Quantization) -> Rounding | None:
        """The rounding of a node's result, what its epilogue does included; None if it scales or shifts."""
        line = None if split_inputs(node)[1] else ClampedLine.of(node, {})
        return cls.along(line, out) if line is not None else None


def only_chooses(node: Node) -> bool:
    """Whether all numbers of a node's result are numbers of its inputs, or 0, which every grid has."""
    if OPS[node.op].integer != "choice" or node.epilogue:
        return False
    attrs = attributes(node)
    return attrs.get("mode") != "bilinear" and attrs.get("value", 0.0) == 0.0


@dataclass(frozen=True, eq=False)
class Product:
    """A convolution or fully connected layer in integers.

    ``sum = Σ (x - x_zero) * weight + bias``, ``number = float32(sum) * multiplier[channel]``, and with a fused add
    ``number + float32(other - other_zero) * other_multiplier``, each operation rounded to float32; then ``rounding``.
    Where ``out``, the grid of the result, is None, that is the number itself. A ``line`` behind the sums, clips, a bend
    and scalings by channel, is part of the bias, the multiplier and the rounding.
    """

    node: Node
    x: Quantization
    weight: Quantization
    out: Quantization | None
    weight_array: FloatArray
    bias_array: FloatArray | None
    other: Quantization | None
    line: ClampedLine

    @classmethod
    def of(cls, graph: Graph, node: Node) -> Product | None:
        """What the node computes, or None if it cannot be computed in integers."""
        own, fused = split_inputs(node)
        grids = graph.quantization
        adds = bool(node.epilogue) and node.epilogue[0][0] == "add"
        line = ClampedLine.of(node, graph.constants)
        if line is None or not {*own[:2], *fused[:adds]} <= grids.keys() or (adds and not line.is_even):
            return None
        x, weight, out = grids[own[0]], grids[own[1]], grids.get(node.output)
        other = grids[fused[0]] if adds else None
        possible = not OPS[node.op].windowed and not node.epilogue if out is None else out.element is U8
        bytes_only = all(grid is None or grid.element is U8 for grid in (x, other))
        if weight.element is not I8 or not bytes_only or not possible:
            return None
        bias = graph.constants[own[2]] if own[2] else None
        return cls(node, x, weight, out, graph.constants[own[1]], bias, other, line)

    @cached_property
    def weights(self) -> Integers:
        """int8, of the weight's shape."""
        return self.weight.round(self.weight_array)

    @cached_property
    def bias(self) -> npt.NDArray[np.int32]:
        """int32 (C_out,): the bias in units of the sums."""
        return self._bias.astype(np.int32)

    @cached_property
    def multiplier(self) -> FloatArray:
        """float32 (C_out,): from sums to steps of the result, or to the result."""
        step = np.float64(self.out.scale) if self.out is not None else 1.0
        return (self._unit * self.line.slope / step).astype(np.float32)

    @cached_property
    def rounding(self) -> Rounding:
        """How numbers become bytes, where the result has a grid."""
        assert self.out is not None
        return Rounding.along(self.line, self.out)

    @cached_property
    def other_multiplier(self) -> np.float32:
        """From steps of the added tensor to steps of the result."""
        if self.other is None or self.out is None:
            return np.float32(0)
        return ratio(self.other, self.out)

    @property
    def fits(self) -> bool:
        """Whether no sum can pass int32, and no result that is rounded what a conversion to int32 holds."""
        terms = math.prod(self.weight_array.shape[1:])
        with np.errstate(all="ignore"):  # of scales and shifts that are too large, or no numbers
            sums = 255 * LARGEST_WEIGHT * terms + np.abs(self._bias)
            results = sums * np.abs(self.multiplier.astype(np.float64)) + 255 * float(self.other_multiplier)
            usable = np.isfinite(self.multiplier) & ((self.multiplier != 0) | (self.line.slope == 0))
        rounds = self.out is None or results.max() <= MOST_RESULT
        return bool(usable.all() and sums.max() <= MOST_SUM and rounds)

    @cached_property
    def _unit(self) -> npt.NDArray[np.float64]:
        """What one step of a channel's sum stands for."""
        scales = np.broadcast_to(self.weight.scale, self.weight_array.shape[:1])
        return np.float64(self.x.scale) * scales.astype(np.float64)

    @cached_property
    def _bias(self) -> npt.NDArray[np.float64]:
        bias = np.float64(0) if self.bias_array is None else self.bias_array.astype(np.float64) / self._unit
        slope = np.where(self.line.slope == 0, 1, self.line.slope)  # at 0 the levels are the result
        return np.rint(bias + self.line.shift / (slope * self._unit))


def ratio(x: Quantization, out: Quantization) -> np.float32:
    """How many steps of ``out`` one step of ``x`` is."""
    with np.errstate(over="ignore"):
        return np.float32(np.float64(x.scale) / np.float64(out.scale))


def product_ratio(x: Quantization, y: Quantization, out: Quantization) -> np.float32:
    """How many steps of ``out`` one step of ``x`` times one of ``y`` is."""
    with np.errstate(over="ignore"):
        return np.float32(np.float64(x.scale) * np.float64(y.scale) / np.float64(out.scale))


def _computed(graph: Graph, names: list[str]) -> list[Quantization] | None:
    """The grids of tensors that are computed, or inputs; None if one has none, or is a constant."""
    grids = [graph.quantization.get(name) for name in names if name not in graph.constants]
    found = [grid for grid in grids if grid is not None and grid.element is U8]
    return found if len(found) == len(names) else None


def _product(graph: Graph, node: Node, _shapes: Mapping[str, Shape]) -> bool:
    product = Product.of(graph, node)
    return product is not None and product.fits


def _sum(graph: Graph, node: Node, shapes: Mapping[str, Shape]) -> bool:
    own, added = split_inputs(node)
    grids = _computed(graph, [*own, node.output])
    if grids is None or added or shapes[own[0]] != shapes[own[1]] or len(shapes[own[0]]) < 2:
        return False
    a, b, out = grids
    most = 255.0 * (float(ratio(a, out)) + float(ratio(b, out)))
    return Rounding.of(node, out) is not None and most <= MOST_RESULT


def _mean(graph: Graph, node: Node, shapes: Mapping[str, Shape]) -> bool:
    own, _ = split_inputs(node)
    grids = _computed(graph, [own[0], node.output])
    if grids is None or node.epilogue:
        return False
    pixels = math.prod(int(d or 1) for d in shapes[own[0]][2:])
    return 255 * pixels <= MOST_SUM and 255.0 * float(ratio(*grids)) <= MOST_RESULT


def _choice(graph: Graph, node: Node, _shapes: Mapping[str, Shape]) -> bool:
    grids = _computed(graph, [*value_inputs(node), node.output])
    return grids is not None and only_chooses(node) and all(grid.same_grid(grids[-1]) for grid in grids)


def _table(graph: Graph, node: Node, _shapes: Mapping[str, Shape]) -> bool:
    return _computed(graph, [node.inputs[0], node.output]) is not None and not node.epilogue


def _factors(graph: Graph, node: Node, shapes: Mapping[str, Shape]) -> bool:
    """Two tensors of one shape, or a map and one number per channel."""
    own, added = split_inputs(node)
    grids = _computed(graph, [*own, node.output])
    if grids is None or added or Rounding.of(node, grids[-1]) is None:
        return False
    a, b = (shapes[name] for name in own)
    per_channel = any(len(x) == 4 and y == (*x[:2], 1, 1) for x, y in ((a, b), (b, a)))
    x, y, out = grids
    scale = product_ratio(x, y, out)
    usable = np.isfinite(scale) and scale > 0 and 255.0**2 * float(scale) <= MOST_RESULT
    return ((a == b and len(a) >= 2) or per_channel) and bool(usable)


_RULES = {
    "factors": _factors,
    "product": _product,
    "sum": _sum,
    "mean": _mean,
    "choice": _choice,
    "table": _table,
}
