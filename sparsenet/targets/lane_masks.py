"""Lane masks in memory: for each vector an integer with a bit per lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def mask_bytes(lanes: int) -> int:
    """Bytes of the mask of one vector: 2 up to 16 lanes, then one for every eight."""
    return max(2, lanes // 8)


def lane_masks(lanes: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """The masks of vectors whose lanes are the last axis: bit i is set where lane i is true."""
    count = lanes.shape[-1]
    bits = np.left_shift(np.uint64(1), np.arange(count, dtype=np.uint64))
    return (lanes @ bits).astype(f"u{mask_bytes(count)}")
