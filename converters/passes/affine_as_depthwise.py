"""A scaling by channel as a depthwise 1×1 convolution, which integer kernels have."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node, Quantization

#: The integer that every scale becomes: the largest, so that each channel's own scale keeps all of its digits.
_LARGEST = 127


def affine_as_depthwise(graph: Graph, names: Collection[str]) -> Graph:
    """Rewrite those nodes of these names that scale the channels of images."""
    wiring, shapes = Rewiring(graph), graph.shapes()
    for node in wiring.nodes("affine"):
        if node.name in names and len(shapes[node.inputs[0]]) == 4:
            as_depthwise(wiring, node)
    return wiring.done()


def as_depthwise(wiring: Rewiring, node: Node) -> None:
    """Make an ``affine`` of an image a convolution; where its result is quantized, its weight is, too.

    Exact up to the last digit of float32: a channel's scale s is then 127 or -127 on a grid of |s| / 127.
    """
    weight = scale = wiring.constants[node.inputs[1]]
    grid = None
    if node.output in wiring.quantization:
        grid = Quantization.of_weights(
            np.where(scale != 0, np.abs(scale) / np.float32(_LARGEST), np.float32(1))
        )
        weight = grid.numbers(_LARGEST * np.sign(scale))
    node.op = "conv2d"
    node.attrs["groups"] = len(scale)
    wiring.set_constant(node, 1, weight.reshape(-1, 1, 1, 1), f"{node.inputs[1]}.depthwise")
    if grid is not None:
        wiring.quantization[node.inputs[1]] = grid
