"""A ReLU over numbers that are never negative does nothing."""

from __future__ import annotations

from converters.passes.remove_identity import remove_identity
from sparsenet.graph import Graph, Node

SIGN_KEEPING = {
    "max_pool2d", "identity", "dropout", "flatten", "reshape", "transpose", "depth_to_space", "space_to_depth",
}  # fmt: skip


def remove_redundant_relu(graph: Graph) -> Graph:
    """Remove each ``relu`` whose input ends in a ReLU (or sigmoid, hard sigmoid, clip at 0 or above).

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
    if node.epilogue:
        word, *numbers = node.epilogue[-1]
        return word in ("relu", "sigmoid", "hard_sigmoid") or (word == "clip" and numbers[0] >= 0)
    if node.op in SIGN_KEEPING:
        return node.inputs[0] in known
    return node.op in ("relu", "sigmoid", "hard_sigmoid") or (node.op == "clip" and node.attrs["min"] >= 0)
