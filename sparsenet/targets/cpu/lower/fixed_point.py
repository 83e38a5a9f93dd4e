"""Multiplication of sums by fixed-point numbers in place of float32, where results are the same to the bit.

``rint(float32(sum) * scale)`` is a staircase over the sums, and so is ``sum * multiplier`` without its lowest 31 bits,
divided by ``2**SHIFT`` and rounded half up. Bytes are equal for all sums if each stair that a byte can have begins at
the same sum in both: that is an interval of multipliers for each stair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.targets.cpu.panels import SHIFT

Integers = npt.NDArray[np.int64]
#: Around where a stair begins in exact numbers, it begins in float32.
_NEAR = np.arange(-4, 5)
_DROPPED_BITS = 31


def multipliers(
    scale: FloatArray, least: Integers, most: Integers, low: Integers, high: Integers
) -> npt.NDArray[np.int32]:
    """The multiplier of each channel, int32 (C,); 0 where none makes the same results.

    Args:
        scale: float32 (C,).
        least, most: of the sums that pixels can make, (C,).
        low, high: what results are clipped to, (C,): numbers of 9 bits.
    """
    stairs = np.arange(int(low.min()) + 1, int(high.max()) + 1)
    begin = _begins(scale, stairs, least, most)
    matters = (stairs > low[:, None]) & (stairs <= high[:, None])
    level = ((2 * stairs - 1) << (SHIFT - 1)) << _DROPPED_BITS
    # From where a stair begins on, or from the least sum there is, products reach its level ...
    there = np.maximum(begin, least[:, None])
    reached = matters & (begin <= most[:, None])
    # ... and up to the sum before, or to the most there is, they do not.
    before = np.minimum(begin - 1, most[:, None])
    open_ = matters & (begin > least[:, None])
    above, below = np.where(there == 0, 1, there), np.where(before == 0, 1, before)
    smallest = [
        np.where(reached & (there > 0), -(-level // above), 1),
        np.where(open_ & (before < 0), level // below + 1, 1),
    ]
    largest = [
        np.where(reached & (there < 0), level // above, 2**31 - 1),
        np.where(open_ & (before > 0), -(-level // below) - 1, 2**31 - 1),
    ]
    impossible = (reached & (there == 0) & (level > 0)) | (open_ & (before == 0) & (level <= 0))
    first, last = np.max(smallest, axis=(0, 2)), np.min(largest, axis=(0, 2))
    good = (first <= last) & ~impossible.any(axis=1) & (begin >= least[:, None]).all(axis=1)
    return np.where(good, (first + last) // 2, 0).astype(np.int32)


def range_of_sums(
    weights: npt.NDArray[np.integer[Any]], bias: npt.NDArray[np.int32], zero: int
) -> tuple[Integers, Integers]:
    """The least and the largest sum of each channel that pixels with zero point ``zero`` can make."""
    products = weights.reshape(len(weights), -1).astype(np.int64)[..., None] * (np.array([0, 255]) - zero)
    least, most = products.min(axis=-1).sum(axis=1), products.max(axis=-1).sum(axis=1)
    return bias + least, bias + most


def _begins(scale: FloatArray, stairs: Integers, least: Integers, most: Integers) -> Integers:
    """The least sum with ``rint(float32(sum) * scale) >= stair``, (C, stairs), of those from least to most + 1.

    A number below least where it is not among those that are tried.
    """
    ends = least[:, None, None], most[:, None, None] + 1
    exact = np.ceil((stairs - 0.5) / scale[:, None].astype(np.float64))
    near = np.clip(np.clip(exact, -(2.0**40), 2.0**40).astype(np.int64)[..., None] + _NEAR, *ends)
    over = np.rint(near.astype(np.float32) * scale[:, None, None]) >= stairs[:, None]
    begin = np.where(over, near, ends[1]).min(axis=-1)
    unknown = over[..., 0] & (near[..., 0] > least[:, None])
    return np.where(unknown, least[:, None] - 1, begin)
