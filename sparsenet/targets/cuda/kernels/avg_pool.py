"""Average pooling: the sum of a window's pixels in the map, divided by the number of pixels that the window counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel; ``scale_y`` and ``scale_x``: reciprocals by output row and column."""
    zero = np.float32(0)

    def avg_pool(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_width, x_height, x_line, x_image, x_pitch,
        k_h, k_w, stride_h, stride_w, top, left, scale_y, scale_x,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        first_row, first_column = row * stride_h - top, column * stride_w - left
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            total = zero
            if inside:
                source = x + channel * x_pitch + n * x_image
                for y in range(max(first_row, 0), min(first_row + k_h, x_height)):
                    for at in range(max(first_column, 0), min(first_column + k_w, x_width)):
                        total += load(memory, source + y * x_line + at)
                total *= load(weights, scale_y + row) * load(weights, scale_x + column)
            store(memory, out + channel * pitch + position, total)

    return avg_pool
