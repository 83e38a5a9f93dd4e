"""What kernels and the interpreter need of the machine: calls, atomics, the cycle counter, the stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sparsenet.targets.cpu.vector_ir.llvm import CACHE_LINE, I64, call_intrinsic, typed_pointer


@intrinsic
def call_kernel(typing_context: Any, function: Any, args: Any, bases: Any) -> Any:
    """Call the kernel whose machine code starts at ``function``."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.call(typed_pointer(b, a[0], ir.FunctionType(ir.VoidType(), [I64] * 2)), a[1:])
        return c.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


@intrinsic
def atomic_load(typing_context: Any, address: Any) -> Any:
    """Sequentially consistent load of an int64."""
    return types.int64(types.int64), lambda c, b, s, a: b.load_atomic(
        typed_pointer(b, a[0], I64), "seq_cst", 8
    )


@intrinsic
def atomic_store(typing_context: Any, address: Any, value: Any) -> Any:
    """Sequentially consistent store of an int64."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.store_atomic(a[1], typed_pointer(b, a[0], I64), "seq_cst", 8)
        return c.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def atomic_add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to an int64 and return the value before."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        return b.atomic_rmw("add", typed_pointer(b, a[0], I64), a[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def cycle_counter(typing_context: Any) -> Any:
    """The processor's time stamp counter."""
    return types.int64(), lambda c, b, s, a: call_intrinsic(b, "llvm.readcyclecounter", I64, [])


@intrinsic
def atomic_swap(typing_context: Any, address: Any, value: Any) -> Any:
    """Store an int64 and return the value before."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        return b.atomic_rmw("xchg", typed_pointer(b, a[0], I64), a[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def atomic_replace(typing_context: Any, address: Any, expected: Any, value: Any) -> Any:
    """Store an int64 if the memory holds ``expected``; returns whether it did."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        pair = b.cmpxchg(typed_pointer(b, a[0], I64), a[1], a[2], "seq_cst", "seq_cst")
        return b.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit


def stack_memory(size: int) -> Any:
    """``f()``: address of ``size`` bytes on the calling kernel's stack, aligned to a cache line."""

    @intrinsic
    def memory(typing_context: Any) -> Any:
        def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
            with b.goto_entry_block():  # once per call of the kernel, in whatever loop this is
                bytes_ = b.alloca(ir.ArrayType(ir.IntType(8), size))
            bytes_.align = CACHE_LINE
            return b.ptrtoint(bytes_, I64)

        return types.int64(), emit

    return memory
