"""Convolutions of a really pruned AlexNet, where its matrices are at hand: patterns that training left, not chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.subjects.layers import LayerShape
from sparsenet import Graph
from sparsenet.errors import DataError
from sparsenet.graph import FloatArray

#: Matrix Market files beside the checkout, (C_out, C_in * K * K) each.
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "pruned_alexnet"

#: File → the layer; conv2, conv4 and conv5 were trained in two groups, each a layer here (Krizhevsky et al. 2012, 3.5).
SHAPES = {
    "conv2_1": LayerShape("alexnet", "conv2d", 48, 128, 27, 5),
    "conv2_2": LayerShape("alexnet", "conv2d", 48, 128, 27, 5),
    "conv3": LayerShape("alexnet", "conv2d", 256, 384, 13, 3),
    "conv4_1": LayerShape("alexnet", "conv2d", 192, 192, 13, 3),
    "conv4_2": LayerShape("alexnet", "conv2d", 192, 192, 13, 3),
    "conv5_1": LayerShape("alexnet", "conv2d", 192, 128, 13, 3),
    "conv5_2": LayerShape("alexnet", "conv2d", 192, 128, 13, 3),
}


@dataclass(frozen=True)
class PrunedLayer:
    """A layer with the weights that pruning left."""

    name: str
    shape: LayerShape
    weight: FloatArray

    @property
    def sparsity(self) -> float:
        """Share of zeros among its weights."""
        return 1 - np.count_nonzero(self.weight) / self.weight.size

    def graph(self) -> Graph:
        """The layer alone."""
        graph = self.shape.graph()
        graph.constants["w"] = self.weight
        return graph


def load(name: str, folder: Path = FOLDER) -> PrunedLayer:
    """One of ``SHAPES`` with its weights.

    Raises:
        DataError: the file is missing, unreadable or of another shape.
    """
    from scipy.io import mmread

    path, shape = folder / f"{name}.mtx", SHAPES[name]
    try:
        matrix = np.asarray(mmread(path).todense(), np.float32)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Matrix Market file ({error})") from error
    rows, taps = shape.c_out, shape.c_in * shape.kernel**2
    if matrix.shape != (rows, taps):
        raise DataError(f"{path}: the matrix is {matrix.shape}, expected {(rows, taps)}")
    return PrunedLayer(name, shape, np.ascontiguousarray(matrix.reshape(shape.weight_shape)))
