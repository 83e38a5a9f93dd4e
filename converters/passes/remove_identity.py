"""Nodes that return their input unchanged disappear."""

from __future__ import annotations

from converters.passes.rewiring import read_instead
from sparsenet.graph import Graph


def remove_identity(graph: Graph) -> Graph:
    """Remove ``identity`` and ``dropout`` (at inference y = x, so this is exact).

    A graph output keeps its name: the tensor before it takes that name. Where it cannot, because it is a graph input,
    a constant or itself a graph output, the node stays, as ``identity``.
    """
    graph = graph.copy()
    for node in [n for n in graph.nodes if n.op in ("identity", "dropout")]:
        source, result = node.inputs[0], node.output
        if result not in graph.outputs:
            read_instead(graph, result, source)
            graph.nodes.remove(node)
            continue
        producer = graph.producer(source)
        if producer is None or source in graph.outputs:
            node.op, node.attrs = "identity", {}
            continue
        graph.nodes.remove(node)
        read_instead(graph, source, result)
        producer.outputs = [result]
    return graph
