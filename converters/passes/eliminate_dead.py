"""Nodes and constants that no graph output depends on disappear."""

from __future__ import annotations

from sparsenet.graph import Graph


def eliminate_dead(graph: Graph) -> Graph:
    """Remove nodes whose result reaches no output, and constants nobody reads; graph inputs always stay."""
    graph = graph.copy()
    needed = set(graph.outputs)
    alive = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            alive.append(node)
            needed.update(node.inputs)
    graph.nodes = alive[::-1]
    graph.drop_unused_constants()
    return graph
