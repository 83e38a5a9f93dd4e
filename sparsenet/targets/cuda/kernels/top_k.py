"""Indices of the largest numbers along one axis, in order: a thread counts how many come before its own.

The count is the place of its index in the result. Every thread of a line reads the same numbers at the same time, from
the cache, and none waits for another.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32

from sparsenet.targets.cuda.simt.machine import device, divide, load, store
from sparsenet.targets.cuda.simt.pixels import place_over
from sparsenet.targets.registry import Kernel


@device
def _comes_before(a, i, b, j):  # type: ignore[no-untyped-def]
    """Whether ``a`` at place i is in front of ``b`` at place j: NaN, then the larger, then the first."""
    if a != a or b != b:
        return a != a and (b == b or i < j)
    return a > b or (a == b and i < j)


def build(kernel: Kernel) -> Any:
    """One thread for each number. Lines are numbered over three other axes; ``numbers[0]`` is -1 for the smallest."""

    def top_k(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, axis, axis_stride, first, second, third,
        first_stride, second_stride, third_stride, count,
        out, out_axis, out_first, out_second, out_third, tensors, numbers,
    ):  # fmt: skip
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if thread >= first * second * third * axis:
            return
        line = divide(thread, axis)
        index = thread - line * axis
        start = x + place_over(line, second, third, first_stride, second_stride, third_stride)
        mine = load(memory, start + index * axis_stride) * numbers[0]
        place = 0
        for k in range(axis):
            if _comes_before(load(memory, start + k * axis_stride) * numbers[0], k, mine, index):
                place += 1
        if place < count:
            target = out + place_over(line, second, third, out_first, out_second, out_third)
            store(memory, target + place * out_axis, float32(index))

    return top_k
