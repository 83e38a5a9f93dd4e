"""Reshapes in their plainest form: ``flatten`` where that is what they do, nothing where they do nothing."""

from __future__ import annotations

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.remove_identity import remove_identity
from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph
from sparsenet.graph.ops import OPS


def simplify_reshape(graph: Graph) -> Graph:
    """Turn a ``reshape`` to (N, F) into ``flatten``, skip reshapes before reshapes, remove those that do nothing.

    Exact: neither op moves a number, both read and write in C order, so only the last shape of a chain matters.
    """
    wiring, shapes = Rewiring(graph), graph.shapes()
    for node in wiring.nodes("flatten", "reshape"):
        before = wiring.producer(node.inputs[0])
        if before is not None and OPS[before.op].keeps_order:
            wiring.read(node, [before.inputs[0]])
        if shapes[node.inputs[0]] == shapes[node.output]:
            node.op, node.attrs = "identity", {}
        elif len(shapes[node.output]) == 2:
            node.op, node.attrs = "flatten", {}
    return eliminate_dead(remove_identity(wiring.done()))
