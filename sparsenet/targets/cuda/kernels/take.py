"""Rearrangement by tables: where each image, channel, row and column of the output is in the input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel. An element's place is the sum of what the tables have for it."""
    zero = np.float32(0)

    def take(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_channels, x_rows, x_columns,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        source = x
        if inside:
            source += n * x_image + load(tables, x_rows + row) + load(tables, x_columns + column)
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            value = zero
            if inside:
                value = load(memory, source + load(tables, x_channels + channel))
            store(memory, out + channel * pitch + position, value)

    return take
