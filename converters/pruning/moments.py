"""Sums over the windows that a layer reads, which is all that reconstruction has to know of its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.pruning.columns import Columns
from sparsenet.graph import FloatArray

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """What a group of a layer reads in the pruned network, x̂, and what it makes of x in the dense one, y = Wx.

    Attributes:
        means: of x̂, (columns,).
        covariance: of x̂ with itself, (columns, columns).
        made: mean of y, (outputs,).
        variance: of y, (outputs,).
        cross: covariance of y with x̂, (outputs, columns).
    """

    means: Float64Array
    covariance: Float64Array
    made: Float64Array
    variance: Float64Array
    cross: Float64Array


class Sums:
    """Moments of all groups of a layer while they are added up.

    Products are made in float32 for some samples at a time, and added in float64. All of them are of the
    distances from about the mean: of features that hardly vary around a large one rounding would leave a covariance
    that is not positive definite.

    Args:
        columns: the layer's.
        rows: the dense weight, float32 (groups, outputs, columns).
        every: of so many windows down and across take one.
    """

    def __init__(self, columns: Columns, rows: FloatArray, every: int = 1) -> None:
        groups, outputs, count = rows.shape
        self._columns, self._rows, self._every = columns, rows, every
        self._windows = self._calls = 0
        self._around = [np.zeros((groups, count, 1), np.float32)] * 2
        self._x, self._y = np.zeros((groups, count)), np.zeros((groups, outputs))
        self._yy = np.zeros((groups, outputs))
        self._xx, self._yx = np.zeros((groups, count, count)), np.zeros((groups, outputs, count))

    def add(self, pruned: FloatArray, dense: FloatArray) -> None:
        """Add what the layer reads in both networks, (N, C_in, H, W) or (N, F); it may be the same array."""
        for seen, true in self._both(pruned, dense):
            if not self._windows:
                self._around = [part.mean(axis=2, keepdims=True) for part in (seen, true)]
            x = seen - self._around[0]
            made = self._rows @ (x if seen is true else true - self._around[1])
            turned = x.transpose(0, 2, 1)
            self._windows += x.shape[2]
            self._x += x.sum(axis=2, dtype=np.float64)
            self._y += made.sum(axis=2, dtype=np.float64)
            self._yy += np.square(made, dtype=np.float64).sum(axis=2)
            self._xx += x @ turned
            self._yx += made @ turned
        self._calls += 1

    def moments(self) -> list[Moments]:
        """Of each group."""
        n = max(self._windows, 1)
        x, y = self._x / n, self._y / n
        seen, true = (part[:, :, 0].astype(np.float64) for part in self._around)
        return [
            Moments(
                seen[i] + x[i],
                self._xx[i] / n - np.outer(x[i], x[i]),
                self._rows[i] @ true[i] + y[i],
                np.maximum(self._yy[i] / n - np.square(y[i]), 0.0),
                self._yx[i] / n - np.outer(y[i], x[i]),
            )
            for i in range(len(x))
        ]

    def _both(self, pruned: FloatArray, dense: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        seen = self._columns.windows(pruned, self._every, self._calls)
        if pruned is dense:
            return ((x, x) for x in seen)
        return zip(seen, self._columns.windows(dense, self._every, self._calls), strict=True)
