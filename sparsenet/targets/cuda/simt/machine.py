"""Memory access and compilation: by PTX instructions on a GPU, by plain indexing in the simulator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
from numba import cuda

__all__ = [
    "LOAD_INTO",
    "SIMULATED",
    "STORE_FROM",
    "barrier",
    "device",
    "divide",
    "entry",
    "load",
    "load2",
    "load4",
    "load_shared",
    "load_shared_into",
    "signature",
    "store",
    "store2",
    "store4",
]

#: Whether Numba's CUDA simulator stands in for a GPU; decided by the environment when Numba is imported.
SIMULATED = bool(numba.config.ENABLE_CUDASIM)

#: The one place for compiler flags. Contraction to fused multiply-adds assumes away neither NaN nor infinity.
FLAGS: dict[str, Any] = {} if SIMULATED else {"fastmath": False, "opt": True}


def signature(integers: int, tensors: int, numbers: int) -> Any:
    """Signature of a kernel ``(memory, weights, tables, *integers, tensors, numbers)``; the last two are tuples."""
    from numba import types

    floats, words = types.float32[::1], types.int32[::1]
    return types.void(
        floats,
        floats,
        words,
        *[types.int64] * integers,
        types.UniTuple(types.int64, tensors),
        types.UniTuple(types.float32, numbers),
    )


def entry(function: Callable[..., None], integers: int, tensors: int, numbers: int) -> Any:
    """Make ``function`` a kernel that can be launched; it is compiled at its first launch on a GPU."""
    if SIMULATED:
        return cuda.jit(function)
    return cuda.jit(signature(integers, tensors, numbers), **FLAGS)(function)


def device(function: Any) -> Any:
    """A function that kernels call; it becomes part of each of them."""
    return function if SIMULATED else cuda.jit(function, device=True, forceinline=True, **FLAGS)


if SIMULATED:

    def load(array, index):  # type: ignore[no-untyped-def]
        """Load one element of an array that nobody writes during the launch."""
        return array[index]

    def load2(array, index):  # type: ignore[no-untyped-def]
        """Load two consecutive elements, as ``load``; ``index`` is even."""
        return array[index], array[index + 1]

    def load4(array, index):  # type: ignore[no-untyped-def]
        """Load four consecutive elements, as ``load``; ``index`` is a multiple of four."""
        return array[index], array[index + 1], array[index + 2], array[index + 3]

    def load_shared(array, index):  # type: ignore[no-untyped-def]
        """Load one element of an array in shared memory."""
        return array[index]

    def store(array, index, a):  # type: ignore[no-untyped-def]
        """Write one element."""
        array[index] = a

    def store2(array, index, a, b):  # type: ignore[no-untyped-def]
        """Write two consecutive elements; ``index`` is even."""
        array[index], array[index + 1] = a, b

    def store4(array, index, a, b, c, d):  # type: ignore[no-untyped-def]
        """Write four consecutive elements; ``index`` is a multiple of four."""
        array[index], array[index + 1], array[index + 2], array[index + 3] = a, b, c, d

    def divide(a, b):  # type: ignore[no-untyped-def]
        """Quotient of two numbers from 0 to 2^31 - 1, rounded down."""
        return a // b

    def barrier():  # type: ignore[no-untyped-def]
        """Wait for all threads of the block; the simulator's ``cuda.syncthreads`` is there for kernels alone."""
        threading.current_thread().syncthreads()  # type: ignore[attr-defined]

else:
    from sparsenet.targets.cuda.simt.ptx import divide, load, load2, load4, load_shared, store, store2, store4

    @device
    def barrier() -> None:
        """Wait for all threads of the block."""
        cuda.syncthreads()


def _load_into(lanes: int) -> Any:
    if lanes == 4:

        @device
        def four(array, index, target, at):  # type: ignore[no-untyped-def]
            target[at], target[at + 1], target[at + 2], target[at + 3] = load4(array, index)

        return four
    if lanes == 2:

        @device
        def two(array, index, target, at):  # type: ignore[no-untyped-def]
            target[at], target[at + 1] = load2(array, index)

        return two

    @device
    def one(array, index, target, at):  # type: ignore[no-untyped-def]
        target[at] = load(array, index)

    return one


def _store_from(lanes: int) -> Any:
    if lanes == 4:

        @device
        def four(array, index, source, at):  # type: ignore[no-untyped-def]
            store4(array, index, source[at], source[at + 1], source[at + 2], source[at + 3])

        return four
    if lanes == 2:

        @device
        def two(array, index, source, at):  # type: ignore[no-untyped-def]
            store2(array, index, source[at], source[at + 1])

        return two

    @device
    def one(array, index, source, at):  # type: ignore[no-untyped-def]
        store(array, index, source[at])

    return one


#: Lanes → ``f(array, index, registers, at)``: ``lanes`` elements in one access between memory and a local array, whose
#: places must be known at compile time, after unrolling, for it to be registers.
LOAD_INTO = {lanes: _load_into(lanes) for lanes in (1, 2, 4)}
STORE_FROM = {lanes: _store_from(lanes) for lanes in (1, 2, 4)}


@device
def load_shared_into(array, index, target, at):  # type: ignore[no-untyped-def]
    """Load one element of shared memory into a local array, as ``LOAD_INTO[1]`` does from device memory."""
    target[at] = load_shared(array, index)
