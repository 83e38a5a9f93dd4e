"""Sums of what several threads of a block hold."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.simt.machine import barrier, device


def neighbours_sum(threads: int) -> Any:
    """``f(partial, thread, value)``: the sum over ``threads`` neighbours, a power of two, for each of them.

    ``partial`` is shared memory, one float32 for each thread of the block; all of them must call. The sum is a tree,
    whose rounding errors grow with the logarithm of the threads.
    """

    @device
    def total(partial, thread, value):  # type: ignore[no-untyped-def]
        partial[thread] = value
        barrier()
        lane, apart = thread % threads, threads // 2
        while apart > 0:
            if lane < apart:
                partial[thread] += partial[thread + apart]
            barrier()
            apart //= 2
        whole = partial[thread - lane]
        barrier()  # before the next sum takes its place
        return whole

    return total
