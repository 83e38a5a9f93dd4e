"""An affine map behind a convolution or linear layer disappears into its weight and bias."""

from __future__ import annotations

from converters.passes.rewiring import constants_of, merge_into, only_reader, set_constant
from sparsenet.graph import Graph, Node
from sparsenet.ops import split_inputs


def fold_affine(graph: Graph) -> Graph:
    """Fold an ``affine`` into the ``conv2d`` or ``linear`` before it.

    Exact: s·(W∗x + b) + t = (s·W)∗x + (s·b + t), row by row of W, if the layer has no epilogue (nothing happens in
    between) and no other reader (nobody wants the value in between). Zero weights stay zero. A BatchNorm *after* a
    ReLU, as in MaskCNN, is not touched: it becomes an epilogue.
    """
    graph = graph.copy()
    for affine in [n for n in graph.nodes if n.op == "affine"]:
        layer = graph.producer(affine.inputs[0])
        if layer is None or layer.op not in ("conv2d", "linear") or layer.epilogue:
            continue
        if only_reader(graph, layer.output) is affine:
            _fold(graph, layer, affine)
    graph.drop_unused_constants()
    return graph


def _fold(graph: Graph, layer: Node, affine: Node) -> None:
    own, _ = split_inputs(layer)
    parameters = constants_of(graph, [name for name in own[1:] if name])
    pair = constants_of(graph, split_inputs(affine)[0][1:])
    if parameters is None or pair is None:
        return
    weight, bias = parameters[0], parameters[1] if own[2] else 0.0
    scale, shift = pair
    layer.inputs = own
    set_constant(
        graph, layer, 1, weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), f"{layer.name}.weight"
    )
    set_constant(graph, layer, 2, bias * scale + shift, f"{layer.name}.bias")
    merge_into(graph, layer, affine, [], [])
