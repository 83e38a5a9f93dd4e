"""Device-side helpers shared by all kernels: reading the tape row, sharing work between threads."""

from __future__ import annotations

from typing import Any

from numba import njit

from sparsenet.kernels.abi import BASE_SHIFT, OFFSET_MASK
from sparsenet.kernels.vector_ir import atomic_add, atomic_load, load_f32, load_i64, yield_processor

#: The one place for compiler flags. `contract` and `nsz` assume away neither NaN nor infinity.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}

#: Spins before a waiting thread offers its core: about 20 µs, longer than the skew of balanced shares.
SPINS = 4000


def device(function: Any) -> Any:
    """A function that kernels call; compiled into each of them."""
    return njit(inline="never", **FLAGS)(function)


@device
def integer(args: int, index: int) -> int:
    """The plain int64 argument ``index``."""
    return load_i64(args, index)


@device
def number(args: int, index: int) -> float:
    """The float32 argument ``index``, stored by ``encode_float``."""
    return load_f32(args, 2 * index)


@device
def pointer(args: int, bases: int, index: int) -> int:
    """The address behind the pointer argument ``index``."""
    word = load_i64(args, index)
    return load_i64(bases, word >> BASE_SHIFT) + (word & OFFSET_MASK)


@device
def share_begin(total: int, part: int, parts: int) -> int:
    """First item of share ``part`` when ``total`` items are split into ``parts`` nearly equal runs."""
    return total * part // parts


@device
def barrier(counter: int, target: int) -> None:
    """Arrive at ``counter`` and wait until ``target`` arrivals have happened."""
    atomic_add(counter, 1)
    spins = 0
    while atomic_load(counter) < target:
        spins += 1
        if spins > SPINS:
            yield_processor()


def kernel_entry(function: Any) -> Any:
    """Compile ``function(args, bases, thread, threads)`` as a kernel: a C function the tape can call."""
    from numba import cfunc, types

    return cfunc(types.void(*[types.int64] * 4), error_model="numpy", fastmath={"contract", "nsz"})(function)
