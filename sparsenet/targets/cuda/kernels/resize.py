"""Nearest and bilinear resizing by tables: of each output row and column its two sources, and their share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel."""
    zero, one = np.float32(0), np.float32(1)

    def resize(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_line, x_image, x_pitch,
        rows_low, rows_high, rows_weight, columns_low, columns_high, columns_weight,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        if not inside:
            row = column = n = 0
        above = x + n * x_image + load(tables, rows_low + row) * x_line
        below = x + n * x_image + load(tables, rows_high + row) * x_line
        left, right = load(tables, columns_low + column), load(tables, columns_high + column)
        down, across = load(weights, rows_weight + row), load(weights, columns_weight + column)
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            start = channel * x_pitch
            if down == zero and across == zero:
                value = load(memory, above + start + left)
            else:
                on_left = load(memory, above + start + left) * (one - down)
                on_left += load(memory, below + start + left) * down
                on_right = load(memory, above + start + right) * (one - down)
                on_right += load(memory, below + start + right) * down
                value = on_left * (one - across) + on_right * across
            store(memory, out + channel * pitch + position, value if inside else zero)

    return resize
