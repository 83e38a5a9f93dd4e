"""A scaling by channel, or a ``leaky_relu``, between two quantized tensors is computed in integers."""

from __future__ import annotations

from typing import Any

from converters.passes.affine_as_depthwise import as_depthwise
from converters.passes.rewiring import Rewiring, may_merge
from sparsenet.graph import Graph, Node
from sparsenet.graph.clamped_line import ClampedLine
from sparsenet.graph.integer import Product
from sparsenet.graph.ops import OPS, as_step
from sparsenet.graph.types import U8


def lines_in_integers(graph: Graph) -> Graph:
    """Rewrite each ``affine`` and ``leaky_relu`` between two quantized tensors, and what limits its results behind it.

    It joins the layer before it, whose result is then rounded once instead of twice: a number differs by a step of the
    grid at most where both grids are equally fine. Behind anything else an ``affine`` becomes a depthwise 1×1
    convolution, if it scales images (``as_depthwise``).
    """
    if not graph.quantization:
        return graph
    wiring, shapes = Rewiring(graph), graph.shapes()
    for node in wiring.nodes("affine", "leaky_relu"):
        grids = [graph.quantization.get(name) for name in (node.inputs[0], node.output)]
        if ClampedLine.of(node, graph.constants) is None or any(
            g is None or g.element is not U8 for g in grids
        ):
            continue
        producer = wiring.producer(node.inputs[0])
        if producer is not None and wiring.only_reader(producer.output) is node:
            steps = [*_limits(graph, producer), ["affine"] if node.op == "affine" else as_step(node)]
            if _fits(graph, producer, node, steps):
                del wiring.quantization[producer.output]
                wiring.merge(producer, node, steps, node.inputs[1:3])
                continue
        if node.op == "affine" and len(shapes[node.inputs[0]]) == 4:
            as_depthwise(wiring, node)
    return wiring.done()


def _limits(graph: Graph, producer: Node) -> list[list[Any]]:
    """What the grid of a node's result does to numbers beyond its ends, as a fused op; none if there are none."""
    low, high = (float(end) for end in graph.quantization[producer.output].numbers([0, 255]))
    line = ClampedLine.of(producer, graph.constants)
    inside = line is not None and (line.low >= low).all() and (line.high <= high).all()
    return [] if inside else [["clip", low, high]]


def _fits(graph: Graph, producer: Node, line: Node, steps: list[list[Any]]) -> bool:
    """Whether the layer computes in integers with the line behind it."""
    if not OPS[producer.op].weighted or not may_merge(producer, line, steps):
        return False
    epilogue = [*producer.epilogue, *steps, *line.epilogue]
    inputs = [*producer.inputs, *line.inputs[1:]]
    joined = Node(producer.op, producer.name, inputs, line.outputs, producer.attrs | {"epilogue": epilogue})
    product = Product.of(graph, joined)
    return product is not None and product.fits
