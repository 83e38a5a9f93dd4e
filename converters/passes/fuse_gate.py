"""A product with its own sigmoid is one activation."""

from __future__ import annotations

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph

#: Op that gates a tensor → activation that the product is.
_GATES = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}


def fuse_gate(graph: Graph) -> Graph:
    """Turn x · sigmoid(x) into ``silu``, x · hard_sigmoid(x) into ``hard_swish``.

    Exact: that is what the two activations are. Exporters write them as two nodes, which no epilogue can hold.
    """
    wiring = Rewiring(graph)
    for product in [node for node in wiring.nodes("mul") if not node.epilogue]:
        for x, other in (product.inputs, reversed(product.inputs)):
            gate = wiring.producer(other)
            if gate is not None and gate.op in _GATES and gate.inputs == [x]:
                product.op, product.attrs = _GATES[gate.op], {}
                wiring.read(product, [x])
                break
    return eliminate_dead(wiring.done())
