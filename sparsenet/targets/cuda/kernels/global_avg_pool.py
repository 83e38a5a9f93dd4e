"""Global average pooling: some threads add up one image of one channel; the zeros between its rows do no harm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.simt.machine import divide, load, store
from sparsenet.targets.cuda.simt.neighbours import add, combine_neighbours
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: threads that add up one image, and channels of a block."""
    threads, together = kernel.tile
    partials = threads * together
    sum_of, zero = combine_neighbours(threads, add), np.float32(0)

    def global_avg_pool(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_pitch, pixels, channels,
        width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        partial = cuda.shared.array(partials, float32)
        thread, n = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)
        lane = thread % threads
        # The last block of a channel writes the zeros that round it up, too.
        end = image if n + 1 < images else pitch - n * image
        for first in range(cuda.blockIdx.y * together, channels, cuda.gridDim.y * together):
            channel = min(first + divide(thread, threads), channels - 1)
            total = zero
            for at in range(lane, x_image, threads):
                total += load(memory, x + channel * x_pitch + n * x_image + at)
            total = sum_of(partial, thread, total)
            for at in range(lane, end, threads):
                mean = total / float32(pixels) if at == 0 else zero
                store(memory, out + channel * pitch + n * image + at, mean)

    return global_avg_pool
