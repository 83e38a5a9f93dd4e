"""Layer, instance and group normalisation: runs of numbers brought to mean 0 and variance 1.

The mean is computed first, then the variance of the differences from it: the difference of two large sums would keep
little of a small variance. The rounding error of the float32 mean is the mean of those differences.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.simt.machine import divide, load, store
from sparsenet.targets.cuda.simt.neighbours import add, combine_neighbours
from sparsenet.targets.cuda.simt.pixels import place_over
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: threads that share a run, and runs of a block. ``numbers[0]`` is added to the variance.

    Runs are numbered over up to three axes (``first``, ``second``, ``third``), numbers of a run over up to three more
    (``outer``, ``middle``, ``inner``); input and output have one layout.
    """
    threads, together = kernel.tile
    partials = threads * together
    total = combine_neighbours(threads, add)
    zero, one = np.float32(0), np.float32(1)

    def normalize(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, first, second, third, first_stride, second_stride, third_stride,
        outer, middle, inner, outer_stride, middle_stride, inner_stride, out, tensors, numbers,
    ):  # fmt: skip
        partial = cuda.shared.array(partials, float32)
        thread = int64(cuda.threadIdx.x)
        lane, size = thread % threads, outer * middle * inner
        # Threads without a run repeat the last one: all of them meet at the barriers of the sums.
        run = min(cuda.blockIdx.x * together + divide(thread, threads), first * second * third - 1)
        start = place_over(run, second, third, first_stride, second_stride, third_stride)

        mine = zero
        for number in range(lane, size, threads):
            at = start + place_over(number, middle, inner, outer_stride, middle_stride, inner_stride)
            mine += load(memory, x + at)
        mean = total(partial, thread, mine) / float32(size)
        mine, squares = zero, zero
        for number in range(lane, size, threads):
            at = start + place_over(number, middle, inner, outer_stride, middle_stride, inner_stride)
            difference = load(memory, x + at) - mean
            mine += difference
            squares += difference * difference
        rest = total(partial, thread, mine) / float32(size)
        variance = total(partial, thread, squares) / float32(size) - rest * rest
        variance = zero if variance < zero else variance
        scale = one / float32(math.sqrt(variance + numbers[0]))
        for number in range(lane, size, threads):
            at = start + place_over(number, middle, inner, outer_stride, middle_stride, inner_stride)
            store(memory, out + at, (load(memory, x + at) - mean - rest) * scale)

    return normalize
