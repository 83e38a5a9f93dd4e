"""Ops that bring lines of numbers to a common scale: layer, instance and group normalization, softmax."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.ref import Word
from sparsenet.targets.cpu.lower.plain_call import along_axis, plain_call


def lower_normalize(builder: Builder, node: Node) -> None:
    """Lower a normalization of consecutive runs of elements."""
    attrs, shape = attributes(node), builder.shape(node.inputs[0])
    runs, sizes = shape[: attrs["axis"]], shape[attrs["axis"] :]
    arguments: dict[str, Word] = {"runs": prod(runs), "size": prod(sizes), "eps": attrs["eps"]}
    plain_call(builder, node, builder.kernel("normalize_none_flat"), {"x": node.inputs[0]}, arguments)


def lower_softmax(builder: Builder, node: Node) -> None:
    """Lower a softmax, in C order."""
    arguments = along_axis(builder, node.inputs[0], attributes(node)["axis"])
    plain_call(builder, node, builder.kernel("softmax_none_flat"), {"x": node.inputs[0]}, arguments)


LOWER = {"normalize": lower_normalize, "softmax": lower_softmax}
