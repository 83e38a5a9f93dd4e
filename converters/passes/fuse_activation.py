"""An activation joins the epilogue of the op before it."""

from __future__ import annotations

from converters.passes.rewiring import may_merge, merge_into, only_reader
from sparsenet.graph import Graph
from sparsenet.ops import ACTIVATIONS, OPS


def fuse_activation(graph: Graph) -> Graph:
    """Append every activation to the epilogue of its producer, if that may carry one and has no other reader.

    Exact: an epilogue runs its steps in order on the finished result, just as the separate node would.
    """
    graph = graph.copy()
    for node in [n for n in graph.nodes if n.op in ACTIVATIONS]:
        producer = graph.producer(node.inputs[0])
        steps = [[node.op, *(node.attrs[p] for p in ACTIVATIONS[node.op])]]
        if (
            producer is None
            or not OPS[producer.op].epilogue
            or only_reader(graph, producer.output) is not node
            or not may_merge(producer, node, steps)
        ):
            continue
        merge_into(graph, producer, node, steps, [])
    return graph
