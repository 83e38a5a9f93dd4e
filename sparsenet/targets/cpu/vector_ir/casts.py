"""Between float32 and bytes: the steps of a grid that numbers are nearest to, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph.types import F32, U8, U8X4
from sparsenet.targets.cpu.device import inlined
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import call_intrinsic, fma, mangled, splat
from sparsenet.targets.cpu.vector_ir.quads import BYTE_BITS
from sparsenet.targets.cpu.vector_ir.tile import Tile

#: Steps from 0 beyond which no grid of bytes reaches, whatever its zero point.
FARTHEST = 512.0
#: Scales within these bounds divide by products: none of them overflows, or underflows where the result is not 0.
LEAST_DIVISOR, MOST_DIVISOR = 2.0**-60, 2.0**60


def steps(floats: Tile) -> Any:
    """``f(tile, scale)``: float32 ÷ scale, rounded to the nearest, within ``FARTHEST`` of 0; NaN becomes the least."""
    by_division, by_products = _by_division(floats), _by_products(floats)

    def choose(values, scale):  # type: ignore[no-untyped-def]
        if LEAST_DIVISOR <= scale <= MOST_DIVISOR:
            return by_products(values, scale)
        return by_division(values, scale)

    return inlined(choose, exact=True) if {"fma", "neon"} & cpu_features() else by_division


def _by_division(floats: Tile) -> Any:
    def emit(b: ir.IRBuilder, block: ir.Value, scale: ir.Value) -> list[ir.Value]:
        divisor, most = splat(b, scale, floats.lanes), floats._constant(FARTHEST)
        return [_near(b, b.fdiv(value, divisor), most) for value in floats._split(b, block)]

    return floats._intrinsic([floats.type, types.float32], floats.type, emit)


def _by_products(floats: Tile) -> Any:
    """The same numbers to the bit in a third of the time: the scale's reciprocal, to 48 bits, is made once.

    The quotient by it is one of the two float32 numbers next to the true one, and so the remainder exact, with which
    Markstein's step rounds correctly (Brisebarre, Muller and Raina, IEEE Transactions on Computers 53(8), 2004).
    """

    def emit(b: ir.IRBuilder, block: ir.Value, scale: ir.Value) -> list[ir.Value]:
        one, divisor = floats._constant(1.0), splat(b, scale, floats.lanes)
        most, minus = b.fmul(divisor, floats._constant(FARTHEST)), b.fneg(divisor)
        high = b.fdiv(one, divisor)
        low = b.fdiv(fma(b, minus, high, one), divisor)
        out = []
        for number in floats._split(b, block):
            value = _near(b, number, most)
            quotient = fma(b, value, high, b.fmul(value, low))
            out.append(fma(b, fma(b, minus, quotient, value), high, quotient))
        return out

    return floats._intrinsic([floats.type, types.float32], floats.type, emit)


def _near(b: ir.IRBuilder, value: ir.Value, most: ir.Value) -> ir.Value:
    """Float32 no farther from 0 than ``most``."""
    least = b.fneg(most)
    above = b.select(b.fcmp_ordered(">", value, least), value, least)
    return b.select(b.fcmp_ordered("<", above, most), above, most)


def to_bytes(floats: Tile) -> Any:
    """``f(values, zero)``: a byte of each float32: rint(value) + zero, half to even, within 0 and 255."""
    octets = Tile(U8, floats.lanes, floats.rows, floats.vectors)
    integers = ir.VectorType(llvm.I32, floats.lanes)

    def emit(b: ir.IRBuilder, block: ir.Value, start: ir.Value) -> list[ir.Value]:
        zero, limits = splat(b, b.trunc(start, llvm.I32), floats.lanes), {"smax": 0, "smin": 255}
        out = []
        for value in floats._split(b, block):
            whole = call_intrinsic(b, f"llvm.rint.{mangled(floats._vector)}", floats._vector, [value])
            steps = b.add(b.fptosi(whole, integers), zero)
            for name, limit in limits.items():
                bound = llvm.constant(limit, integers)
                steps = call_intrinsic(b, f"llvm.{name}.{mangled(integers)}", integers, [steps, bound])
            out.append(b.trunc(steps, octets._vector))
        return out

    return octets._intrinsic([floats.type, types.int64], octets.type, emit)


def within(octets: Tile) -> Any:
    """``f(bytes, low, high)``: each byte brought to between the bytes at its place in two other tiles."""

    def emit(b: ir.IRBuilder, block: ir.Value, *limits: ir.Value) -> list[ir.Value]:
        vectors = octets._split(b, block)
        for name, limit in zip(("umax", "umin"), limits, strict=True):
            full, kind = f"llvm.{name}.{mangled(octets._vector)}", octets._vector
            pairs = zip(vectors, octets._split(b, limit), strict=True)
            vectors = [call_intrinsic(b, full, kind, list(pair)) for pair in pairs]
        return vectors

    return octets._intrinsic([octets.type] * 3, octets.type, emit)


def from_bytes(octets: Tile) -> Any:
    """``f(bytes, zero)``: as float32, how many steps each is from ``zero``."""
    floats = Tile(F32, octets.lanes, octets.rows, octets.vectors)
    integers = ir.VectorType(llvm.I32, octets.lanes)

    def emit(b: ir.IRBuilder, block: ir.Value, zero: ir.Value) -> list[ir.Value]:
        middle = splat(b, b.trunc(zero, llvm.I32), octets.lanes)
        return [
            b.sitofp(b.sub(b.zext(value, integers), middle), floats._vector)
            for value in octets._split(b, block)
        ]

    return floats._intrinsic([octets.type, types.int64], floats.type, emit)


def channel_of_quads(pixels: Tile) -> Any:
    """``f(quads, channel, zero)``: as float32, how many steps one byte of each quad, 0 to 3, is from ``zero``."""
    floats = Tile(F32, pixels.lanes, pixels.rows, pixels.vectors)

    def emit(b: ir.IRBuilder, quads: ir.Value, channel: ir.Value, zero: ir.Value) -> list[ir.Value]:
        shift = splat(b, b.trunc(b.mul(channel, llvm.I64(BYTE_BITS)), llvm.I32), pixels.lanes)
        middle, low = splat(b, b.trunc(zero, llvm.I32), pixels.lanes), pixels._constant(0xFF)
        steps = [b.sub(b.and_(b.lshr(v, shift), low), middle) for v in pixels._split(b, quads)]
        return [b.sitofp(step, floats._vector) for step in steps]

    return floats._intrinsic([pixels.type, types.int64, types.int64], floats.type, emit)


def byte_of_quads(pixels: Tile) -> Any:
    """``f(quads, channel)``: one byte of each quad, 0 to 3."""
    octets = Tile(U8, pixels.lanes, pixels.rows, pixels.vectors)

    def emit(b: ir.IRBuilder, quads: ir.Value, channel: ir.Value) -> list[ir.Value]:
        shift = splat(b, b.trunc(b.mul(channel, llvm.I64(BYTE_BITS)), llvm.I32), pixels.lanes)
        return [b.trunc(b.lshr(vector, shift), octets._vector) for vector in pixels._split(b, quads)]

    return octets._intrinsic([pixels.type, types.int64], octets.type, emit)


def quads_of_bytes(octets: Tile) -> Any:
    """``f(a, b, c, d)``: the bytes of four channels as quads."""
    pixels = Tile(U8X4, octets.lanes, octets.rows, octets.vectors)

    def emit(b: ir.IRBuilder, *channels: ir.Value) -> list[ir.Value]:
        apart = [octets._split(b, channel) for channel in channels]
        return [_quads(b, pixels, bytes_) for bytes_ in zip(*apart, strict=True)]

    return pixels._intrinsic([octets.type] * 4, pixels.type, emit)


def _quads(b: ir.IRBuilder, pixels: Tile, channels: Sequence[ir.Value]) -> ir.Value:
    quads = pixels._constant(0)
    for number, channel in enumerate(channels):
        wide = b.zext(channel, pixels._vector)
        quads = b.or_(quads, b.shl(wide, pixels._constant(BYTE_BITS * number)))
    return quads
