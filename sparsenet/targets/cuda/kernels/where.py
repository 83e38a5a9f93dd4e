"""Choice between two tensors by a third, with any broadcasting: an axis that is repeated has stride 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel."""
    zero = np.float32(0)

    def where(  # type: ignore[no-untyped-def]
        memory, weights, tables, condition, condition_image, condition_channel, condition_row, condition_column,
        x, x_image, x_channel, x_row, x_column, y, y_image, y_channel, y_row, y_column,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        asked = condition + n * condition_image + row * condition_row + column * condition_column
        left = x + n * x_image + row * x_row + column * x_column
        right = y + n * y_image + row * y_row + column * y_column
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            value = zero
            if inside:
                at = right + channel * y_channel
                if load(memory, asked + channel * condition_channel) != zero:
                    at = left + channel * x_channel
                value = load(memory, at)
            store(memory, out + channel * pitch + position, value)

    return where
