"""LLVM values that llvmlite's builder has no word for. ``b`` is always the builder of the code being made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

F32 = ir.FloatType()
I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))

#: How far ahead of its use a stream of weights is fetched. From L3, weights then arrive at twice the pace that the
#: processor's own prefetching reaches.
AHEAD_BYTES = 8192
CACHE_LINE = 64


def typed_pointer(b: ir.IRBuilder, address: ir.Value, pointee: ir.Type) -> ir.Value:
    """An int64 address as a pointer."""
    return b.inttoptr(address, pointee.as_pointer())


def displaced(b: ir.IRBuilder, address: ir.Value, distance: int) -> ir.Value:
    """``address + distance`` in bytes."""
    return b.add(address, ir.Constant(I64, distance)) if distance else address


def vector_type(lanes: int) -> ir.VectorType:
    """``lanes`` float32."""
    return ir.VectorType(F32, lanes)


def splat(b: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """A vector of one scalar."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = b.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def shuffled(b: ir.IRBuilder, x: ir.Value, y: ir.Value, lane: Callable[[int], int]) -> ir.Value:
    """Lane i of the result is number ``lane(i)`` of x and y in a row."""
    lanes = x.type.count
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, lanes), [lane(i) for i in range(lanes)]))


def constant(value: float, lanes: int) -> ir.Value:
    """A vector of one number known now."""
    return ir.Constant(vector_type(lanes), [value] * lanes)


def call_intrinsic(b: ir.IRBuilder, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    """Call the LLVM intrinsic ``name``."""
    function_type = ir.FunctionType(result, [x.type for x in args])
    return b.call(cgutils.get_or_insert_function(b.module, function_type, name), args)


def fma(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """x * y + z per lane, rounded once."""
    return call_intrinsic(b, f"llvm.fma.v{x.type.count}f32", x.type, [x, y, z])


def prefetch_ahead(b: ir.IRBuilder, stream: ir.Value, size: int) -> None:
    """Fetch what stands ``AHEAD_BYTES`` behind the next ``size`` bytes of a stream; it need not be readable."""
    for line in range(0, size, CACHE_LINE):
        address = typed_pointer(b, displaced(b, stream, AHEAD_BYTES + line), ir.IntType(8))
        # For reading, into every cache level, data.
        hints = [ir.Constant(I32, number) for number in (0, 3, 1)]
        call_intrinsic(b, "llvm.prefetch.p0", ir.VoidType(), [address, *hints])
