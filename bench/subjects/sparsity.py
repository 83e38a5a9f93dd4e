"""Imposed sparsity: zeros where magnitude pruning puts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparsenet import Graph, Node
from sparsenet.graph import FloatArray
from sparsenet.graph.ops import attributes

#: Name → input channels in a row that become zero together, for an output channel and a place of the window.
BLOCKS = {"1x1": 1, "1x4": 4}

#: What SNIP removes from RetinaFace's pyramid and context modules at its compression ratio 10^0.5.
SNIP_SPARSITY = 1 - 10**-0.5

#: Said with every result, since it decides what the figures mean.
SPARSITY_NOTE = (
    "sparsity: the smallest weights by magnitude are zero, layer by layer, in every convolution and linear layer but "
    "the first and the depthwise ones; in RetinaFace it is the backbone's, its pyramid and context modules are always "
    f"at {SNIP_SPARSITY:.1%}, its heads dense; with 1x4 blocks, four weights of neighbouring input channels at a time "
    "are zero, where their mean magnitude is smallest"
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


def sparsify(graph: Graph, sparsity: float, block: str = "1x1") -> Graph:
    """A copy whose prunable weights are sparse, each layer by itself; see ``SPARSITY_NOTE`` and ``BLOCKS``.

    What remains of an output channel is scaled up to the channel's former norm: training on would do as much, and
    without it activations die out towards the end of a deep network. Then they stand on no grid of integers any more.
    """
    sparse = graph.copy()
    sparse.quantization = {}
    for layer in layers(graph, sparsity):
        kept = _pruned(layer.weight, layer.sparsity, BLOCKS[block])
        sparse.constants[layer.constant] = _as_large(kept, layer.weight)
    return sparse


def thin_out(graph: Graph, sparsity: float, block: str = "1x1") -> Graph:
    """As ``sparsify``, but nothing is scaled up and grids stay: the network computes nothing of use, but as fast."""
    sparse = graph.copy()
    for layer in layers(graph, sparsity):
        sparse.constants[layer.constant] = _pruned(layer.weight, layer.sparsity, BLOCKS[block])
    return sparse


def _pruned(weight: FloatArray, sparsity: float, width: int) -> FloatArray:
    """Zeros in blocks of ``width`` along the second axis, of which the last is shorter where it does not divide."""
    starts = np.arange(0, weight.shape[1], width)
    widths = np.diff(starts, append=weight.shape[1]).reshape(-1, *[1] * (weight.ndim - 2))
    magnitude = np.add.reduceat(np.abs(weight), starts, axis=1) / widths
    zeros = round(sparsity * magnitude.size)
    if zeros == 0:
        return weight
    magnitude.flat[np.argpartition(magnitude, zeros - 1, axis=None)[:zeros]] = -1
    return np.where(np.repeat(magnitude, width, axis=1)[:, : weight.shape[1]] < 0, np.float32(0), weight)


def _as_large(kept: FloatArray, weight: FloatArray) -> FloatArray:
    """``kept`` with the norm of ``weight`` in each output channel that is not all zero."""
    if kept is weight:
        return weight
    axes = tuple(range(1, weight.ndim))
    before, after = (np.square(w, dtype=np.float64).sum(axis=axes, keepdims=True) for w in (weight, kept))
    gain = np.sqrt(np.divide(before, after, where=after > 0, out=np.zeros_like(after)))
    scaled: FloatArray = (kept * gain).astype(np.float32)
    return scaled


def _is_depthwise(node: Node, weight: FloatArray) -> bool:
    return node.op == "conv2d" and attributes(node)["groups"] > 1 and weight.shape[1] == 1
