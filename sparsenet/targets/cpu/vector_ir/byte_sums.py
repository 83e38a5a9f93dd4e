"""Sums of bytes, channel by channel of quads: in 16 bits, two channels to a vector, as far as those reach.

A tile of pairs has two ``outputs``: channels 0 and 2 of every quad in turns, and channels 1 and 3.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from sparsenet.graph.types import I32, QUAD, U16
from sparsenet.targets.cpu.vector_ir.llvm import constant
from sparsenet.targets.cpu.vector_ir.tile import Tile

#: As many bytes a sum in 16 bits holds.
MOST_BYTES = 257


def pairs_of(pixels: Tile) -> Tile:
    """The tile of sums in 16 bits over a tile of quads."""
    return Tile(U16, 2 * pixels.lanes, pixels.rows, pixels.vectors, 2)


def add_bytes(pixels: Tile) -> Any:
    """``f(pairs, quads)``: pairs plus the bytes of each quad."""
    pairs = pairs_of(pixels)

    def emit(b: ir.IRBuilder, acc: ir.Value, quads: ir.Value) -> list[ir.Value]:
        words = [b.bitcast(vector, pairs._vector) for vector in pixels._split(b, quads)]
        low, byte = constant(0xFF, pairs._vector), constant(8, pairs._vector)
        terms = [b.and_(word, low) for word in words] + [b.lshr(word, byte) for word in words]
        return [b.add(total, term) for total, term in zip(pairs._split(b, acc), terms, strict=True)]

    return pairs._intrinsic([pairs.type, pixels.type], pairs.type, emit)


def spread_pairs(pixels: Tile) -> Any:
    """``f(pairs)``: the sums as int32, in a tile of four ``outputs``."""
    pairs, sums = pairs_of(pixels), Tile(I32, pixels.lanes, pixels.rows, pixels.vectors, QUAD)

    def emit(b: ir.IRBuilder, acc: ir.Value) -> list[ir.Value]:
        words = [b.bitcast(vector, sums._vector) for vector in pairs._split(b, acc)]
        low, half = constant(0xFFFF, sums._vector), constant(16, sums._vector)
        return [b.and_(word, low) for word in words] + [b.lshr(word, half) for word in words]

    return sums._intrinsic([pairs.type], sums.type, emit)
