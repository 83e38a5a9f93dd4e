"""Max pooling: a thread compares those pixels of its window that are in the map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel. A NaN in the window comes out."""
    zero, lowest = np.float32(0), np.float32(-math.inf)

    def max_pool(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_width, x_height, x_line, x_image, x_pitch,
        k_h, k_w, stride_h, stride_w, top, left, dilation_h, dilation_w,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        first_row, first_column = row * stride_h - top, column * stride_w - left
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            best = zero
            if inside:
                best = lowest
                source = x + channel * x_pitch + n * x_image
                for i in range(k_h):
                    y = first_row + i * dilation_h
                    if y >= 0 and y < x_height:
                        for j in range(k_w):
                            at = first_column + j * dilation_w
                            if at >= 0 and at < x_width:
                                value = load(memory, source + y * x_line + at)
                                # Nothing compares with a NaN: one that was met stays.
                                best = value if value > best or value != value else best
            store(memory, out + channel * pitch + position, best)

    return max_pool
