"""Tiles whose lanes are channels: products with single pixels, and turning them so that lanes become pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import (
    F32,
    I32,
    displaced,
    fma,
    prefetch_ahead,
    shuffled,
    splat,
    typed_pointer,
    vector_type,
)


def channel_product(sums: Block, rows: int, stride: int, together: int = 1) -> Any:
    """``f(acc, weights, x, row_stride)``: acc[pixel][channel] += x[pixel] * w[channel].

    ``sums`` holds a row of vectors per ``together`` neighbouring pixels; a vector holds ``lanes / together`` channels,
    each for those pixels. The pixels are those of ``rows`` image rows, neighbours ``stride`` floats apart (1 if
    ``together`` is more). ``weights`` points to the float32 of consecutive channels, each ``together`` times.
    """
    columns = sums.rows // rows

    def emit(
        b: ir.IRBuilder, acc: ir.Value, weights: ir.Value, x: ir.Value, row_stride: ir.Value
    ) -> list[ir.Value]:
        old = sums._split(b, acc)
        new: list[ir.Value] = []
        prefetch_ahead(b, weights, sums.vectors * sums.lanes * 4)
        ws = [sums._load(b, displaced(b, weights, j * sums.lanes * 4)) for j in range(sums.vectors)]
        for row in range(rows):
            x = b.add(x, row_stride) if row else x
            for column in range(columns):
                start = displaced(b, x, column * together * stride * 4)
                value = _repeated(b, start, together, sums.lanes)
                new += [fma(b, value, w, old[len(new) + j]) for j, w in enumerate(ws)]
        return new

    return sums._intrinsic([sums.type, *[types.int64] * 3], sums.type, emit)


def _repeated(b: ir.IRBuilder, address: ir.Value, together: int, lanes: int) -> ir.Value:
    """The ``together`` floats at ``address``, again and again."""
    if together == 1:
        return splat(b, b.load(typed_pointer(b, address, F32)), lanes)
    few = b.load(typed_pointer(b, address, vector_type(together)))
    few.align = 4
    return b.shuffle_vector(
        few, few, ir.Constant(ir.VectorType(I32, lanes), [i % together for i in range(lanes)])
    )


def channel_start(sums: Block, together: int) -> Any:
    """``f(pointer)``: the float32 of consecutive channels, in every pixel of a tile as ``channel_product`` has it."""

    def emit(b: ir.IRBuilder, pointer: ir.Value) -> list[ir.Value]:
        channels = sums.lanes // together
        row = []
        for j in range(sums.vectors):
            few = b.load(typed_pointer(b, displaced(b, pointer, j * channels * 4), vector_type(channels)))
            few.align = 4
            numbers = ir.Constant(ir.VectorType(I32, sums.lanes), [i // together for i in range(sums.lanes)])
            row.append(b.shuffle_vector(few, few, numbers))
        return row * sums.rows

    return sums._intrinsic([types.int64], sums.type, emit)


def turn(square: Block) -> Any:
    """``f(tile)``: a square of blocks, turned: block i of vector j becomes block j of vector i.

    A vector has as many blocks as the tile has vectors: blocks of one float or of four.
    """

    def emit(b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        vectors = square._split(b, block)
        if square.count < square.lanes:
            return _transpose_quads(b, vectors)
        # 4x4 within each 128 bits, then the 128-bit blocks among themselves: one instruction per shuffle.
        quads = [_transpose_within_quads(b, vectors[i : i + 4]) for i in range(0, square.lanes, 4)]
        columns = [_transpose_quads(b, [quad[c] for quad in quads]) for c in range(4)]
        return [columns[i % 4][i // 4] for i in range(square.lanes)]

    return square._intrinsic([square.type], square.type, emit)


def _transpose_within_quads(b: ir.IRBuilder, v: Sequence[ir.Value]) -> list[ir.Value]:
    lanes = v[0].type.count

    def interleaved(x: ir.Value, y: ir.Value, first: int, size: int) -> ir.Value:
        """In each quad: ``size`` floats of x from ``first`` on, those of y, and again from the next floats."""

        def lane(i: int) -> int:
            within = i % 4
            part, step = (within // size) % 2, within % size + size * (within // (2 * size))
            return part * lanes + i - within + first + step

        return shuffled(b, x, y, lane)

    low = [interleaved(v[i], v[i + 1], 0, 1) for i in (0, 2)]
    high = [interleaved(v[i], v[i + 1], 2, 1) for i in (0, 2)]
    return [interleaved(x, y, first, 2) for x, y in (low, high) for first in (0, 2)]


def _transpose_quads(b: ir.IRBuilder, v: Sequence[ir.Value]) -> list[ir.Value]:
    """Quad i of vector j becomes quad j of vector i: the even quads of neighbours, the odd ones, and so on within."""
    if len(v) == 1:
        return list(v)

    def every_second(first: int) -> list[ir.Value]:
        pairs = zip(v[::2], v[1::2], strict=True)
        halves = [shuffled(b, x, y, lambda i: (2 * (i // 4) + first) * 4 + i % 4) for x, y in pairs]
        return _transpose_quads(b, halves)

    return [quad for both in zip(every_second(0), every_second(1), strict=True) for quad in both]
