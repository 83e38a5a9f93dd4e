"""Softmax along one axis: a thread for each line of numbers along it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.simt.machine import load, store
from sparsenet.kernels.simt.pixels import place_over


def build(kernel: Kernel) -> Any:
    """Lines are numbered over three other axes; input and output lie alike."""
    zero, lowest = np.float32(0), np.float32(-math.inf)

    def softmax(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, axis, axis_stride, first, second, third,
        first_stride, second_stride, third_stride, out, tensors, numbers,
    ):  # fmt: skip
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if thread >= first * second * third:
            return
        start = place_over(thread, second, third, first_stride, second_stride, third_stride)
        largest = lowest
        for k in range(axis):
            value = load(memory, x + start + k * axis_stride)
            largest = largest if value <= largest else value
        total = zero
        for k in range(axis):
            total += np.float32(math.exp(load(memory, x + start + k * axis_stride) - largest))
        for k in range(axis):
            value = np.float32(math.exp(load(memory, x + start + k * axis_stride) - largest))
            store(memory, out + start + k * axis_stride, value / total)

    return softmax
