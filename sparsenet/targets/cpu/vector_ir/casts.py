"""Between float32 and bytes: the steps of a grid that numbers are nearest to, and back."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph.types import F32, U8
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import call_intrinsic, mangled, splat
from sparsenet.targets.cpu.vector_ir.tile import Tile

#: Steps from 0 beyond which no grid of bytes reaches, whatever its zero point.
FARTHEST = 512.0


def near(floats: Tile) -> Any:
    """``f(tile)``: float32 brought to within ``FARTHEST`` of 0; NaN becomes the least."""

    def emit(b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        least, most = floats._constant(-FARTHEST), floats._constant(FARTHEST)
        out = []
        for value in floats._split(b, block):
            above = b.select(b.fcmp_ordered(">", value, least), value, least)
            out.append(b.select(b.fcmp_ordered("<", above, most), above, most))
        return out

    return floats._intrinsic([floats.type], floats.type, emit)


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
        shift = splat(b, b.trunc(b.mul(channel, llvm.I64(8)), llvm.I32), pixels.lanes)
        middle, low = splat(b, b.trunc(zero, llvm.I32), pixels.lanes), pixels._constant(0xFF)
        steps = [b.sub(b.and_(b.lshr(v, shift), low), middle) for v in pixels._split(b, quads)]
        return [b.sitofp(step, floats._vector) for step in steps]

    return floats._intrinsic([pixels.type, types.int64, types.int64], floats.type, emit)
