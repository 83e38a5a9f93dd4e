"""An activation joins the epilogue of the op before it."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring, may_merge
from sparsenet.graph import Graph
from sparsenet.graph.ops import ACTIVATIONS, OPS, as_step


def fuse_activation(graph: Graph) -> Graph:
    """Append every activation to the epilogue of its producer, if that may carry one and has no other reader.

    Exact: an epilogue runs its steps in order on the finished result, just as the separate node would.
    """
    wiring = Rewiring(graph)
    for node in wiring.nodes(*ACTIVATIONS):
        producer = wiring.producer(node.inputs[0])
        steps = [as_step(node)]
        if (
            producer is None
            or not OPS[producer.op].epilogue
            or wiring.only_reader(producer.output) is not node
            or not may_merge(producer, node, steps)
        ):
            continue
        wiring.merge(producer, node, steps, [])
    return wiring.done()
