"""Products over a panel: the pixels of a tile, copied so that those of a tap are behind each other."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.targets.cpu.vector_ir.llvm import I32, I64, displaced, typed_pointer
from sparsenet.targets.cpu.vector_ir.quads import ready, ready_product
from sparsenet.targets.cpu.vector_ir.steps import counted_loop
from sparsenet.targets.cpu.vector_ir.tile import Tile
from sparsenet.targets.family import Dot

#: A quad of weights and the offset of its tap, int32 each.
_STEP_BYTES = 8


def made_ready(pixels: Tile, dot: Dot) -> Any:
    """``f(quads)``: as ``multiply_stream`` takes them."""
    return pixels._elementwise(lambda b, x: ready(b, dot, x), 1)


def multiply_stream(sums: Tile, pixels: Tile, dot: Dot) -> Any:
    """``f(acc, stream, count, panel)``: acc plus ``count`` quads of weights times the pixels of their taps.

    Steps are taken two at a time: one load brings two quads of weights, from which products take theirs by number.
    """
    product = ready_product(dot)
    both = ir.VectorType(I32, 4)

    def step(
        b: ir.IRBuilder, totals: list[ir.Value], words: ir.Value, number: int, start: ir.Value
    ) -> list[ir.Value]:
        lane = ir.Constant(ir.VectorType(I32, sums.lanes), [2 * number] * sums.lanes)
        weights = b.shuffle_vector(words, words, lane)
        return [
            product(b, weights, pixels._load(b, displaced(b, start, j * pixels.vector_bytes)), total)
            for j, total in enumerate(totals)
        ]

    def taken(b: ir.IRBuilder, stream: ir.Value) -> ir.Value:
        words = b.load(typed_pointer(b, stream, both))
        words.align = 4
        return words

    def place(b: ir.IRBuilder, stream: ir.Value, number: int, panel: ir.Value) -> ir.Value:
        offset = b.load(typed_pointer(b, displaced(b, stream, number * _STEP_BYTES + 4), I32))
        return b.add(panel, b.sext(offset, I64))

    def emit(
        b: ir.IRBuilder, acc: ir.Value, stream: ir.Value, count: ir.Value, panel: ir.Value
    ) -> list[ir.Value]:
        def two(now: list[ir.Value]) -> list[ir.Value]:
            at, *totals = now
            words, starts = taken(b, at), [place(b, at, number, panel) for number in (0, 1)]
            for number, start in enumerate(starts):
                totals = step(b, totals, words, number, start)
            return [displaced(b, at, 2 * _STEP_BYTES), *totals]

        def last(now: list[ir.Value]) -> list[ir.Value]:
            at, *totals = now
            return [at, *step(b, totals, taken(b, at), 0, place(b, at, 0, panel))]

        one = ir.Constant(I64, 1)
        carried = counted_loop(b, b.lshr(count, one), [stream, *sums._split(b, acc)], two)
        return counted_loop(b, b.and_(count, one), carried, last)[1:]

    return sums._intrinsic([sums.type, *[types.int64] * 3], sums.type, emit)
