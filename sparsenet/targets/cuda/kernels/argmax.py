"""Index of the largest number along one axis: a thread for each line of numbers along it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32

from sparsenet.targets.cuda.simt.machine import load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Build the kernel. Of equal numbers it takes the first, or the last if ``last``; a NaN counts as the largest."""
    zero = np.float32(0)

    def argmax(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_channel, x_row, x_column, axis, axis_stride, last,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        source = x + n * x_image + row * x_row + column * x_column
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            found = zero
            if inside:
                best = load(memory, source + channel * x_channel)
                for k in range(1, axis):
                    value = load(memory, source + channel * x_channel + k * axis_stride)
                    larger = value > best or (value != value and best == best)
                    equal = value == best or (value != value and best != best)
                    if larger or (equal and last != 0):
                        best, found = value, float32(k)
            store(memory, out + channel * pitch + position, found)

    return argmax
