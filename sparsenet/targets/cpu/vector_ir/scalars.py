"""Single numbers in memory; an integer of any size is an int64 in kernels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sparsenet.graph.types import F32, I32, I64, ElementType
from sparsenet.targets.cpu.vector_ir.llvm import narrowed, scalar_type, typed_pointer, widened


@cache
def load_number(element: ElementType) -> Any:
    """``f(address, index)``: ``((element*)address)[index]``"""
    number = types.float32 if element.is_float else types.int64

    @intrinsic
    def load(typing_context: Any, address: Any, index: Any) -> Any:
        def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
            place = b.gep(typed_pointer(b, a[0], scalar_type(element)), [a[1]])
            return widened(b, b.load(place), element)

        return number(types.int64, types.int64), emit

    return load


@cache
def store_number(element: ElementType) -> Any:
    """``f(address, index, value)``: ``((element*)address)[index] = value``; integers wrap around."""
    number = types.float32 if element.is_float else types.int64

    @intrinsic
    def store(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
        def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
            place = b.gep(typed_pointer(b, a[0], scalar_type(element)), [a[1]])
            b.store(narrowed(b, a[2], element), place)
            return c.get_dummy_value()

        return types.void(types.int64, types.int64, number), emit

    return store


load_f32, store_f32 = load_number(F32), store_number(F32)
load_i32 = load_number(I32)
load_i64, store_i64 = load_number(I64), store_number(I64)
