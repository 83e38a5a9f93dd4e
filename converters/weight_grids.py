"""The grid that a weight lies on, found again by its numbers: importers turn, cut and join what was int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.graph.quantization import LEAST_SCALE, MOST_SCALE, Quantization
from sparsenet.graph.types import FloatArray


def grid_of_weight(weight: FloatArray, candidates: Sequence[FloatArray]) -> Quantization | None:
    """The grid on which all numbers of a weight (C_out, ...) lie exactly, of those with these scales."""
    rows = weight.reshape(weight.shape[0], -1)
    for given in candidates:
        # What a scale of 0 makes is 0, which lies on every grid.
        scales = np.where(given == 0, np.float32(1), given)
        fits = scales.size in (1, len(rows)) and ((scales >= LEAST_SCALE) & (scales <= MOST_SCALE)).all()
        if fits and _lies_on(rows[:1], scales[:1]) and _lies_on(rows, scales):
            return Quantization.of_weights(scales.reshape(() if scales.size == 1 else (-1,)))
    return None


def _lies_on(rows: FloatArray, scales: FloatArray) -> bool:
    column = scales.reshape(-1, 1)
    with np.errstate(over="ignore"):  # steps beyond float32 are none of int8's
        steps = np.rint(rows / column)
    return bool((np.abs(steps + 0.5) <= 128).all() and np.array_equal(steps * column, rows))
