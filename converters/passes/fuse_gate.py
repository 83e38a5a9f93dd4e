"""A product with its own sigmoid is one activation."""

from __future__ import annotations

from converters.passes.eliminate_dead import eliminate_dead
from sparsenet.graph import Graph

#: Op that gates a tensor → activation that the product is.
_GATES = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}


def fuse_gate(graph: Graph) -> Graph:
    """Turn x · sigmoid(x) into ``silu``, x · hard_sigmoid(x) into ``hard_swish``.

    Exact: that is what the two activations are. Exporters write them as two nodes, which no epilogue can hold.
    """
    graph = graph.copy()
    made_by = {node.output: node for node in graph.nodes}
    for node in graph.nodes:
        if node.op != "mul" or node.epilogue:
            continue
        for x, other in (node.inputs, reversed(node.inputs)):
            gate = made_by.get(other)
            if gate is not None and gate.op in _GATES and gate.inputs == [x]:
                node.op, node.inputs, node.attrs = _GATES[gate.op], [x], {}
                break
    return eliminate_dead(graph)
