"""Ops that bring lines of numbers to a common scale: layer, instance and group normalization, softmax."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, three_axes
from sparsenet.targets.cuda.lower.deep import along_axis
from sparsenet.targets.cuda.lower.relayout import clear_gaps


def lower_normalize(builder: Builder, node: Node) -> None:
    """Lower a normalization, with several threads for each run."""
    attrs, x, out = attributes(node), builder.get(node.inputs[0]), builder.new_maps(node.output)
    axis, strides = attrs["axis"], axis_strides(out)
    clear_gaps(builder, out)
    runs, (run_strides,) = three_axes(out.shape[:axis], strides[:axis])
    sizes, (size_strides,) = three_axes(out.shape[axis:], strides[axis:])
    kernel = builder.over_lines(
        "normalize_none_maps", prod(runs), prod(sizes), size_strides[2], [attrs["eps"]],
        x=x, first=runs[0], second=runs[1], third=runs[2], first_stride=run_strides[0],
        second_stride=run_strides[1], third_stride=run_strides[2],
        outer=sizes[0], middle=sizes[1], inner=sizes[2], outer_stride=size_strides[0],
        middle_stride=size_strides[1], inner_stride=size_strides[2], out=out,
    )  # fmt: skip
    builder.decide(node, "none", kernel)


def lower_softmax(builder: Builder, node: Node) -> None:
    """Lower a softmax, with several threads for each line along the axis."""

    def run(inputs: list[Value], out: Value, axis: int) -> None:
        clear_gaps(builder, out)
        others, strides = list(out.shape), axis_strides(out)
        size, stride = others.pop(axis), strides.pop(axis)
        lines, (steps,) = three_axes(others, strides)
        kernel = builder.over_lines(
            "softmax_none_maps", prod(lines), size, stride, x=inputs[0], axis=size, axis_stride=stride,
            first=lines[0], second=lines[1], third=lines[2], first_stride=steps[0],
            second_stride=steps[1], third_stride=steps[2], out=out,
        )  # fmt: skip
        builder.decide(node, "none", kernel)

    along_axis(builder, node, run)


LOWER = {"normalize": lower_normalize, "softmax": lower_softmax}
