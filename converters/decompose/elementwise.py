"""Arithmetic with broadcasting, constants as operands, and choices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.shapes import reshape

LARGEST = float(np.finfo(np.float32).max)


def scalar(value: float) -> Const:
    """A number as a constant of one element."""
    return Const(np.full(1, value, np.float32))


def aligned(b: GraphBuilder, site: Site, values: Sequence[Value], lead: int = 0) -> list[str]:
    """Names of operands whose shapes broadcast as NumPy broadcasts those of the source network.

    ``lead``: dimensions of the graph's tensors that the source network does not know (see ``converters.onnx.call``).
    """
    ranks = [len(b.shapes[v.tensor]) - lead if isinstance(v, Act) else v.array.ndim for v in values]
    rank = max(ranks)
    names = []
    for i, (value, own) in enumerate(zip(values, ranks, strict=True)):
        if isinstance(value, Act):
            if own < rank:
                if not lead:
                    raise Unsupported("operands of different rank move the batch; reshape one of them first")
                sizes = [int(d or 0) for d in b.shapes[value.tensor][1:]]
                value = reshape(b, site.sub(f"operand{i}"), value, [1] * (rank - own) + sizes)
            names.append(value.tensor)
            continue
        if not lead and own == rank and rank and value.array.shape[0] != 1:
            raise Unsupported("the constant has a batch dimension of its own")
        if value.array.size == 0:
            raise Unsupported("tensors without elements are not supported")
        if np.isfinite(value.array).all():
            names.append(b.constant(value.array, value.name or f"{site.name}.operand{i}"))
        else:
            names.append(_infinite(b, site.sub(f"operand{i}"), value, rank + lead).tensor)
    return names


def materialize(b: GraphBuilder, site: Site, value: Const, rank: int) -> Act:
    """A constant as a tensor with a batch, of ``rank`` dimensions: what takes activations only takes it then.

    The batch comes from the network's first input: a choice between one of its numbers and the constant that always
    falls on the constant.
    """
    if not np.isfinite(value.array).all():
        return _infinite(b, site, value, rank)
    source = b.graph.inputs[0].name
    count = math.prod(int(d or 0) for d in b.shapes[source][1:])
    flat = reshape(b, site.sub("batch"), Act(source), [count])
    if count > 1:
        attrs = {"axis": 1, "start": 0, "count": 1, "step": 1}
        flat = b.node("slice", site.sub("first"), [flat.tensor], attrs)
    first = reshape(b, site.sub("any"), flat, [1] * (rank - 1))
    names = [
        b.constant(np.zeros((1,) * (rank - 1)), f"{site.name}.never"),
        first.tensor,
        b.constant(value.array, value.name or f"{site.name}.value"),
    ]
    return b.node("where", site, names)


def _infinite(b: GraphBuilder, site: Site, value: Const, rank: int) -> Act:
    """A constant that holds infinities, which a graph's constants may not: they are log(0), and its negative."""
    if np.isnan(value.array).any():
        raise Unsupported("the constant holds NaN")
    result, left = "", value.array.astype(np.float32)
    zero = materialize(b, site.sub("zero"), Const(np.zeros((1,) * (rank - 1), np.float32)), rank)
    edge = b.node("log", site.sub("below"), [zero.tensor])
    for part, number in (("below", -math.inf), ("above", math.inf)):
        there = left == number
        if not there.any():
            continue
        if number > 0:
            edge = negate(b, site.sub("above"), edge)
        left = np.where(there, np.float32(0), left)
        rest = result or b.constant(left, f"{site.name}.finite")
        mask = b.constant(there.astype(np.float32), f"{site.name}.is_{part}")
        result = b.node("where", site.sub(f"{part}_there"), [mask, edge.tensor, rest]).tensor
    return Act(result)


def binary(b: GraphBuilder, site: Site, op: str, left: Value, right: Value, lead: int = 0) -> Act:
    """Arithmetic or comparison with NumPy broadcasting; one side may be a constant."""
    return b.node(op, site, aligned(b, site, [left, right], lead))


def negate(b: GraphBuilder, site: Site, x: Act) -> Act:
    """The negative, -x."""
    return binary(b, site, "mul", x, scalar(-1.0))


def divide(b: GraphBuilder, site: Site, left: Value, right: Value, lead: int = 0) -> Act:
    """Division; by a constant as multiplication with its reciprocal (one float32 rounding apart)."""
    if not isinstance(right, Const) or (right.array == 0).any():
        return binary(b, site, "div", left, right, lead)
    if np.isnan(right.array).any():
        raise Unsupported("division by NaN")
    return binary(b, site, "mul", left, Const(1.0 / right.array.astype(np.float64)), lead)


def clip(b: GraphBuilder, site: Site, x: Act, low: float | None, high: float | None) -> Act:
    """Clamp, min(max(x, low), high); a missing bound is the largest float32."""
    low = -LARGEST if low is None else max(float(low), -LARGEST)
    high = LARGEST if high is None else min(float(high), LARGEST)
    if low == -LARGEST and high == LARGEST:
        return x
    if low == 0.0 and high == LARGEST:
        return b.node("relu", site, [x.tensor])
    return b.node("clip", site, [x.tensor], {"min": low, "max": high})


def choose(b: GraphBuilder, site: Site, condition: Value, a: Value, other: Value, lead: int = 0) -> Act:
    """``a`` where the condition is not 0, else ``other``, with broadcasting."""
    return b.node("where", site, aligned(b, site, [condition, a, other], lead))


def truncate(b: GraphBuilder, site: Site, x: Act, lead: int = 0) -> Act:
    """Numbers cut off at the point, as a conversion to integers does."""
    below = negate(b, site.sub("below"), x)
    below = b.node("floor", site.sub("below_floor"), [below.tensor])
    below = negate(b, site.sub("ceil"), below)
    above = b.node("floor", site.sub("floor"), [x.tensor])
    sign = binary(b, site.sub("negative"), "less", x, scalar(0.0), lead)
    return choose(b, site, sign, below, above, lead)
