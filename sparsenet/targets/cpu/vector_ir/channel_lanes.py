"""Tiles whose lanes are channels: products with single pixels, and their transposition so that lanes become pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import (
    I32,
    displaced,
    fma,
    number_at,
    prefetch_ahead,
    shuffled,
)

#: Lanes that move together when a square is transposed.
QUAD = 4


def channel_product(sums: Block, rows: int, stride: int, together: int = 1) -> Any:
    """``f(acc, weights, x, row_stride)``: acc[pixel][channel] += x[pixel] * w[channel].

    ``sums`` holds a row of vectors per ``together`` neighbouring pixels; a vector holds ``lanes / together`` channels,
    each for those pixels. The pixels are those of ``rows`` image rows, neighbours ``stride`` numbers apart (1 if
    ``together`` is more). ``weights`` points to those of consecutive channels, each ``together`` times.
    """
    columns = sums.rows // rows

    def emit(
        b: ir.IRBuilder, acc: ir.Value, weights: ir.Value, x: ir.Value, row_stride: ir.Value
    ) -> list[ir.Value]:
        old = sums._split(b, acc)
        new: list[ir.Value] = []
        prefetch_ahead(b, weights, sums.vectors * sums.vector_bytes)
        ws = [sums._load(b, displaced(b, weights, j * sums.vector_bytes)) for j in range(sums.vectors)]
        for row in range(rows):
            x = b.add(x, row_stride) if row else x
            for column in range(columns):
                start = displaced(b, x, column * together * stride * sums.item)
                value = _repeated(b, start, together, sums)
                new += [fma(b, value, w, old[len(new) + j]) for j, w in enumerate(ws)]
        return new

    return sums._intrinsic([sums.type, *[types.int64] * 3], sums.type, emit)


def _repeated(b: ir.IRBuilder, address: ir.Value, together: int, sums: Block) -> ir.Value:
    """The ``together`` numbers at ``address``, again and again."""
    if together == 1:
        return sums._splat(b, number_at(b, address, sums.element, 0))
    numbers = ir.Constant(ir.VectorType(I32, sums.lanes), [i % together for i in range(sums.lanes)])
    few = Block(sums.element, together)._load(b, address)
    return b.shuffle_vector(few, few, numbers)


def channel_start(sums: Block, together: int) -> Any:
    """``f(pointer)``: the numbers of consecutive channels, in every pixel of a tile as ``channel_product`` has it."""

    def emit(b: ir.IRBuilder, pointer: ir.Value) -> list[ir.Value]:
        channels = Block(sums.element, sums.lanes // together)
        row = []
        for j in range(sums.vectors):
            few = channels._load(b, displaced(b, pointer, j * channels.vector_bytes))
            numbers = ir.Constant(ir.VectorType(I32, sums.lanes), [i // together for i in range(sums.lanes)])
            row.append(b.shuffle_vector(few, few, numbers))
        return row * sums.rows

    return sums._intrinsic([types.int64], sums.type, emit)


def transpose_square(square: Block) -> Any:
    """``f(tile)``: a square of blocks, transposed: block i of vector j becomes block j of vector i.

    A vector has as many blocks as the tile has vectors: blocks of one number or of a quad.
    """

    def emit(b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        vectors = square._split(b, block)
        if square.count < square.lanes:
            return _transpose_quads(b, vectors)
        # Squares of quads first, then the quads among themselves: where a quad is 128 bits, as of floats, each shuffle
        # is one instruction.
        quads = [_transpose_within_quads(b, vectors[i : i + QUAD]) for i in range(0, square.lanes, QUAD)]
        columns = [_transpose_quads(b, [quad[c] for quad in quads]) for c in range(QUAD)]
        return [columns[i % QUAD][i // QUAD] for i in range(square.lanes)]

    return square._intrinsic([square.type], square.type, emit)


def _transpose_within_quads(b: ir.IRBuilder, v: Sequence[ir.Value]) -> list[ir.Value]:
    lanes = v[0].type.count

    def interleaved(x: ir.Value, y: ir.Value, first: int, size: int) -> ir.Value:
        """In each quad: ``size`` numbers of x from ``first`` on, those of y, and again from the next numbers."""

        def lane(i: int) -> int:
            within = i % QUAD
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
        halves = [shuffled(b, x, y, lambda i: (2 * (i // QUAD) + first) * QUAD + i % QUAD) for x, y in pairs]
        return _transpose_quads(b, halves)

    return [quad for both in zip(every_second(0), every_second(1), strict=True) for quad in both]
