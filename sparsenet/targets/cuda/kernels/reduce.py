"""Sum, mean, maximum, minimum or product over any axes: a thread for each number that is left."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from sparsenet.targets.cuda.simt.machine import device, load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import REDUCE_OPERATIONS, Kernel

_START = {"sum": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}


@device
def _sum(a: Any, b: Any) -> Any:
    return a + b


@device
def _max(a: Any, b: Any) -> Any:
    return a if b <= a else b


@device
def _min(a: Any, b: Any) -> Any:
    return a if b >= a else b


@device
def _prod(a: Any, b: Any) -> Any:
    return a * b


_FUNCTIONS = {"sum": _sum, "max": _max, "min": _min, "prod": _prod}


def build(kernel: Kernel) -> Any:
    """Build the kernel: ``operation`` numbers ``REDUCE_OPERATIONS``, ``numbers[0]`` scales the result; up to three axes
    are reduced.
    """
    name = REDUCE_OPERATIONS[kernel.parameter("operation")]
    function, start, zero = _FUNCTIONS[name], np.float32(_START[name]), np.float32(0)

    def reduce(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_channel, x_row, x_column,
        first, second, third, first_stride, second_stride, third_stride,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        source = x + n * x_image + row * x_row + column * x_column
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            total = zero
            if inside:
                total = start
                for i in range(first):
                    for j in range(second):
                        at = source + channel * x_channel + i * first_stride + j * second_stride
                        for k in range(third):
                            # A NaN that was met stays: nothing compares with it.
                            total = (
                                total
                                if total != total
                                else function(total, load(memory, at + k * third_stride))
                            )
                total *= numbers[0]
            store(memory, out + channel * pitch + position, total)

    return reduce
