"""Products of stacks of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.plan.lowering.axes import broadcast_strides


class Products(NamedTuple):
    """What a ``matmul`` node multiplies.

    Attributes:
        front: sizes of the axes in front of the matrices, to which both operands are broadcast.
        rows, depth, columns: a (rows, depth) matrix times a (depth, columns) one.
    """

    front: tuple[int, ...]
    rows: int
    depth: int
    columns: int

    @classmethod
    def of(cls, left: Sequence[int], out: Sequence[int]) -> Products:
        """The products of a node whose first operand and output have these shapes."""
        return cls(tuple(out[:-2]), out[-2], left[-1], out[-1])

    @property
    def number(self) -> int:
        """How many products there are."""
        return prod(self.front)

    def starts(self, shape: Sequence[int], strides: Sequence[int]) -> npt.NDArray[np.int64]:
        """Where the matrix of each product begins in an operand or the output, product by product."""
        starts = np.zeros(self.front, np.int64)
        for axis, stride in enumerate(broadcast_strides(shape[:-2], strides[:-2], self.front)):
            behind = [1] * (len(self.front) - axis - 1)
            starts += stride * np.arange(self.front[axis]).reshape(-1, *behind)
        return starts.reshape(-1)
