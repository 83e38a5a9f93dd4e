"""Layer, instance and group normalisation."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes
from sparsenet.plan.cuda.builder import THREADS, Builder, Epilogue
from sparsenet.plan.cuda.lower.axes import axis_strides, three_axes
from sparsenet.plan.cuda.lower.movement import clear

#: Threads that share a run, by the most numbers it has; beyond, a whole block.
SHARERS = {64: 8, 2048: 32}


def lower_normalize(builder: Builder, node: Node) -> None:
    """Some threads for each run."""
    attrs, x, out = attributes(node), builder.get(node.inputs[0]), builder.new(node.output)
    axis, strides = attrs["axis"], axis_strides(out)
    if out.maps.guard:
        clear(builder, out)
    runs, (run_strides,) = three_axes(out.shape[:axis], strides[:axis])
    sizes, (size_strides,) = three_axes(out.shape[axis:], strides[axis:])
    threads = next((sharers for most, sharers in SHARERS.items() if prod(sizes) <= most), THREADS)
    together = min(THREADS // threads, prod(runs))
    kernel = Kernel("f32_normalize_none_maps", 1, (threads, together))
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.call(
        kernel, (-(-prod(runs) // together), 1), threads * together, Epilogue(numbers=[attrs["eps"]]),
        x=x, first=runs[0], second=runs[1], third=runs[2], first_stride=run_strides[0],
        second_stride=run_strides[1], third_stride=run_strides[2], outer=sizes[0], middle=sizes[1],
        inner=sizes[2], outer_stride=size_strides[0], middle_stride=size_strides[1],
        inner_stride=size_strides[2], out=out,
    )  # fmt: skip


LOWER = {"normalize": lower_normalize}
