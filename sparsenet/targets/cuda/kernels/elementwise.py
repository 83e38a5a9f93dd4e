"""Ops element by element over maps of one layout: the epilogue does the work."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32

from sparsenet.targets.cuda.simt.epilogue import epilogue
from sparsenet.targets.cuda.simt.machine import LOAD_INTO, STORE_FROM
from sparsenet.targets.cuda.simt.pixels import is_pixel
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One thread for ``lanes`` positions of a channel."""
    lanes = kernel.lanes
    load_into, store_from = LOAD_INTO[lanes], STORE_FROM[lanes]
    finish = epilogue(kernel.epilogue, lanes)
    zero = np.float32(0)

    def elementwise(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, channels, width, height, line, image, images, out, pitch, tensors, numbers
    ):
        position = (cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * lanes
        if position >= pitch:
            return
        value = cuda.local.array(lanes, float32)
        scratch = cuda.local.array(lanes, float32)
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            load_into(memory, x + channel * pitch + position, value, 0)
            finish(value, 0, scratch, memory, weights, tensors, numbers, channel, position)
            for i in range(lanes):
                if not is_pixel(position + i, width, height, line, image, images):
                    value[i] = zero
            store_from(memory, out + channel * pitch + position, value, 0)

    return elementwise
