"""Ways to quantize a part of a network, or only its weights, or to put what integers cannot do between its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from converters import quantize
from converters.passes.optimize import optimize
from sparsenet import Graph, Node
from sparsenet.graph.feeds import random_inputs
from sparsenet.graph.ops import OPS

#: From the layers with weights, in order, to those that stay float32.
Kept = Callable[[list[Node]], list[Node]]
SAMPLES = 4


def _depthwise(node: Node) -> bool:
    return int(node.attrs.get("groups", 1)) > 1


def _drawn(layers: list[Node], share: float) -> list[Node]:
    chosen = np.random.default_rng(0).random(len(layers)) < share
    return [layer for layer, kept in zip(layers, chosen, strict=True) if kept]


KEPT: Mapping[str, Kept] = {
    "none": lambda layers: layers[:0],
    "first and last": lambda layers: [layers[0], layers[-1]],
    "second half": lambda layers: layers[len(layers) // 2 :],
    "first half": lambda layers: layers[: len(layers) // 2],
    "every second": lambda layers: layers[::2],
    "every other second": lambda layers: layers[1::2],
    "half, drawn": lambda layers: _drawn(layers, 0.5),
    "4 of 5, drawn": lambda layers: _drawn(layers, 0.8),
    "9 of 10": lambda layers: [layer for number, layer in enumerate(layers) if number % 10 != 5],
    "all but depthwise": lambda layers: [layer for layer in layers if not _depthwise(layer)],
    "depthwise": lambda layers: [layer for layer in layers if _depthwise(layer)],
}
#: Numbers of which only the weights are on grids.
WEIGHTS_ONLY = "all, weights int8"
WAYS = (*KEPT, WEIGHTS_ONLY)


def in_part(graph: Graph, way: str) -> Graph | None:
    """``graph`` with the layers of this way in float32 and the others on grids; None if that keeps none of them."""
    kept = KEPT.get(way, KEPT["none"])
    layers = [node for node in optimize(graph, reduce=False).nodes if OPS[node.op].weighted]
    names = [node.name for node in kept(layers)]
    if not names and way not in ("none", WEIGHTS_ONLY):
        return None
    samples = [random_inputs(graph.inputs, 1, seed) for seed in range(SAMPLES)]
    quantized = quantize(graph, samples, skip=names, threads=1)
    if way == WEIGHTS_ONLY:
        quantized.quantization = {
            name: grid for name, grid in quantized.quantization.items() if name in quantized.constants
        }
    return quantized
