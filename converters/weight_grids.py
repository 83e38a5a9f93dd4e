"""The grid that a weight lies on, found again by its numbers: importers turn, cut and join what was int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.graph.quantization import LEAST_SCALE, MOST_SCALE, Quantization
from sparsenet.graph.types import FloatArray


def grid_of_weight(weight: FloatArray, candidates: Sequence[FloatArray]) -> Quantization | None:
    """The grid on which all numbers of a weight (C_out, ...) lie exactly, of those with these scales.

    A scale may stand for several output channels, as of a transposed convolution, which makes each in several phases.
    """
    rows = weight.reshape(weight.shape[0], -1)
    for given in candidates:
        # What a scale of 0 makes is 0, which lies on every grid.
        known = np.where(given == 0, np.float32(1), given).reshape(-1)
        if len(rows) % known.size or not ((known >= LEAST_SCALE) & (known <= MOST_SCALE)).all():
            continue
        for scales in _of_channels(known, len(rows)):
            if _lies_on(rows[:1], scales[:1]) and _lies_on(rows, scales):
                return Quantization.of_weights(scales.reshape(() if scales.size == 1 else (-1,)))
    return None


def _of_channels(scales: FloatArray, channels: int) -> list[FloatArray]:
    """The scales of this many channels that they may be: one for all, one each, or one for some."""
    if scales.size in (1, channels):
        return [scales]
    times = channels // scales.size
    return [np.repeat(scales, times), np.tile(scales, times)]


def _lies_on(rows: FloatArray, scales: FloatArray) -> bool:
    column = scales.reshape(-1, 1)
    with np.errstate(over="ignore"):  # steps beyond float32 are none of int8's
        steps = np.rint(rows / column)
    return bool((np.abs(steps + 0.5) <= 128).all() and np.array_equal(steps * column, rows))
