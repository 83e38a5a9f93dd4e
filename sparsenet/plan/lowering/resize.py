"""Index and weight tables of a resize, made once at plan time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes


class Axis(NamedTuple):
    """Tables of one axis: per output index the two source indices (int32) and the weight of the second (float32)."""

    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]


def resize_tables(node: Node, source: tuple[int, int], target: tuple[int, int]) -> tuple[Axis, Axis]:
    """Tables of the rows and of the columns of a resize node, from maps of one (height, width) to another."""
    attrs = attributes(node)
    rows, columns = (
        resize_axis(have, wanted, attrs["mode"], attrs["coordinates"])
        for have, wanted in zip(source, target, strict=True)
    )
    return rows, columns


def resize_axis(source: int, target: int, mode: str, coordinates: str) -> Axis:
    """Tables for resizing ``source`` pixels to ``target``; modes as in ``ops.OPS['resize']``."""
    if mode == "nearest":
        nearest = (np.arange(target, dtype=np.int64) * source // target).astype(np.int32)
        return Axis(nearest, nearest, np.zeros(target, np.float32))
    index = np.arange(target, dtype=np.float64)
    if coordinates == "align_corners":
        position = index * ((source - 1) / max(target - 1, 1))
    else:
        position = np.clip((index + 0.5) * source / target - 0.5, 0, source - 1)
    low = np.minimum(np.floor(position), source - 1).astype(np.int32)
    return Axis(low, np.minimum(low + 1, source - 1).astype(np.int32), (position - low).astype(np.float32))
