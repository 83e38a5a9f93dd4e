"""Imposed sparsity: zeros where magnitude pruning puts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparsenet import Graph, Node
from sparsenet.graph import FloatArray
from sparsenet.graph.ops import attributes

#: What SNIP removes from RetinaFace's pyramid and context modules at its compression ratio 10^0.5.
SNIP_SPARSITY = 1 - 10**-0.5

#: Said with every result, since it decides what the figures mean.
SPARSITY_NOTE = (
    "sparsity: the smallest weights by magnitude are zero, layer by layer, in every convolution and linear layer but "
    "the first and the depthwise ones; in RetinaFace it is the backbone's, its pyramid and context modules are always "
    f"at {SNIP_SPARSITY:.1%}, its heads dense"
)


@dataclass(frozen=True)
class Layer:
    """A layer with prunable weights, and whether the comparison prunes it."""

    node: Node
    constant: str
    weight: FloatArray
    sparsity: float


def layers(graph: Graph, sparsity: float) -> Iterator[Layer]:
    """Every convolution and linear layer with the sparsity it gets when the network is asked for ``sparsity``."""
    inputs = {info.name for info in graph.inputs}
    for node, name, weight in graph.weights():
        wanted = sparsity
        if node.inputs[0] in inputs or _is_depthwise(node, weight) or "_heads." in name:
            wanted = 0.0
        elif name.startswith(("fpn.", "ssh.")):
            wanted = SNIP_SPARSITY
        yield Layer(node, name, weight, wanted)


def sparsify(graph: Graph, sparsity: float) -> Graph:
    """A copy whose prunable weights are unstructured sparse, each layer by itself; see ``SPARSITY_NOTE``.

    What remains of an output channel is scaled up to the channel's former norm: training on would do as much, and
    without it activations die out towards the end of a deep network.
    """
    sparse = graph.copy()
    for layer in layers(graph, sparsity):
        sparse.constants[layer.constant] = _pruned(layer.weight, layer.sparsity)
    return sparse


def _pruned(weight: FloatArray, sparsity: float) -> FloatArray:
    zeros = round(sparsity * weight.size)
    if zeros == 0:
        return weight
    kept = weight.copy()
    kept.flat[np.argpartition(np.abs(weight), zeros - 1, axis=None)[:zeros]] = 0
    axes = tuple(range(1, weight.ndim))
    before, after = (np.square(w, dtype=np.float64).sum(axis=axes, keepdims=True) for w in (weight, kept))
    gain = np.sqrt(np.divide(before, after, where=after > 0, out=np.zeros_like(after)))
    scaled: FloatArray = (kept * gain).astype(np.float32)
    return scaled


def _is_depthwise(node: Node, weight: FloatArray) -> bool:
    return node.op == "conv2d" and attributes(node)["groups"] > 1 and weight.shape[1] == 1
