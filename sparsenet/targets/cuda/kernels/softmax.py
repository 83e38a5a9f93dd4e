"""Softmax along one axis: each line of numbers is shared by some threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.simt.machine import divide, load, store
from sparsenet.targets.cuda.simt.neighbours import add, combine_neighbours, larger
from sparsenet.targets.cuda.simt.pixels import place_over
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: threads that share a line, and lines of a block.

    Lines are numbered over three other axes; input and output have one layout.
    """
    threads, together = kernel.tile
    partials = threads * together
    largest_of, sum_of = combine_neighbours(threads, larger), combine_neighbours(threads, add)
    zero, lowest = np.float32(0), np.float32(-math.inf)

    def softmax(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, axis, axis_stride, first, second, third,
        first_stride, second_stride, third_stride, out, tensors, numbers,
    ):  # fmt: skip
        partial = cuda.shared.array(partials, float32)
        thread = int64(cuda.threadIdx.x)
        lane = thread % threads
        # Threads without a line repeat the last one: all of them meet at the barriers of the sums.
        line = min(cuda.blockIdx.x * together + divide(thread, threads), first * second * third - 1)
        start = place_over(line, second, third, first_stride, second_stride, third_stride)

        largest = lowest
        for k in range(lane, axis, threads):
            value = load(memory, x + start + k * axis_stride)
            largest = largest if value <= largest else value
        largest = largest_of(partial, thread, largest)
        total = zero
        for k in range(lane, axis, threads):
            total += np.float32(math.exp(load(memory, x + start + k * axis_stride) - largest))
        total = sum_of(partial, thread, total)
        for k in range(lane, axis, threads):
            value = np.float32(math.exp(load(memory, x + start + k * axis_stride) - largest))
            store(memory, out + start + k * axis_stride, value / total)

    return softmax
