"""A table of 256 bytes, looked up for every byte of a tile of quads, by the best instructions that this CPU has.

Vectors of table entries are looked up by the low bits of every byte; its high bits choose between their results.
Results are the same whatever the instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from sparsenet.graph.types import QUAD, U8
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import call_intrinsic, constant, displaced, typed_pointer
from sparsenet.targets.cpu.vector_ir.tile import Tile

ENTRIES = 256
#: By bits of a vector: what a CPU needs to look up bytes in two vectors, and in 16 bytes; the instructions' names.
_IN_TWO = {bits: ({"avx512vbmi", "avx512vl"}, f"avx512.vpermi2var.qi.{bits}") for bits in (128, 256, 512)}
_IN_16 = {
    128: ({"ssse3"}, "ssse3.pshuf.b.128"),
    256: ({"avx2"}, "avx2.pshuf.b"),
    512: ({"avx512bw"}, "avx512.pshuf.b.512"),
}
_SHUFFLED = 16
#: NEON looks up bytes in four vectors of 16 at a time.
_IN_64 = {128: ({"neon"}, "aarch64.neon.tb")}


class ByteTable(NamedTuple):
    """How a kernel looks bytes up.

    Attributes:
        open: ``f(address)``: the table, to be held in registers.
        look_up: ``f(table, quads)``: the entry of every byte.
    """

    open: Any
    look_up: Any


def byte_table(pixels: Tile) -> ByteTable:
    """The best way for tiles of quads of this size."""
    octets, bits = QUAD * pixels.lanes, 8 * QUAD * pixels.lanes
    ways = ((_IN_TWO, 2 * octets, _in_two), (_IN_16, _SHUFFLED, _in_16), (_IN_64, _SHUFFLED, _in_64))
    for names, entries, look in ways:
        needed, name = names.get(bits, ({"no such vectors"}, ""))
        if needed <= cpu_features():
            return _by_vectors(pixels, Tile(U8, octets, 1, _vectors(octets, entries)), name, look)
    return _one_by_one(pixels)


def _vectors(octets: int, entries: int) -> int:
    """Vectors that hold the table, if ``entries`` of it are looked up at a time."""
    return ENTRIES // octets if entries > _SHUFFLED else ENTRIES // _SHUFFLED


#: ``f(b, name, table, index)``: the results of a lookup in each part of the table, and the lowest bit that chooses.
_Look = Callable[[ir.IRBuilder, str, Sequence[ir.Value], ir.Value], tuple[list[ir.Value], int]]


def _in_two(
    b: ir.IRBuilder, name: str, table: Sequence[ir.Value], index: ir.Value
) -> tuple[list[ir.Value], int]:
    pairs = zip(table[::2], table[1::2], strict=True)
    found = [call_intrinsic(b, f"llvm.x86.{name}", index.type, [low, index, high]) for low, high in pairs]
    return found, index.type.count.bit_length()


def _in_16(
    b: ir.IRBuilder, name: str, table: Sequence[ir.Value], index: ir.Value
) -> tuple[list[ir.Value], int]:
    low = b.and_(index, constant(_SHUFFLED - 1, index.type))
    found = [call_intrinsic(b, f"llvm.x86.{name}", index.type, [row, low]) for row in table]
    return found, _SHUFFLED.bit_length() - 1


def _in_64(
    b: ir.IRBuilder, name: str, table: Sequence[ir.Value], index: ir.Value
) -> tuple[list[ir.Value], int]:
    """Numbers outside of 64 entries leave what was found before."""
    found: list[ir.Value] = []
    for first in range(0, len(table), QUAD):
        way = "x" if found else "l"
        operands = [*found, *table[first : first + QUAD], index]
        found = [call_intrinsic(b, f"llvm.{name}{way}{QUAD}.v{_SHUFFLED}i8", index.type, operands)]
        index = b.sub(index, constant(QUAD * _SHUFFLED, index.type))
    return found, 0


def _by_vectors(pixels: Tile, table: Tile, name: str, look: _Look) -> ByteTable:
    def load(b: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
        if look is _in_two:
            return [table._load(b, displaced(b, address, j * table.vector_bytes)) for j in range(table.count)]
        row = Tile(U8, _SHUFFLED)
        order = ir.Constant(ir.VectorType(llvm.I32, table.lanes), [i % _SHUFFLED for i in range(table.lanes)])
        rows = [row._load(b, displaced(b, address, j * _SHUFFLED)) for j in range(table.count)]
        return [b.shuffle_vector(few, few, order) for few in rows]

    def look_up(b: ir.IRBuilder, entries: ir.Value, quads: ir.Value) -> list[ir.Value]:
        vectors = table._split(b, entries)
        out = []
        for vector in pixels._split(b, quads):
            index = b.bitcast(vector, table._vector)
            found, bit = look(b, name, vectors, index)
            while len(found) > 1:
                chosen = b.and_(index, constant(1 << bit, index.type))
                upper = b.icmp_unsigned("!=", chosen, constant(0, index.type))
                pairs = zip(found[::2], found[1::2], strict=True)
                found, bit = [b.select(upper, high, low) for low, high in pairs], bit + 1
            out.append(b.bitcast(found[0], pixels._vector))
        return out

    return ByteTable(
        table._intrinsic([types.int64], table.type, load),
        pixels._intrinsic([table.type, pixels.type], pixels.type, look_up),
    )


def _one_by_one(pixels: Tile) -> ByteTable:
    def look_up(b: ir.IRBuilder, address: ir.Value, quads: ir.Value) -> list[ir.Value]:
        entries, octets = typed_pointer(b, address, llvm.I8), ir.VectorType(llvm.I8, QUAD * pixels.lanes)
        out = []
        for vector in pixels._split(b, quads):
            index, found = b.bitcast(vector, octets), ir.Constant(octets, ir.Undefined)
            for lane in range(octets.count):
                number = b.zext(b.extract_element(index, llvm.I32(lane)), llvm.I64)
                found = b.insert_element(found, b.load(b.gep(entries, [number])), llvm.I32(lane))
            out.append(b.bitcast(found, pixels._vector))
        return out

    return ByteTable(
        pixels._intrinsic([types.int64], types.int64, lambda b, address: address),
        pixels._intrinsic([types.int64, pixels.type], pixels.type, look_up),
    )
