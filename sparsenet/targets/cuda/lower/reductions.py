"""Reductions over any axes, and the index of the largest number on one."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.targets.cuda.builder import Argument, Builder, Epilogue, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides, three_axes
from sparsenet.targets.cuda.lower.deep import MAP_AXES, along_axis, kept_and_gone, loose
from sparsenet.targets.cuda.lower.movement import plain, to_maps
from sparsenet.targets.registry import REDUCE_OPERATIONS, Kernel

_ONLY = "the only kernel for this op"


def lower_reduce(builder: Builder, node: Node) -> None:
    """A thread for each number that is left goes through all that become it."""
    attrs, x = attributes(node), builder.get(node.inputs[0])
    axes, keepdims, deep = sorted(attrs["axes"]), attrs["keepdims"], len(x.shape) > MAP_AXES
    if deep:
        x, axes, keepdims = kept_and_gone(builder, x, axes), [2], False
    out = loose(builder, x.shape[:2]) if deep else builder.new(node.output)
    strides = axis_strides(x)
    sizes, (steps,) = three_axes([x.shape[axis] for axis in axes], [strides[axis] for axis in axes])
    operation = "sum" if attrs["kind"] == "mean" else attrs["kind"]
    kernel = Kernel("f32_reduce_none_maps", 1, (REDUCE_OPERATIONS.index(operation),))
    builder.decide(node, "none", kernel, _ONLY)
    scale = 1 / prod(sizes) if attrs["kind"] == "mean" else 1.0
    builder.over_pixels(
        kernel, out.maps.pitch, out.maps.channels, Epilogue(numbers=[scale]),
        **_left(x, out, axes, keepdims), first=sizes[0], second=sizes[1], third=sizes[2],
        first_stride=steps[0], second_stride=steps[1], third_stride=steps[2],
        channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip
    if deep:
        to_maps(builder, node.output, plain(builder, out))


def lower_argmax(builder: Builder, node: Node) -> None:
    """A thread for each line along the axis."""
    last, kernel = int(attributes(node)["last"]), Kernel("f32_argmax_none_maps", 1)
    builder.decide(node, "none", kernel, _ONLY)

    def run(inputs: list[Value], out: Value, axis: int) -> None:
        x = inputs[0]
        builder.over_pixels(
            kernel, out.maps.pitch, out.maps.channels, **_left(x, out, [axis], True),
            axis=x.shape[axis], axis_stride=axis_strides(x)[axis], last=last,
            channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
        )  # fmt: skip

    along_axis(builder, node, run)


def _left(x: Value, out: Value, axes: list[int], keepdims: bool) -> dict[str, Argument]:
    """Where the first number of each reduction stands in ``x``, as strides along the axes of ``out``."""
    strides = [0 if i in axes else stride for i, stride in enumerate(axis_strides(x))]
    if not keepdims:
        strides = [stride for i, stride in enumerate(strides) if i not in axes]
    image, channel, row, column = four_strides(out.shape, strides)
    return {"x": x, "x_image": image, "x_channel": channel, "x_row": row, "x_column": column}


LOWER = {"reduce": lower_reduce, "argmax": lower_argmax}
