"""Ops that keep every element in its order: flatten, reshape, identity."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.plan.relayout import MapCopy


def lower_identity(builder: Builder, node: Node) -> None:
    """Lower an identity: the same value under another name, unless a reader needs a halo."""
    x = node.inputs[0]
    if not builder.is_map(x):
        builder.put(node.output, builder.bounded(x))
        return
    source = builder.rows(x)
    if builder.halos.get(node.output, (0, 0, 0)) == (0, 0, 0):
        builder.put(node.output, source)
        return
    out = builder.new_rows(node.output)
    builder.add(MapCopy(node.name, out, out.rows.height, source, builder.map_shape(x)))


def lower_reshape(builder: Builder, node: Node) -> None:
    """Lower a reshape: the input in C order, viewed in another shape."""
    source = builder.bounded(node.inputs[0])
    builder.put(node.output, source.view(node.output, builder.plain_layout(node.output)))


LOWER = {
    **dict.fromkeys(["identity", "dropout"], lower_identity),
    **dict.fromkeys(["flatten", "reshape"], lower_reshape),
}
