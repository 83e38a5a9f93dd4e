"""Weights as exported kernels read them: f32, or bytes with a scale for each output channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.types import FloatArray
from sparsenet.io.formats.values import decode, encode
from sparsenet.plan.lowering.convolution import Convolution

#: Places and counts are stored in 16 bits, steps in 8.
MOST_PLACE, MOST_STEP = 2**16 - 1, 2**8 - 1
Numbers = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Weights:
    """The weight of a layer as it is stored.

    Attributes:
        numbers: float32 or int8 (C_out, C_in / groups, K_h, K_w).
        scale: float32 (C_out,) for int8, else None.
        bias: float32 (C_out,), what sums begin with: the bias, divided by the scale.
    """

    numbers: Numbers
    scale: FloatArray | None
    bias: FloatArray

    @classmethod
    def of(cls, layer: Convolution, values: str) -> Weights:
        """Those of ``layer``, stored as ``values``, ``f32`` or ``i8``, as a model file would."""
        array = layer.weight.reshape(*layer.shape, *[1] * (4 - len(layer.shape)))
        if values == "f32":
            return cls(array, None, layer.bias)
        integers, bits = encode(array, "i8")
        scale = decode(np.ones((len(array), 1), np.int8), bits).reshape(-1).astype(np.float32)
        scale[scale == 0] = 1.0
        return cls(integers, scale, (layer.bias.astype(np.float64) / scale).astype(np.float32))

    @property
    def small(self) -> bool:
        """Whether it is stored in bytes."""
        return self.scale is not None

    @property
    def nnz(self) -> int:
        """How many are not zero as they are stored."""
        return int(np.count_nonzero(self.numbers))

    def by_rows(self) -> Numbers:
        """(C_out * K_h, C_in / groups * K_w): each output channel's weights by the window's rows."""
        c_out, c_in, k_h, k_w = self.numbers.shape
        return self.numbers.transpose(0, 2, 1, 3).reshape(c_out * k_h, c_in * k_w)


class Sparse(NamedTuple):
    """The nonzeros of a layer: values, places (or steps), and how many each row of each channel's window has."""

    values: Numbers
    places: Numbers
    counts: npt.NDArray[np.uint16]


def sparse(weights: Weights, groups: int, channel: int, dilation: int) -> Sparse | None:
    """Nonzeros with their places, in elements from the first tap of a row on; None if 16 bits do not hold them.

    Args:
        weights: of the layer.
        groups: of channels.
        channel, dilation: elements from one channel to the next, and from one column of the window to the next.
    """
    c_out, c_in, k_h, k_w = weights.numbers.shape
    matrix = weights.by_rows()
    taps = (np.arange(c_in)[:, None] * channel + np.arange(k_w) * dilation).reshape(-1)
    first = np.repeat(np.arange(c_out) // (c_out // groups) * c_in * channel, k_h)
    rows, columns = np.nonzero(matrix)
    places, counts = first[rows] + taps[columns], np.count_nonzero(matrix, axis=1)
    if max(places.max(initial=0), counts.max(initial=0)) > MOST_PLACE:
        return None
    return Sparse(matrix[rows, columns], places.astype(np.uint16), counts.astype(np.uint16))


def stepped(weights: Weights) -> Sparse | None:
    """Nonzeros of windows one column wide, each with its steps from the channel of the one before; steps longer than a
    byte holds are made of several, with zeros there. None if 16 bits do not hold the counts.
    """
    matrix = weights.by_rows()
    values: list[int] = []
    steps: list[int] = []
    counts: list[int] = []
    for row in matrix:
        before, start = 0, len(values)
        for column in np.flatnonzero(row).tolist():
            step, before = column - before, column
            while step > MOST_STEP:
                values.append(0)
                steps.append(MOST_STEP)
                step -= MOST_STEP
            values.append(int(row[column]))
            steps.append(step)
        counts.append(len(values) - start)
    if max(counts, default=0) > MOST_PLACE:
        return None
    return Sparse(np.array(values, np.int8), np.array(steps, np.uint8), np.array(counts, np.uint16))


def blocked(weights: Weights, outputs: int) -> Numbers:
    """Dense weights ``[block of outputs][K_h][C_in][K_w][outputs]``; the last block ends with the last channel."""
    c_out = len(weights.numbers)
    starts = [min(first, c_out - outputs) for first in range(0, c_out, outputs)]
    channels = np.array(starts)[:, None] + np.arange(outputs)
    return np.ascontiguousarray(weights.numbers[channels].transpose(0, 3, 2, 4, 1))


def as_stored(graph: Graph, values: str) -> Graph:
    """``graph`` with the weights that code with such ``values`` computes with; those of integer nodes stay."""
    stored, integers = graph.copy(), integer_nodes(graph, graph.shapes())
    for node, name in graph.weight_names() if values == "i8" else ():
        if node.name not in integers:
            stored.constants[name] = decode(*encode(graph.constants[name], "i8"))
    return stored
