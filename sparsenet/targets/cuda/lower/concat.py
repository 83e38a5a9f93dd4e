"""Concatenation of tensors."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.targets.cuda.builder import Builder
from sparsenet.targets.cuda.layout import MAP_AXES
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides
from sparsenet.targets.cuda.lower.relayout import RELAYOUT, copy_into, plain, seen_as, to_maps


def lower_concat(builder: Builder, node: Node) -> None:
    """Concatenate tensors: channels are copied to their place; other axes are first joined in C order."""
    axis = attributes(node)["axis"]
    operands = [builder.get(name) for name in node.inputs]
    whole = builder.shape(node.output)
    out = builder.new_maps(node.output) if axis == 1 else builder.temporary(_around(whole, axis), None)
    along, start = min(axis, MAP_AXES - 1), 0
    for x in operands:
        part = x if axis < MAP_AXES else seen_as(plain(builder, x), _around(x.shape, axis))
        step = axis_strides(out)[along]
        strides = four_strides(part.shape, axis_strides(part))
        copy_into(builder, part, strides, out, out_start=start * step, shape=part.shape)
        start += part.shape[along]
    if axis != 1:
        to_maps(builder, node.output, out)
    builder.decide(node, "none", builder.kernel(RELAYOUT), "each operand copied into its part of the result")


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """``shape``; of more axes than maps have, those before and behind ``axis`` as one each."""
    if axis < MAP_AXES:
        return shape
    split = AxisSplit.of(shape[1:], axis - 1)
    return shape[0], 1, split.outer, split.size * split.inner


LOWER = {"concat": lower_concat}
