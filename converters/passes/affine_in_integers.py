"""A scaling by channel between two quantized tensors becomes a depthwise 1×1 convolution, which runs in integers."""

from __future__ import annotations

import numpy as np

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Quantization
from sparsenet.graph.integer import bounds_of
from sparsenet.graph.types import U8

#: The integer that every scale becomes: the largest, so that each channel's own scale keeps all of its digits.
_LARGEST = 127


def affine_in_integers(graph: Graph) -> Graph:
    """Rewrite each ``affine`` of images whose input and output are quantized, and that else only limits its results.

    Exact up to the last digit of float32: a channel's scale s is the integer 127 or -127 on a grid of |s| / 127.
    """
    if not graph.quantization:
        return graph
    wiring, shapes = Rewiring(graph), graph.shapes()
    for node in wiring.nodes("affine"):
        grids = [wiring.quantization.get(name) for name in (node.inputs[0], node.output)]
        limits = all(bounds_of(step) is not None for step in node.epilogue)
        if (
            len(shapes[node.inputs[0]]) != 4
            or not limits
            or any(g is None or g.element is not U8 for g in grids)
        ):
            continue
        scale = wiring.constants[node.inputs[1]]
        steps = np.where(scale != 0, np.abs(scale) / np.float32(_LARGEST), np.float32(1))
        grid = Quantization.of_weights(steps)
        weight = grid.numbers(_LARGEST * np.sign(scale)).reshape(-1, 1, 1, 1)
        node.op = "conv2d"
        node.attrs["groups"] = len(scale)
        wiring.set_constant(node, 1, weight, f"{node.inputs[1]}.depthwise")
        wiring.quantization[node.inputs[1]] = grid
    return wiring.done()
