"""Arithmetic, comparison and choice of tensors of any shapes that broadcast."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.ops import split_inputs
from sparsenet.plan.lowering.axes import broadcast_strides
from sparsenet.plan.lowering.places import places_of, repeated
from sparsenet.targets.cuda.builder import Argument, Builder, NoKernelError, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, in_a_row, map_strides
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.relayout import take
from sparsenet.targets.registry import BROADCAST_OPERATIONS


def lower_broadcast(builder: Builder, node: Node) -> None:
    """Combine two operands along strides that are 0 where an axis is repeated."""
    a, b = (builder.get(name) for name in split_inputs(node)[0])
    out = builder.new_maps(node.output)
    epilogue = epilogue_of(builder, node, out)
    operation = BROADCAST_OPERATIONS.index(node.op)
    kernel = builder.kernel("broadcast_none_maps", (operation,), epilogue.ops)
    builder.decide(node, "none", kernel)
    operands = _operand(builder, "x", a, out) | _operand(builder, "y", b, out)
    builder.over_output(kernel, out, epilogue, **operands)


def lower_where(builder: Builder, node: Node) -> None:
    """Choose between two operands by a third, along strides as in ``lower_broadcast``."""
    values = [builder.get(name) for name in node.inputs]
    out, kernel = builder.new_maps(node.output), builder.kernel("where_none_maps")
    builder.decide(node, "none", kernel)
    operands: dict[str, Argument] = {}
    for name, value in zip(("condition", "x", "y"), values, strict=True):
        operands |= _operand(builder, name, value, out)
    builder.over_output(kernel, out, **operands)


def _operand(builder: Builder, name: str, value: Value, out: Value) -> dict[str, Argument]:
    """The arguments that tell a kernel where an operand is and how it is repeated over ``out``."""
    strides = _strides(value, out.shape)
    if not in_a_row(out.shape, strides):
        value = _spread(builder, value, out.shape)
        strides = _strides(value, out.shape)
    return {name: value, **map_strides(name, out.shape, strides)}


def _strides(value: Value, shape: tuple[int, ...]) -> list[int]:
    if len(value.shape) < len(shape) and value.layout is not None:
        raise NoKernelError(f"operands of {len(value.shape)} and {len(shape)} axes")
    return broadcast_strides(value.shape, axis_strides(value), shape)


def _spread(builder: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    """``x`` with every axis that is broadcast to ``shape`` but the first repeated; a constant before the first run."""
    if x.fixed is not None:
        images = x.shape[0] if len(x.shape) == len(shape) else 1
        whole = np.ascontiguousarray(np.broadcast_to(x.fixed, (images, *shape[1:])))
        return Value(x.name, whole.shape, None, fixed=whole)
    first, *places = places_of(x.shape, axis_strides(x))
    wanted = (x.shape[0], *shape[1:])
    out = builder.temporary(wanted, builder.layout(wanted))
    take(builder, x, [first, *map(repeated, places, shape[1:])], out)
    return out


#: Sums, differences and products are lowered by ``elementwise``.
LOWER = {
    **dict.fromkeys(BROADCAST_OPERATIONS[3:], lower_broadcast),
    "where": lower_where,
}
