"""Device-side helpers shared by all kernels: compiler flags and reading the tape row."""

from __future__ import annotations

from typing import Any

from numba import njit

from sparsenet.kernels.abi import BASE_SHIFT, OFFSET_MASK
from sparsenet.kernels.vector_ir import load_f32, load_i64

#: The one place for compiler flags. `contract` and `nsz` assume away neither NaN nor infinity.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}


#: Only kernels call these functions: without entries for Python and for C they compile a tenth sooner.
_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def device(function: Any) -> Any:
    """A function that kernels call; compiled into each of them."""
    return njit(inline="never", **FLAGS, **_NO_WRAPPERS)(function)


def inlined(function: Any) -> Any:
    """As ``device``, without the cost of a call: for what each tile does once."""
    return njit(inline="never", forceinline=True, **FLAGS, **_NO_WRAPPERS)(function)


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


def kernel_entry(function: Any) -> Any:
    """Compile ``function(args, bases)`` as a kernel: a C function the tape can call."""
    from numba import cfunc, types

    return cfunc(types.void(types.int64, types.int64), error_model="numpy", fastmath={"contract", "nsz"})(
        function
    )
