"""Combining the values that several threads of a block hold."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cuda.simt.machine import barrier, device


@device
def add(a: Any, b: Any) -> Any:
    """The sum of two numbers."""
    return a + b


@device
def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers."""
    return a if b <= a else b


def combine_neighbours(threads: int, combine: Any) -> Any:
    """``f(partial, thread, value)``: the values of ``threads`` neighbours, a power of two, combined, for each of them.

    ``partial`` is shared memory, one float32 for each thread of the block; all of them must call. They combine as a
    tree: rounding errors of a sum grow with the logarithm of the threads.
    """

    @device
    def alone(partial, thread, value):  # type: ignore[no-untyped-def]
        return value

    @device
    def together(partial, thread, value):  # type: ignore[no-untyped-def]
        partial[thread] = value
        barrier()
        lane, apart = thread % threads, threads // 2
        while apart > 0:
            if lane < apart:
                partial[thread] = combine(partial[thread], partial[thread + apart])
            barrier()
            apart //= 2
        whole = partial[thread - lane]
        barrier()  # before the next value takes its place
        return whole

    return alone if threads == 1 else together
