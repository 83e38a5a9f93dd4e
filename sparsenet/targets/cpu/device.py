"""Compilation of kernels and of the functions that they call."""

from __future__ import annotations

from typing import Any

from numba import cfunc, njit, types

from sparsenet.targets.cpu.pipeline import KernelCompiler

#: The one place for compiler flags. `contract` and `nsz` assume away neither NaN nor infinity.
_FLAGS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
    "pipeline_class": KernelCompiler,
}
_EXACT = _FLAGS | {"fastmath": False}
#: Only kernels call these functions: without entries for Python and for C they compile sooner.
_CALLED = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def device(function: Any) -> Any:
    """Compile ``function`` for use by kernels: it becomes part of each kernel that calls it."""
    return njit(inline="never", **_FLAGS, **_CALLED)(function)


def inlined(function: Any, *, exact: bool = False) -> Any:
    """Compile ``function`` as ``device`` does, without the cost of a call: for what each tile does once.

    If ``exact``, products and sums are rounded one by one, as those that become integers must be.
    """
    flags = _EXACT if exact else _FLAGS
    return njit(inline="never", forceinline=True, **flags, **_CALLED)(function)


def kernel_entry(function: Any, *, exact: bool = False) -> Any:
    """Compile ``function(args, bases)`` as a kernel: a C function the tape can call; ``exact`` as for ``inlined``."""
    return cfunc(types.void(types.int64, types.int64), **_EXACT if exact else _FLAGS)(function)
