"""Elements at computed indices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from sparsenet.plan.lowering.axes import contiguous_strides


class Picks(NamedTuple):
    """What a ``gather_nd`` node takes from one image in C order, by several indices each.

    Attributes:
        runs: how many stretches of the input it takes.
        inner: elements of a stretch.
        sizes, strides: of the axes that the indices of a stretch count along.
    """

    runs: int
    inner: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], indices: Sequence[int]) -> Picks:
        """The picks from an input of ``shape`` by indices of shape ``indices``; both have the batch first."""
        depth = indices[-1]
        strides = contiguous_strides(shape)[1 : 1 + depth]
        return cls(prod(indices[1:-1]), prod(shape[1 + depth :]), tuple(shape[1 : 1 + depth]), tuple(strides))
