"""Scalars in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sparsenet.targets.cpu.vector_ir.llvm import F32, I32, I64, typed_pointer


@intrinsic
def load_f32(typing_context: Any, address: Any, index: Any) -> Any:
    """``((float*)address)[index]``"""
    return types.float32(types.int64, types.int64), lambda c, b, s, a: b.load(
        b.gep(typed_pointer(b, a[0], F32), [a[1]])
    )


@intrinsic
def store_f32(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """``((float*)address)[index] = value``"""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.store(a[2], b.gep(typed_pointer(b, a[0], F32), [a[1]]))
        return c.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), emit


@intrinsic
def load_i32(typing_context: Any, address: Any, index: Any) -> Any:
    """``((int32_t*)address)[index]`` as int64"""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        return b.sext(b.load(b.gep(typed_pointer(b, a[0], I32), [a[1]])), I64)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def load_i64(typing_context: Any, address: Any, index: Any) -> Any:
    """``((int64_t*)address)[index]``"""
    return types.int64(types.int64, types.int64), lambda c, b, s, a: b.load(
        b.gep(typed_pointer(b, a[0], I64), [a[1]])
    )


@intrinsic
def store_i64(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """``((int64_t*)address)[index] = value``"""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.store(a[2], b.gep(typed_pointer(b, a[0], I64), [a[1]]))
        return c.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit
