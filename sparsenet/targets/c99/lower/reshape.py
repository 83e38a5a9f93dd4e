"""Ops that give a tensor another shape."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.kernel import Kernel


def lower(builder: Builder, node: Node) -> None:
    """The same numbers under another name, or a copy where the caller wants them in an array of its own."""
    x = builder.any(node.inputs[0])
    kernel = Kernel("f32_copy_none_rows")
    if node.output in builder.results:
        builder.copy(builder.new(node.output), x)
        builder.choose(node, "none", kernel)
        return
    if x.shape == builder.map_shape(node.output):
        builder.alias(node.output, x)
    else:
        builder.view(node.output, x)
    builder.choose(node, "none", kernel, "no instruction: the same numbers in their place")


LOWER = dict.fromkeys(("identity", "dropout", "flatten", "reshape"), lower)
