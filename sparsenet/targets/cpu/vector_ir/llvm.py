"""LLVM values that llvmlite's builder has no method for. ``b`` is always the builder of the code being made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from sparsenet.graph.types import ElementType
from sparsenet.targets.cpu.runtime.jit import cpu_features

F32 = ir.FloatType()
I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))

#: ``f(builder, w, x, sum)``: vectors of sums with a product added.
Product = Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value], ir.Value]

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


def scalar_type(element: ElementType) -> ir.Type:
    """LLVM's type for one number; whether an integer has a sign, only operations know."""
    return F32 if element.is_float else ir.IntType(8 * element.itemsize)


def widened(b: ir.IRBuilder, value: ir.Value, element: ElementType) -> ir.Value:
    """A number as kernels have it outside of vectors: an integer of any size as an int64."""
    if element.is_float:
        return value
    return b.sext(value, I64) if element.is_signed else b.zext(value, I64)


def narrowed(b: ir.IRBuilder, value: ir.Value, element: ElementType) -> ir.Value:
    """A number as vectors hold it: the inverse of ``widened``."""
    return value if element.is_float else b.trunc(value, scalar_type(element))


def mangled(vector: ir.VectorType) -> str:
    """A vector's type as the names of intrinsics have it: ``v16f32``."""
    item = vector.element
    return f"v{vector.count}" + (f"i{item.width}" if isinstance(item, ir.IntType) else "f32")


def number_at(b: ir.IRBuilder, table: ir.Value, element: ElementType, index: int) -> ir.Value:
    """``((element*)table)[index]``, widened."""
    address = displaced(b, table, element.itemsize * index)
    return widened(b, b.load(typed_pointer(b, address, scalar_type(element))), element)


def splat(b: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """A vector of one scalar."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = b.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def shuffled(
    b: ir.IRBuilder, x: ir.Value, y: ir.Value, lane: Callable[[int], int], lanes: int | None = None
) -> ir.Value:
    """Lane i of the result is number ``lane(i)`` of x and y in a row; as many lanes as x has, or ``lanes``."""
    lanes = lanes or x.type.count
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, lanes), [lane(i) for i in range(lanes)]))


def all_of(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """The lanes of x, then those of y."""
    numbers = list(range(2 * x.type.count))
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(numbers)), numbers))


def constant(value: float, vector: ir.VectorType) -> ir.Value:
    """A vector of one number known now."""
    return ir.Constant(vector, [value] * vector.count)


def call_intrinsic(b: ir.IRBuilder, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    """Call the LLVM intrinsic ``name``."""
    function_type = ir.FunctionType(result, [x.type for x in args])
    return b.call(cgutils.get_or_insert_function(b.module, function_type, name), args)


def loads_together() -> int:
    """How many vectors one instruction loads."""
    return 4 if "neon" in cpu_features() else 1


def load_several(b: ir.IRBuilder, address: ir.Value, vector: ir.VectorType, count: int) -> list[ir.Value]:
    """Two to four vectors of 128 bits behind each other, by NEON's instruction."""
    several = ir.LiteralStructType([vector] * count)
    pointer = typed_pointer(b, address, I8)
    block = call_intrinsic(b, f"llvm.aarch64.neon.ld1x{count}.{mangled(vector)}.p0", several, [pointer])
    return [b.extract_value(block, i) for i in range(count)]


def opaque(b: ir.IRBuilder, number: ir.Value) -> ir.Value:
    """The number, of which LLVM forgets how it was made; no instruction."""
    return b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [number], side_effect=False)


def made_here(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """The vector, which LLVM on AArch64 does not put off to where it is used; no instruction."""
    return b.asm(ir.FunctionType(vector.type, [vector.type]), "", "=w,0", [vector], side_effect=True)


def clipped(b: ir.IRBuilder, x: ir.Value, low: int, high: int, item: ir.Type) -> ir.Value:
    """A vector of signed integers as one of shorter ones, between two limits that these can have."""
    for name, limit in (("smax", low), ("smin", high)):
        x = call_intrinsic(b, f"llvm.{name}.{mangled(x.type)}", x.type, [x, constant(limit, x.type)])
    return b.trunc(x, ir.VectorType(item, x.type.count))


def has_lane_products() -> bool:
    """Whether products take one lane of a vector for all: then weights need one register for several of them."""
    return "neon" in cpu_features()


def has_mask_registers() -> bool:
    """Whether a mask of bits becomes one of lanes in an instruction or two; NEON takes lane after lane."""
    return "neon" not in cpu_features()


def has_extremes() -> bool:
    """Whether the machine has instructions for what ``extreme`` computes: x86's return the second number for NaN."""
    return "neon" in cpu_features()


def extreme(b: ir.IRBuilder, sign: str, x: ir.Value, y: ir.Value) -> ir.Value:
    """The larger (">") or smaller ("<") of two floats per lane, NaN if either is."""
    return call_intrinsic(b, f"llvm.{_EXTREMES[sign]}.{mangled(x.type)}", x.type, [x, y])


_EXTREMES = {">": "maximum", "<": "minimum"}


def fma(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """x * y + z per lane; of floats rounded once, of integers modulo their range."""
    if isinstance(x.type.element, ir.IntType):
        return b.add(b.mul(x, y), z)
    return call_intrinsic(b, f"llvm.fma.{mangled(x.type)}", x.type, [x, y, z])


def prefetch_ahead(b: ir.IRBuilder, stream: ir.Value, size: int) -> None:
    """Prefetch memory ``AHEAD_BYTES`` behind the next ``size`` bytes of a stream; it need not be readable.

    Small processors decode few instructions at a time and fetch streams by themselves: there it would cost more.
    """
    if "neon" in cpu_features():
        return
    for line in range(0, size, CACHE_LINE):
        address = typed_pointer(b, displaced(b, stream, AHEAD_BYTES + line), ir.IntType(8))
        # For reading, into every cache level, data.
        hints = [ir.Constant(I32, number) for number in (0, 3, 1)]
        call_intrinsic(b, "llvm.prefetch.p0", ir.VoidType(), [address, *hints])
