"""Copies between layouts: plain and maps, transposed, sliced, repeated, padded with a number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for each of ``positions`` of the output; ``numbers[0]`` is written where the input has no pixel.

    Output pixel (n, y, x) is input pixel (n, y + first_row, x + first_column) if that is within x_height and x_width.
    """
    zero = np.float32(0)

    def relayout(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_channel, x_row, x_column,
        first_row, first_column, x_height, x_width, positions, channels,
        width, height, line, image, images, out, out_image, out_channel, out_row, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= positions:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        target = out + n * out_image + row * out_row + column
        from_y, from_x = row + first_row, column + first_column
        there = inside and from_y >= 0 and from_y < x_height and from_x >= 0 and from_x < x_width
        source = x + n * x_image + from_y * x_row + from_x * x_column
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            value = numbers[0] if inside else zero
            if there:
                value = load(memory, source + channel * x_channel)
            store(memory, target + channel * out_channel, value)

    return relayout
