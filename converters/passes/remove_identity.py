"""Nodes that return their input unchanged disappear."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph
from sparsenet.graph.ops import OPS


def remove_identity(graph: Graph) -> Graph:
    """Remove ``identity`` and ``dropout`` (at inference y = x, so this is exact).

    A graph output keeps its name: the tensor before it takes that name. Where it cannot, because it is a graph input,
    a constant or itself a graph output, the node stays, as ``identity``.
    """
    wiring = Rewiring(graph)
    for node in wiring.nodes():
        if not OPS[node.op].returns_input:
            continue
        source, result = node.inputs[0], node.output
        if result not in wiring.outputs:
            wiring.read_instead(result, source)
            wiring.remove(node)
            continue
        producer = wiring.producer(source)
        if producer is None or source in wiring.outputs:
            node.op, node.attrs = "identity", {}
            continue
        wiring.remove(node)
        wiring.read_instead(source, result)
        wiring.rename_output(producer, result)
    return wiring.done()
