"""Ops that choose by value: the largest numbers of an axis, elements at computed indices."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.picks import Picks
from sparsenet.targets.cuda.builder import Builder, Epilogue, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, map_strides, three_axes
from sparsenet.targets.cuda.lower.deep import along_axis, loose
from sparsenet.targets.cuda.lower.relayout import clear_gaps, plain, to_maps

PICK = "pick_none_maps"


def lower_top_k(builder: Builder, node: Node) -> None:
    """Find the largest numbers along an axis: a thread for each number finds its rank."""
    attrs, kernel = attributes(node), builder.kernel("topk_none_maps")
    builder.decide(node, "none", kernel)

    def run(inputs: list[Value], out: Value, axis: int) -> None:
        clear_gaps(builder, out)
        sizes, strides, out_strides = list(inputs[0].shape), axis_strides(inputs[0]), axis_strides(out)
        size, stride, out_stride = (along.pop(axis) for along in (sizes, strides, out_strides))
        lines, (steps, out_steps) = three_axes(sizes, strides, out_strides)
        builder.over_pixels(
            kernel, prod(lines) * size, 1, Epilogue(numbers=[1.0 if attrs["largest"] else -1.0]),
            x=inputs[0], axis=size, axis_stride=stride, first=lines[0], second=lines[1], third=lines[2],
            first_stride=steps[0], second_stride=steps[1], third_stride=steps[2], count=attrs["count"],
            out=out, out_axis=out_stride, out_first=out_steps[0], out_second=out_steps[1],
            out_third=out_steps[2],
        )  # fmt: skip

    along_axis(builder, node, run)


def lower_gather_elements(builder: Builder, node: Node) -> None:
    """Gather elements along one axis, by one index for each element."""
    builder.decide(node, "none", builder.kernel(PICK))

    def run(inputs: list[Value], out: Value, axis: int) -> None:
        (x, indices), strides = inputs, axis_strides(inputs[0])
        sizes, steps = builder.table([x.shape[axis]]), builder.table([strides[axis]])
        strides[axis] = 0
        builder.over_output(
            builder.kernel(PICK), out, x=x, **map_strides("x", out.shape, strides), depth=1, sizes=sizes, steps=steps,
            indices=indices, **map_strides("indices", out.shape, axis_strides(indices)),
        )  # fmt: skip

    along_axis(builder, node, run)


def lower_gather_nd(builder: Builder, node: Node) -> None:
    """Gather runs of elements, by several indices for each run; all in C order."""
    x, indices = (plain(builder, builder.get(name)) for name in node.inputs)
    picks = Picks.of(x.shape, indices.shape)
    images, depth = x.shape[0], len(picks.sizes)
    found = loose(builder, (images, picks.runs, picks.inner))
    builder.over_output(
        builder.kernel(PICK), found, x=x, x_image=prod(x.shape[1:]), x_channel=0, x_row=0, x_column=1, depth=depth,
        sizes=builder.table(picks.sizes), steps=builder.table(picks.strides),
        indices=indices, indices_image=picks.runs * depth, indices_channel=depth, indices_row=0, indices_column=0,
    )  # fmt: skip
    to_maps(builder, node.output, plain(builder, found))
    builder.decide(node, "none", builder.kernel(PICK))


LOWER = {"top_k": lower_top_k, "gather_elements": lower_gather_elements, "gather_nd": lower_gather_nd}
