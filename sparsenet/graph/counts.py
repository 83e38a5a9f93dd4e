"""Weights and multiply-adds of a graph, dense and on nonzeros."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparsenet.graph import FloatArray, Graph


@dataclass(frozen=True)
class LayerCount:
    """Weights and multiply-adds of one conv2d or linear node.

    Attributes:
        layer, op: node name and op.
        weights, nnz: how many weights there are, and how many are not zero. Biases do not count.
        macs: multiply-adds for one input, every weight counted.
        nonzero_macs: those with a nonzero weight.
    """

    layer: str
    op: str
    weights: int
    nnz: int
    macs: int
    nonzero_macs: int


@dataclass(frozen=True)
class Totals:
    """Sums over all layers; ``sparsity`` is the fraction of weights that are zero (0 without weights)."""

    weights: int
    nnz: int
    macs: int
    nonzero_macs: int

    @property
    def sparsity(self) -> float:
        """Fraction of zeros among the weights."""
        return 1.0 - self.nnz / self.weights if self.weights else 0.0


def count_layers(graph: Graph) -> list[LayerCount]:
    """One entry per conv2d and linear node with a constant weight, in execution order.

    Raises:
        GraphError: the shapes do not fit.
    """
    shapes = graph.shapes()
    counts = []
    nonzeros: dict[str, int] = {}  # layers may share their weights
    for node, name, weight in graph.weights():
        positions = math.prod(int(d or 1) for d in shapes[node.output][2:])
        if name not in nonzeros:
            nonzeros[name] = int(np.count_nonzero(weight))
        nnz = nonzeros[name]
        counts.append(
            LayerCount(node.name, node.op, weight.size, nnz, weight.size * positions, nnz * positions)
        )
    return counts


def quads_kept(weight: FloatArray) -> float:
    """The share of 1×4 blocks of a weight (C_out, C_in / groups, …) that hold a nonzero weight.

    A block is four consecutive input channels of one output channel and one kernel tap, the last of a row what is left:
    what integer kernels multiply at once, and leave out if all of it is zero.
    """
    first = range(0, weight.shape[1], 4)
    return float(np.mean([(weight[:, i : i + 4] != 0).any(axis=1) for i in first]))


def total(counts: list[LayerCount]) -> Totals:
    """Sums of ``count_layers``. A weight that two layers share counts once for each."""
    return Totals(
        sum(c.weights for c in counts),
        sum(c.nnz for c in counts),
        sum(c.macs for c in counts),
        sum(c.nonzero_macs for c in counts),
    )
