"""Bytes of one channel after the other, on AArch64: each is made as short as 16 bits before the next is computed.

So a tile of four channels needs registers for one channel's sums, and half as many for each that is done.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph.types import QUAD, U16
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import I8, I16, call_intrinsic, mangled, splat
from sparsenet.targets.cpu.vector_ir.quads import all_of, rounded, within
from sparsenet.targets.cpu.vector_ir.tile import Tile
from sparsenet.targets.family import Dot


def shorts_of(values: Tile) -> Tile:
    """The tile of 16 bits over a tile of four lanes: two vectors become one, of an odd number the last with itself."""
    return Tile(U16, 2 * values.lanes, 1, -(-values.rows * values.vectors // 2))


def narrow_channel(values: Tile) -> Any:
    """``f(values)``: float32 rounded to integers, half to even, and clipped to 16 bits."""
    shorts = shorts_of(values)
    short = ir.VectorType(I16, values.lanes)

    def emit(b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        integers = rounded(b, values, block, Dot.SMULL)
        parts = [call_intrinsic(b, f"llvm.aarch64.neon.sqxtn.{mangled(short)}", short, [v]) for v in integers]
        return [all_of(b, parts[i], parts[min(i + 1, len(parts) - 1)]) for i in range(0, len(parts), 2)]

    return shorts._intrinsic([values.type], shorts.type, emit)


def join_channels(pixels: Tile, *, bounded: bool = True) -> Any:
    """``f(a, b, c, d, zero, low, high)``: quads of what ``narrow_channel`` made of four channels; as ``pack_quads``."""
    shorts = shorts_of(pixels)
    few = ir.VectorType(I8, shorts.lanes)
    lanes, half = shorts.lanes, shorts.lanes // 2

    def emit(b: ir.IRBuilder, *given: ir.Value) -> list[ir.Value]:
        channels, bounds = [shorts._split(b, block) for block in given[:QUAD]], given[QUAD:]
        out: list[ir.Value] = []
        for same in zip(*channels, strict=True):
            words = list(same)
            if bounded:
                zero = splat(b, b.trunc(bounds[0], I16), lanes)
                words = [
                    call_intrinsic(b, f"llvm.sadd.sat.{mangled(v.type)}", v.type, [v, zero]) for v in words
                ]
            octets = [call_intrinsic(b, f"llvm.aarch64.neon.sqxtun.{mangled(few)}", few, [v]) for v in words]
            # Channels in turns by pairs, then pairs in turns.
            pairs = [_in_turns(b, x, y) for x, y in (octets[:2], octets[2:])]
            both = [b.bitcast(pair, shorts._vector) for pair in pairs]
            for start in (0, half):
                order = [start + i // 2 + (lanes if i % 2 else 0) for i in range(lanes)]
                quads = b.shuffle_vector(*both, ir.Constant(ir.VectorType(llvm.I32, lanes), order))
                octet = b.bitcast(quads, ir.VectorType(I8, 2 * lanes))
                out.append(b.bitcast(within(b, octet, bounds[1:] if bounded else ()), pixels._vector))
        return out[: pixels.count]

    return pixels._intrinsic([*[shorts.type] * QUAD, *[types.int64] * 3], pixels.type, emit)


def _in_turns(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """The lanes of x and y in turns."""
    count = x.type.count
    order = [i // 2 + (count if i % 2 else 0) for i in range(2 * count)]
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(llvm.I32, 2 * count), order))
