"""Reductions over neighbouring axes, and the index of the largest number."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit, contiguous_strides
from sparsenet.plan.lowering.places import places_of
from sparsenet.plan.lowering.reduction import Reduction
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.along_axis import REDUCTIONS
from sparsenet.targets.c99.lower.movement import take
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value


def lower_reduce(builder: Builder, node: Node) -> None:
    """The reduced axes as one; if there are others between them, of a copy where those come first."""
    x, shape = builder.flat(node.inputs[0]), builder.shape(node.inputs[0])
    reduction = Reduction.of(node, shape)
    first, last = reduction.reduced[0], reduction.reduced[-1]
    size = prod(shape[axis] for axis in reduction.reduced)
    outer, inner = prod(shape[:first]), prod(shape[last + 1 :])
    if any(shape[axis] > 1 for axis in reduction.kept if first < axis < last):
        places = places_of(shape, contiguous_strides(shape))
        together = Value(f"{node.output} (reordered)", (1, 1, prod(shape)), flat=True)
        take(builder, together, x, [places[axis] for axis in (*reduction.kept, *reduction.reduced)])
        x, outer, inner = together, prod(shape) // size, 1
    kernel = Kernel("f32_reduce_none_flat", (list(REDUCTIONS).index(reduction.operation),))
    _add(builder, node, kernel, x, {"outer": outer, "size": size, "inner": inner, "scale": reduction.scale})


def lower_argmax(builder: Builder, node: Node) -> None:
    """The index of the largest number of an axis."""
    attrs = attributes(node)
    split = AxisSplit.of(builder.shape(node.inputs[0]), attrs["axis"])
    known: dict[str, Word] = {**split._asdict(), "last": int(attrs["last"])}
    _add(builder, node, Kernel("f32_argmax_none_flat"), builder.flat(node.inputs[0]), known)


def _add(builder: Builder, node: Node, kernel: Kernel, x: Value, known: dict[str, Word]) -> None:
    out = builder.new_flat(node.output)
    builder.add(out, kernel, [Read(x, whole=True)], known, units=1, by_rows=False)
    builder.choose(node, "none", kernel)


LOWER = {"reduce": lower_reduce, "argmax": lower_argmax}
