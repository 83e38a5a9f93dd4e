"""Softmax, and normalization over all numbers from one axis on."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Read


def lower_softmax(builder: Builder, node: Node) -> None:
    """Along an axis."""
    split = AxisSplit.of(builder.shape(node.inputs[0]), attributes(node)["axis"])
    _add(builder, node, Kernel("f32_softmax_none_flat"), dict(split._asdict()))


def lower_normalize(builder: Builder, node: Node) -> None:
    """Over everything from an axis on."""
    shape, attrs = builder.shape(node.inputs[0]), attributes(node)
    axis = attrs["axis"]
    known: dict[str, Word] = {"outer": prod(shape[:axis]), "size": prod(shape[axis:]), "inner": 1}
    _add(builder, node, Kernel("f32_normalize_none_flat"), {**known, "eps": float(attrs["eps"])})


def _add(builder: Builder, node: Node, kernel: Kernel, known: dict[str, Word]) -> None:
    x, out = builder.flat(node.inputs[0]), builder.new_flat(node.output)
    builder.add(out, kernel, [Read(x, whole=True)], known, units=1, by_rows=False)
    builder.choose(node, "none", kernel)


LOWER = {"softmax": lower_softmax, "normalize": lower_normalize}
