"""Reductions over any axes, and the index of the largest number on one."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.reduction import Reduction
from sparsenet.targets.cuda.builder import Argument, Builder, Epilogue, Value
from sparsenet.targets.cuda.layout import MAP_AXES
from sparsenet.targets.cuda.lower.axes import axis_strides, map_strides, three_axes
from sparsenet.targets.cuda.lower.deep import along_axis, kept_and_gone, loose
from sparsenet.targets.cuda.lower.relayout import plain, to_maps
from sparsenet.targets.registry import REDUCE_OPERATIONS


def lower_reduce(builder: Builder, node: Node) -> None:
    """Lower a reduction: a thread for each result goes through all elements that are reduced to it."""
    x = builder.get(node.inputs[0])
    reduction = Reduction.of(node, x.shape)
    axes, keepdims, deep = reduction.reduced, attributes(node)["keepdims"], len(x.shape) > MAP_AXES
    if deep:
        x, axes, keepdims = kept_and_gone(builder, x, reduction), (2,), False
    out = loose(builder, x.shape[:2]) if deep else builder.new_maps(node.output)
    strides = axis_strides(x)
    sizes, (steps,) = three_axes([x.shape[axis] for axis in axes], [strides[axis] for axis in axes])
    kernel = builder.kernel("reduce_none_maps", (REDUCE_OPERATIONS.index(reduction.operation),))
    builder.decide(node, "none", kernel)
    builder.over_output(
        kernel, out, Epilogue(numbers=[reduction.scale]), **_first_of_each(x, out, axes, keepdims),
        first=sizes[0], second=sizes[1], third=sizes[2], first_stride=steps[0], second_stride=steps[1],
        third_stride=steps[2],
    )  # fmt: skip
    if deep:
        to_maps(builder, node.output, plain(builder, out))


def lower_argmax(builder: Builder, node: Node) -> None:
    """Lower the index of the largest number, with a thread for each line along the axis."""
    last, kernel = int(attributes(node)["last"]), builder.kernel("argmax_none_maps")
    builder.decide(node, "none", kernel)

    def run(inputs: list[Value], out: Value, axis: int) -> None:
        (x,) = inputs
        along = {"axis": x.shape[axis], "axis_stride": axis_strides(x)[axis]}
        builder.over_output(kernel, out, **_first_of_each(x, out, [axis], True), **along, last=last)

    along_axis(builder, node, run)


def _first_of_each(x: Value, out: Value, axes: Sequence[int], keepdims: bool) -> dict[str, Argument]:
    """Where the first number of each reduction is in ``x``, as strides along the axes of ``out``."""
    strides = [0 if axis in axes else stride for axis, stride in enumerate(axis_strides(x))]
    if not keepdims:
        strides = [stride for axis, stride in enumerate(strides) if axis not in axes]
    return {"x": x, **map_strides("x", out.shape, strides)}


LOWER = {"reduce": lower_reduce, "argmax": lower_argmax}
