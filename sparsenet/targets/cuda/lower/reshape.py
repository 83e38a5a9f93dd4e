"""Ops that keep every element in its order: flatten, reshape, identity."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.plan import Decision
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.lower.relayout import RELAYOUT, plain, seen_as, to_maps


def lower_identity(builder: Builder, node: Node) -> None:
    """Lower an identity: the same tensor under another name."""
    _alias(builder, node, builder.get(node.inputs[0]), "the same tensor")


def lower_reshape(builder: Builder, node: Node) -> None:
    """Lower a reshape in place where every element keeps its place, else through C order."""
    x, shape = builder.get(node.inputs[0]), builder.shape(node.output)
    if builder.layout(shape) == x.layout:
        _alias(builder, node, seen_as(x, shape), "the same elements in the same places")
        return
    to_maps(builder, node.output, plain(builder, x))
    builder.decide(node, "none", builder.kernel(RELAYOUT), "copied through C order")


def _alias(builder: Builder, node: Node, value: Value, reason: str) -> None:
    """Record that ``node`` computes nothing: its output is ``value``."""
    builder.put(node.output, value)
    builder.decisions.append(Decision(node.name, node.op, "none", "none", reason))


LOWER = {
    **dict.fromkeys(["identity", "dropout"], lower_identity),
    **dict.fromkeys(["flatten", "reshape"], lower_reshape),
}
