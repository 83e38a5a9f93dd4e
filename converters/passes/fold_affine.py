"""An affine map behind a convolution or linear layer disappears into its weight and bias."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import OPS, split_inputs


def fold_affine(graph: Graph) -> Graph:
    """Fold an ``affine`` into the ``conv2d`` or ``linear`` before it.

    Exact: s·(W∗x + b) + t = (s·W)∗x + (s·b + t), row by row of W, if the layer has no epilogue (nothing happens in
    between) and no other reader (nobody wants the value in between). Zero weights stay zero. A BatchNorm *after* a
    ReLU, as in MaskCNN, is not touched: it becomes an epilogue.
    """
    wiring = Rewiring(graph)
    for affine in wiring.nodes("affine"):
        layer = wiring.producer(affine.inputs[0])
        if layer is None or not OPS[layer.op].weighted or layer.epilogue:
            continue
        if wiring.only_reader(layer.output) is affine:
            _fold(wiring, layer, affine)
    return wiring.done()


def _fold(wiring: Rewiring, layer: Node, affine: Node) -> None:
    own, _ = split_inputs(layer)
    parameters = wiring.constants_of(name for name in own[1:] if name)
    pair = wiring.constants_of(split_inputs(affine)[0][1:])
    if parameters is None or pair is None:
        return
    weight, bias = parameters[0], parameters[1] if own[2] else 0.0
    scale, shift = pair
    wiring.read(layer, own)
    folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    wiring.set_constant(layer, 1, folded, f"{layer.name}.weight")
    wiring.set_constant(layer, 2, bias * scale + shift, f"{layer.name}.bias")
    wiring.merge(layer, affine, [], [])
