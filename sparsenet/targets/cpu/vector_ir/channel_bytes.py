"""Bytes of one channel after the other, for vectors of four numbers: AArch64 interleaves them as it stores them.

A tile of quads then needs registers for one channel's sums, and a quarter of them for each channel that is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from sparsenet.graph.types import F32, QUAD, U8, U16
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.fixed_point import steps_of_sums
from sparsenet.targets.cpu.vector_ir.llvm import (
    I8,
    I16,
    all_of,
    call_intrinsic,
    clipped,
    constant,
    displaced,
    made_here,
    mangled,
    splat,
    typed_pointer,
)
from sparsenet.targets.cpu.vector_ir.quads import BYTE_BITS, halves_of, rounded
from sparsenet.targets.cpu.vector_ir.tile import Tile
from sparsenet.targets.family import Clip, Dot

_OCTETS = 16


def octets_of(pixels: Tile) -> Tile:
    """The tile of one channel's bytes over a tile of quads or sums: four vectors of a row become one."""
    return Tile(U8, _OCTETS, pixels.rows, -(-pixels.vectors // QUAD))


def halves_tile(values: Tile) -> Tile:
    """The tile of one channel's 16-bit numbers of steps: two vectors of a row become one, in whole pairs."""
    return Tile(U16, 2 * values.lanes, values.rows, 2 * octets_of(values).vectors)


def _in_fours(values: Tile, vectors: Sequence[ir.Value]) -> list[list[ir.Value]]:
    """The vectors of a tile by four of a row; what is missing is undefined."""
    missing = [ir.Constant(vectors[0].type, ir.Undefined)] * (QUAD - 1)
    lines = [vectors[row * values.vectors : (row + 1) * values.vectors] for row in range(values.rows)]
    firsts = range(0, values.vectors, QUAD)
    return [[*line[first : first + QUAD], *missing][:QUAD] for line in lines for first in firsts]


def round_to_halves(values: Tile, dot: Dot, clip: Clip) -> Any:
    """``f(values)``: float32 below 2**30 rounded, half to even; ``clip`` tells what else is known of them."""
    halves = halves_tile(values)

    def emit(b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        fours = _in_fours(values, rounded(b, values, block, dot))
        return [half for four in fours for half in halves_of(b, four, words=Clip.WORDS in clip)]

    return halves._intrinsic([values.type], halves.type, emit)


def multiply_to_halves(sums: Tile, dot: Dot) -> Any:
    """``f(sums, multiplier)``: int32 sums times one fixed-point multiplier."""
    halves = halves_tile(sums)

    def emit(b: ir.IRBuilder, block: ir.Value, multiplier: ir.Value) -> list[ir.Value]:
        fours, by = _in_fours(sums, sums._split(b, block)), sums._splat(b, multiplier)
        return [steps_of_sums(b, dot, pair, by) for four in fours for pair in (four[:2], four[2:])]

    return halves._intrinsic([sums.type, types.int64], halves.type, emit)


def to_octets(values: Tile, dot: Dot, clip: Clip) -> Any:
    """``f(halves, zero, low, high)``: min(max(number + zero, low), high); ``clip`` tells what of it is needed."""
    octets, halves = octets_of(values), halves_tile(values)

    def octet(b: ir.IRBuilder, own: Sequence[ir.Value], given: Sequence[ir.Value]) -> ir.Value:
        for number in given[:1]:
            zero = splat(b, b.trunc(number, I16), halves.lanes)
            own = [call_intrinsic(b, f"llvm.sadd.sat.{mangled(v.type)}", v.type, [v, zero]) for v in own]
        out = clipped(b, all_of(b, *own), 0, 2**BYTE_BITS - 1, I8)
        for name, bound in zip(("umax", "umin"), given[1:], strict=False):
            limit = splat(b, b.trunc(bound, I8), _OCTETS)
            out = call_intrinsic(b, f"llvm.{name}.{mangled(out.type)}", out.type, [out, limit])
        # Put off behind the sums of the next channel, it would take the registers of both.
        return made_here(b, out) if dot.is_arm else out

    def emit(b: ir.IRBuilder, block: ir.Value, *given: ir.Value) -> list[ir.Value]:
        numbers, needed = halves._split(b, block), clip.arguments(*given)
        return [octet(b, numbers[i : i + 2], needed) for i in range(0, halves.count, 2)]

    return octets._intrinsic([halves.type, *[types.int64] * 3], octets.type, emit)


def store_octets(pixels: Tile) -> Any:
    """``f(pointer, row_stride, a, b, c, d)``: store the bytes of four channels as quads."""
    octets = octets_of(pixels)

    def emit(b: ir.IRBuilder, pointer: ir.Value, stride: ir.Value, *given: ir.Value) -> None:
        channels = [octets._split(b, block) for block in given]
        for row, start in enumerate(pixels._row_starts(b, pointer, stride)):
            for j, count in _parts(pixels.vectors):
                vector, lane = divmod(j, QUAD)
                own = [channel[row * octets.vectors + vector] for channel in channels]
                numbers = range(pixels.lanes * lane, pixels.lanes * (lane + count))
                quads = _in_turns(b, own, numbers)
                to = typed_pointer(b, displaced(b, start, j * pixels.vector_bytes), quads.type)
                b.store(quads, to).align = pixels.item

    return pixels._intrinsic([types.int64] * 2 + [octets.type] * QUAD, types.void, emit)


def _parts(vectors: int) -> list[tuple[int, int]]:
    """First and number of the vectors that are stored together: four, two or one."""
    parts, first = [], 0
    while first < vectors:
        count = next(n for n in (4, 2, 1) if first + n <= vectors)
        parts.append((first, count))
        first += count
    return parts


def _in_turns(b: ir.IRBuilder, channels: Sequence[ir.Value], numbers: range) -> ir.Value:
    """The bytes of these numbers of all four channels in turns."""
    halves = [all_of(b, *channels[:2]), all_of(b, *channels[2:])]
    order = [number + _OCTETS * channel for number in numbers for channel in range(QUAD)]
    return b.shuffle_vector(*halves, ir.Constant(ir.VectorType(llvm.I32, len(order)), order))


def steps_of_channel(pixels: Tile, channel: int) -> Any:
    """``f(quads, zero)``: as float32, how many steps the byte of one channel of each quad is from ``zero``.

    A byte below the leading bits of 2**23 is 2**23 + byte, so one subtraction takes the place of two and a conversion.
    """
    values = Tile(F32, pixels.lanes, pixels.rows, pixels.vectors)
    leading = np.float32(2**23).view(np.int32).item()

    def emit(b: ir.IRBuilder, quads: ir.Value, zero: ir.Value) -> list[ir.Value]:
        start = b.bitcast(b.add(b.trunc(zero, llvm.I32), llvm.I32(leading)), llvm.F32)
        middle, low = splat(b, start, pixels.lanes), constant(2**BYTE_BITS - 1, pixels._vector)
        distance, high = constant(BYTE_BITS * channel, pixels._vector), constant(leading, pixels._vector)
        out = []
        for vector in pixels._split(b, quads):
            byte = b.and_(b.lshr(vector, distance), low)
            out.append(b.fsub(b.bitcast(b.or_(byte, high), values._vector), middle))
        return out

    return values._intrinsic([pixels.type, types.int64], values.type, emit)
