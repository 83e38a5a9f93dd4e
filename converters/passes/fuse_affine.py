"""An affine map that cannot be folded into weights joins the epilogue of the op before it."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring, may_merge
from sparsenet.graph import Graph
from sparsenet.graph.ops import OPS


def fuse_affine(graph: Graph) -> Graph:
    """Append every ``affine`` to the epilogue of its producer, if that may carry one and has no other reader.

    This is how BatchNorm after ReLU stays exact: ``conv2d`` with the epilogue ``relu``, ``affine``. The affine's own
    epilogue comes along behind it. Behind a tensor that is quantized it stays a node of its own: what makes the tensor
    could not be computed in integers with it.
    """
    wiring = Rewiring(graph)
    for node in wiring.nodes("affine"):
        producer = wiring.producer(node.inputs[0])
        if (
            producer is None
            or producer.output in wiring.quantization
            or not OPS[producer.op].epilogue
            or wiring.only_reader(producer.output) is not node
            or not may_merge(producer, node, [["affine"]])
        ):
            continue
        wiring.merge(producer, node, [["affine"]], node.inputs[1:3])
    return wiring.done()
