"""Waiting and being woken, in compiled code: the clock, a pause between two looks, and sleep in the kernel.

On Linux a thread sleeps on a word of memory (*futex*) and costs nothing until another wakes it. Elsewhere it sleeps for
some microseconds at a time and looks again.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sparsenet.targets.cpu.vector_ir.llvm import I32, I64, call_intrinsic

#: The number of the system call, by what ``platform.machine()`` says.
_FUTEX_CALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "loongarch64": 98}
_FUTEX = (
    _FUTEX_CALLS.get(platform.machine()) if sys.platform == "linux" and sys.byteorder == "little" else None
)
_WAIT_PRIVATE, _WAKE_PRIVATE = 128, 129
_CLOCK_MONOTONIC = 6 if sys.platform == "darwin" else 1
#: How long one sleep takes where nobody can be woken.
_NAP_MICROSECONDS = 50


def _call(b: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value, fixed: int | None = None) -> ir.Value:
    """Call a function of libc; of one with a variable number of arguments, ``fixed`` are always there."""
    kinds = [x.type for x in args]
    kind = ir.FunctionType(result, kinds[:fixed], var_arg=fixed is not None)
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), args)


@intrinsic
def nanoseconds(typing_context: Any) -> Any:
    """A clock that only goes forward: libc's ``clock_gettime``."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        with b.goto_entry_block():
            time = b.alloca(ir.ArrayType(I64, 2))
        _call(b, "clock_gettime", I32, I32(_CLOCK_MONOTONIC), b.bitcast(time, I64.as_pointer()))
        seconds, rest = (b.load(b.gep(time, [I32(0), I32(i)])) for i in (0, 1))
        return b.add(b.mul(seconds, I64(1_000_000_000)), rest)

    return types.int64(), emit


@intrinsic
def breathe(typing_context: Any) -> Any:
    """Tell the processor that this thread only polls memory, so that another on the same core may go on."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        if platform.machine() in ("x86_64", "AMD64"):
            call_intrinsic(b, "llvm.x86.sse2.pause", ir.VoidType(), [])
        return c.get_dummy_value()

    return types.void(), emit


@intrinsic
def sleep_while(typing_context: Any, address: Any, value: Any) -> Any:
    """Sleep while the int32 at ``address`` equals the low half of ``value``, until woken; may return sooner."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        if _FUTEX is None:
            _call(b, "usleep", I32, I32(_NAP_MICROSECONDS))
        else:
            seen, forever = b.zext(b.trunc(a[1], I32), I64), I64(0)
            _call(b, "syscall", I64, I64(_FUTEX), a[0], I64(_WAIT_PRIVATE), seen, forever, fixed=1)
        return c.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def wake_all(typing_context: Any, address: Any) -> Any:
    """Wake every thread that sleeps on ``address``."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        if _FUTEX is not None:
            _call(b, "syscall", I64, I64(_FUTEX), a[0], I64(_WAKE_PRIVATE), I64(2**31 - 1), fixed=1)
        return c.get_dummy_value()

    return types.void(types.int64), emit
