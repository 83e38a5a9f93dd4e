"""An affine map before a convolution or linear layer disappears into its weight and bias, where that is exact."""

from __future__ import annotations

import numpy as np

from converters.passes.channel_values import channel_count, keeps_channel_order
from converters.passes.rewiring import Float64Array, Rewiring
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import OPS, attributes, split_inputs


def fold_affine_forward(graph: Graph) -> Graph:
    """Fold an ``affine`` into the ``conv2d`` or ``linear`` that alone reads it, directly or behind a flattening.

    Exact: W∗(s·x + t) + b = (W·s)∗x + (W∗t + b) with s along the input channels, and W∗t is the same number at every
    position only if no window reaches into zero padding: the padding is zero *after* the affine, so behind padding t
    would be missing. A padded convolution is therefore left alone unless every t is 0, and so is one whose weight or
    input is quantized: it would lie on no grid any more.
    """
    wiring, shapes = Rewiring(graph), dict(graph.shapes())
    for affine in [n for n in reversed(wiring.nodes("affine")) if not n.epilogue]:
        pair = wiring.constants_of(affine.inputs[1:])
        reader = wiring.only_reader(affine.output)
        if pair is None or reader is None:
            continue
        layer: Node | None = reader
        if keeps_channel_order(reader, shapes[affine.output], shapes[reader.output]):
            per_channel = channel_count(shapes[reader.output]) // channel_count(shapes[affine.output])
            pair = [np.repeat(v, per_channel) for v in pair]
            layer = wiring.only_reader(reader.output)
        if layer is None or not OPS[layer.op].weighted or not _fold(wiring, layer, *pair):
            continue
        wiring.read(reader, [affine.inputs[0], *reader.inputs[1:]])
        wiring.remove(affine)
        if reader is not layer:  # the reshape now passes other numbers on, which must not keep the old name
            flat = wiring.unused_name(f"{affine.inputs[0]}.flat")
            shapes[flat] = shapes[reader.output]
            wiring.rename_output(reader, flat)
            wiring.read(layer, [reader.output, *layer.inputs[1:]])
    return wiring.done()


def _fold(wiring: Rewiring, layer: Node, scale: Float64Array, shift: Float64Array) -> bool:
    own, extra = split_inputs(layer)
    parameters = wiring.constants_of(name for name in own[1:] if name)
    if any(name in wiring.quantization for name in own[:2]):
        return False
    if parameters is None or (any(attributes(layer).get("padding", [0])) and shift.any()):
        return False
    weight, bias = parameters[0], parameters[1] if own[2] else 0.0
    groups = attributes(layer).get("groups", 1)
    grouped = weight.reshape(
        groups, weight.shape[0] // groups, weight.shape[1], -1
    )  # (g, C_out/g, C_in/g, K)
    s, t = (v.reshape(groups, 1, weight.shape[1], 1) for v in (scale, shift))
    wiring.read(layer, [*own, *extra])
    wiring.set_constant(layer, 1, (grouped * s).reshape(weight.shape), f"{layer.name}.weight")
    if own[2] or shift.any():
        wiring.set_constant(layer, 2, (grouped * t).sum((2, 3)).reshape(-1) + bias, f"{layer.name}.bias")
    return True
