"""Prior boxes (anchors): the squares from which RetinaFace's outputs are offsets.

Deng et al. 2020, "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", section 3.2: three pyramid
levels, two squares in every cell.
"""

from __future__ import annotations

import numpy as np

from sparsenet.checks import whole_number
from sparsenet.graph import FloatArray

STRIDES = (8, 16, 32)
#: Sides in pixels of the squares of a cell, by level.
SIZES = ((16, 32), (64, 128), (256, 512))
#: The largest side of an image, far beyond any that a detector takes.
MAX_SIDE = 2**15
#: Offsets of centres are in units of 0.1 prior sides, logarithms of sizes in units of 0.2 (Liu et al. 2016, "SSD").
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


def prior_boxes(height: int, width: int) -> FloatArray:
    """The priors of an image, float32 (P, 4): x and y of the centre, width, height, all in pixels.

    Order as in the network's outputs: levels from fine to coarse, rows, columns, then the two squares of a cell.

    Raises:
        InputError: a side is not a whole number from 1 to 2**15.
    """
    height, width = (whole_number(s, n, MAX_SIDE) for n, s in (("height", height), ("width", width)))
    levels = []
    for stride, sizes in zip(STRIDES, SIZES, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        grid = np.empty((rows, columns, len(sizes), 4), np.float32)
        grid[..., 0] = ((np.arange(columns) + 0.5) * stride)[None, :, None]
        grid[..., 1] = ((np.arange(rows) + 0.5) * stride)[:, None, None]
        grid[..., 2] = grid[..., 3] = sizes
        levels.append(grid.reshape(-1, 4))
    return np.concatenate(levels)
