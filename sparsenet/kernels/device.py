"""Device-side helpers shared by all kernels: compiler flags and reading the tape row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from sparsenet.kernels.abi import BASE_SHIFT, OFFSET_MASK
from sparsenet.kernels.vector_ir import load_i64
from sparsenet.kernels.vector_ir.llvm import F32, I64, typed_pointer

#: The one place for compiler flags. `contract` and `nsz` assume away neither NaN nor infinity.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}
#: Only kernels call these functions: without entries for Python and for C they compile sooner.
_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def device(function: Any) -> Any:
    """A function that kernels call; compiled into each of them."""
    return njit(inline="never", **FLAGS, **_NO_WRAPPERS)(function)


def inlined(function: Any) -> Any:
    """As ``device``, without the cost of a call: for what each tile does once."""
    return njit(inline="never", forceinline=True, **FLAGS, **_NO_WRAPPERS)(function)


# Reading the tape row is emitted in place: as functions, each of these would be compiled for every index it is called
# with, and linked into every kernel.

#: ``integer(args, index)``: the plain int64 argument ``index``.
integer = load_i64


@intrinsic
def number(typing_context: Any, args: Any, index: Any) -> Any:
    """The float32 argument ``index``, stored by ``encode_float``."""

    def emit(c: Any, b: Any, s: Any, a: Sequence[Any]) -> Any:
        address = b.gep(typed_pointer(b, a[0], I64), [a[1]])
        return b.load(b.bitcast(address, F32.as_pointer()))

    return types.float32(types.int64, types.int64), emit


@intrinsic
def pointer(typing_context: Any, args: Any, bases: Any, index: Any) -> Any:
    """The address behind the pointer argument ``index``."""

    def emit(c: Any, b: Any, s: Any, a: Sequence[Any]) -> Any:
        word = b.load(b.gep(typed_pointer(b, a[0], I64), [a[2]]))
        base = b.gep(typed_pointer(b, a[1], I64), [b.ashr(word, I64(BASE_SHIFT))])
        return b.add(b.load(base), b.and_(word, I64(OFFSET_MASK)))

    return types.int64(types.int64, types.int64, types.int64), emit


def kernel_entry(function: Any) -> Any:
    """Compile ``function(args, bases)`` as a kernel: a C function the tape can call."""
    from numba import cfunc, types

    return cfunc(types.void(types.int64, types.int64), error_model="numpy", fastmath={"contract", "nsz"})(
        function
    )
