"""Reductions over any axes, and the index of the largest number on one."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.axes import contiguous_strides, merge_axes
from sparsenet.plan.lowering.reduction import Reduction
from sparsenet.plan.ref import Word
from sparsenet.targets.cpu.lower.plain_call import along_axis, plain_call
from sparsenet.targets.registry import REDUCE_OPERATIONS


def lower_reduce(builder: Builder, node: Node) -> None:
    """Lower a reduction: the tables list the axes that are kept first, then those that are reduced."""
    shape = builder.shape(node.inputs[0])
    reduction, strides = Reduction.of(node, shape), contiguous_strides(shape)
    (kept_shape, (kept_strides,)), (reduced_shape, (reduced_strides,)) = (
        merge_axes([shape[axis] for axis in axes], [strides[axis] for axis in axes])
        for axes in (reduction.kept, reduction.reduced)
    )
    kernel = builder.kernel("reduce_none_flat", (REDUCE_OPERATIONS.index(reduction.operation),))
    arguments: dict[str, Word] = {
        "shape": builder.table([*kept_shape, *reduced_shape]),
        "strides": builder.table([*kept_strides, *reduced_strides]),
        "kept": len(kept_shape), "reduced": len(reduced_shape), "scale": reduction.scale,
    }  # fmt: skip
    plain_call(builder, node, kernel, {"x": node.inputs[0]}, arguments)


def lower_argmax(builder: Builder, node: Node) -> None:
    """Lower the index of the largest number: one for each line along the axis."""
    attrs = attributes(node)
    arguments = along_axis(builder, node.inputs[0], attrs["axis"]) | {"last": int(attrs["last"])}
    plain_call(builder, node, builder.kernel("argmax_none_flat"), {"x": node.inputs[0]}, arguments)


LOWER = {"reduce": lower_reduce, "argmax": lower_argmax}
