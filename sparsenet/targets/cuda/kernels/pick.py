"""Numbers at computed indices, none of which can lead outside its axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, int64

from sparsenet.targets.cuda.simt.machine import device, load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import Kernel

_ZERO, _HALF = np.float32(0), np.float32(0.5)


@device
def _index(value, size):  # type: ignore[no-untyped-def]
    """The nearest whole number; negative ones count from the back; what leaves the axis stops at its end, NaN at 0."""
    last = np.float32(size - 1)
    if value < -_HALF:
        value += np.float32(size)
    if not value > _ZERO:  # before it is made an integer, which not every float fits
        return int64(0)
    if value > last:
        return int64(last)
    below = int64(value)
    return below + 1 if value - np.float32(below) >= _HALF else below


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel.

    ``depth`` indices that follow each other lead to its number: each has an axis of as many elements as ``sizes`` says,
    ``steps`` apart (both tables), that x's own strides leave out.
    """

    def pick(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_channel, x_row, x_column, depth, sizes, steps,
        indices, indices_image, indices_channel, indices_row, indices_column,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        start = x + n * x_image + row * x_row + column * x_column
        asked = indices + n * indices_image + row * indices_row + column * indices_column
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            value = _ZERO
            if inside:
                source = start + channel * x_channel
                for k in range(depth):
                    index = _index(
                        load(memory, asked + channel * indices_channel + k), load(tables, sizes + k)
                    )
                    source += index * load(tables, steps + k)
                value = load(memory, source)
            store(memory, out + channel * pitch + position, value)

    return pick
