"""Compilation of kernels and of the functions that they call."""

from __future__ import annotations

from typing import Any

from numba import njit

#: The one place for compiler flags. `contract` and `nsz` assume away neither NaN nor infinity.
_FASTMATH = {"contract", "nsz"}
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": _FASTMATH, "nogil": True}
#: Only kernels call these functions: without entries for Python and for C they compile sooner.
_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def device(function: Any) -> Any:
    """Compile ``function`` for use by kernels: it becomes part of each kernel that calls it."""
    return njit(inline="never", **FLAGS, **_NO_WRAPPERS)(function)


def inlined(function: Any, *, exact: bool = False) -> Any:
    """Compile ``function`` as ``device`` does, without the cost of a call: for what each tile does once.

    If ``exact``, products and sums are rounded one by one, as those that become integers must be.
    """
    flags = FLAGS | {"fastmath": False} if exact else FLAGS
    return njit(inline="never", forceinline=True, **flags, **_NO_WRAPPERS)(function)


def kernel_entry(function: Any, *, exact: bool = False) -> Any:
    """Compile ``function(args, bases)`` as a kernel: a C function the tape can call; ``exact`` as for ``inlined``."""
    from numba import cfunc, types

    fastmath = False if exact else _FASTMATH
    return cfunc(types.void(types.int64, types.int64), error_model="numpy", fastmath=fastmath)(function)
