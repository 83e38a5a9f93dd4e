"""A ReLU over numbers that are never negative does nothing."""

from __future__ import annotations

from converters.passes.remove_identity import remove_identity
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import ACTIVATIONS, OPS, as_step


def remove_redundant_relu(graph: Graph) -> Graph:
    """Remove each ``relu`` whose input ends in an activation that is never negative, a ReLU above all.

    Exact: max(x, 0) = x for x ≥ 0, and NaN stays NaN. Networks with pre-activation blocks, Xception among them, apply
    ReLU twice where a stem that ends in one meets a block that starts with one.
    """
    graph = graph.copy()
    never_negative: set[str] = set()
    for node in graph.nodes:
        if node.op == "relu" and node.inputs[0] in never_negative:
            node.op = "identity"
        if _never_negative(node, never_negative):
            never_negative.add(node.output)
    return remove_identity(graph)


def _never_negative(node: Node, known: set[str]) -> bool:
    steps = [as_step(node)] if node.op in ACTIVATIONS else node.epilogue
    if steps:
        op, *numbers = steps[-1]
        return op in ACTIVATIONS and ACTIVATIONS[op].least_of(numbers) >= 0
    return OPS[node.op].sign_keeping and node.inputs[0] in known
