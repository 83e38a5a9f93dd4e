"""Reductions over neighbouring axes, and the index of the largest number."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.plan.lowering.reduction import Reduction
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.along_axis import REDUCTIONS
from sparsenet.targets.c99.stage import Read


def lower_reduce(builder: Builder, node: Node) -> None:
    """The reduced axes as one."""
    shape = builder.shape(node.inputs[0])
    reduction = Reduction.of(node, shape)
    first, last = reduction.reduced[0], reduction.reduced[-1]
    if any(shape[axis] > 1 for axis in reduction.kept if first < axis < last):
        raise NoKernelError("it reduces axes with others between them")
    kernel = Kernel("f32_reduce_none_flat", (list(REDUCTIONS).index(reduction.operation),))
    size = prod(shape[axis] for axis in reduction.reduced)
    outer, inner = prod(shape[:first]), prod(shape[last + 1 :])
    _add(builder, node, kernel, {"outer": outer, "size": size, "inner": inner, "scale": reduction.scale})


def lower_argmax(builder: Builder, node: Node) -> None:
    """The index of the largest number of an axis."""
    attrs = attributes(node)
    split = AxisSplit.of(builder.shape(node.inputs[0]), attrs["axis"])
    _add(builder, node, Kernel("f32_argmax_none_flat"), {**split._asdict(), "last": int(attrs["last"])})


def _add(builder: Builder, node: Node, kernel: Kernel, known: dict[str, Word]) -> None:
    x, out = builder.flat(node.inputs[0]), builder.new_flat(node.output)
    builder.add(out, kernel, [Read(x, whole=True)], known, units=1, by_rows=False)
    builder.choose(node, "none", kernel)


LOWER = {"reduce": lower_reduce, "argmax": lower_argmax}
