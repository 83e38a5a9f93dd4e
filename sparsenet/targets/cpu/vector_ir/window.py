"""Sliding windows in registers: each vector of a source row is loaded once, its neighbours are cut out by shuffles.

A load that crosses a cache line costs two, and a window of three columns has two such loads per vector; a shuffle
costs half of that. Windows that step by two columns split even from odd columns once per source row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph import types as elements
from sparsenet.graph.types import ElementType
from sparsenet.targets.cpu.vector_ir.llvm import I32, I64, displaced, extreme, fma, has_extremes, number_at
from sparsenet.targets.cpu.vector_ir.tile import Tile

Lane = tuple[ir.Value, int]


class Span(Tile):
    """The vectors of one source row that ``vectors`` vectors of output see through windows of adjacent columns.

    Args:
        element: what the columns hold.
        lanes: numbers per vector.
        vectors: vectors of output pixels.
        columns: columns of the window, one number apart.
        stride: 1 or 2 columns from one output pixel to the next.
        before: columns of the window left of the source column that is first in a vector (the left padding:
            that column is the only one whose loads are aligned).
        whole_line: only zeros are left and right of what the aligned columns read; they are not loaded.
    """

    def __init__(
        self,
        element: ElementType,
        lanes: int,
        vectors: int,
        columns: int,
        stride: int,
        before: int,
        whole_line: bool = False,
    ) -> None:
        self.columns, self.stride, self.before = columns, stride, before
        self.first, last = -before // lanes, ((vectors * lanes - 1) * stride + columns - 1 - before) // lanes
        if whole_line:
            self.first, last = 0, min(last, vectors * stride - 1)
        super().__init__(element, lanes, 1, last - self.first + 1)
        self.pixels = Tile(element, lanes, 1, vectors)
        #: From the first column of the first window to the first number of the span, in bytes.
        self.start = (self.first * lanes + before) * self.item

    def cut(self, b: ir.IRBuilder, row: Sequence[ir.Value], column: int) -> list[ir.Value]:
        """What every output pixel sees in one column of its window; ``row`` holds the vectors of the span."""
        distance, parity = divmod(column - self.before, self.stride)
        lanes, count, zeros = self.lanes, self.pixels.count, self._constant(0)

        def source(number: int) -> Lane:
            vector, lane = divmod(number, lanes)
            inside = self.first <= vector < self.first + self.count
            return (row[vector - self.first] if inside else zeros), lane

        def split(n: int) -> ir.Value:
            """Every stride-th column, as it falls on pixel boundaries, for vector ``n`` of pixels."""
            return _pick(b, [source((n * lanes + i) * self.stride + parity) for i in range(lanes)])

        aligned = [split(n) for n in range(count)]

        def pixel(number: int) -> Lane:
            vector, lane = divmod(number, lanes)
            return (aligned[vector], lane) if 0 <= vector < count else source(number * self.stride + parity)

        def shifted(first: int) -> ir.Value:
            """The pixels from ``first`` on: a shift of those vectors, and of what little is left and right of them."""
            chosen = [pixel(first + i) for i in range(lanes)]
            if len({id(vector) for vector, _ in chosen}) > 2:  # all of it is: padding wider than a vector
                vectors = {n: split(n) for n in (first // lanes, first // lanes + 1)}
                chosen = [(vectors[(first + i) // lanes], (first + i) % lanes) for i in range(lanes)]
            return _pick(b, chosen)

        return [shifted(n * lanes + distance) for n in range(count)]

    def largest_column(self) -> Any:
        """``f(span)``: the largest of each pixel's window columns; NaN if one is NaN."""

        def emit(b: ir.IRBuilder, span: ir.Value) -> list[ir.Value]:
            row = self._split(b, span)
            columns = [self.cut(b, row, k) for k in range(self.columns)]
            return [largest(self, b, values) for values in zip(*columns, strict=True)]

        return self.pixels._intrinsic([self.type], self.pixels.type, emit)

    def largest_column_inside(self) -> Any:
        """``f(span, bits, step)``: as ``largest_column``, of the columns that lie inside the source.

        Bit i of the mask at ``bits + column * step + mask_bytes * vector`` tells it for lane i.
        """

        def emit(b: ir.IRBuilder, span: ir.Value, bits: ir.Value, step: ir.Value) -> list[ir.Value]:
            row, outside = self._split(b, span), self._constant(self.lowest)
            columns = []
            for k in range(self.columns):
                masks = [
                    self._bit_mask(b, displaced(b, bits, j * self.mask_bytes))
                    for j in range(self.pixels.count)
                ]
                values = self.cut(b, row, k)
                columns.append([b.select(m, v, outside) for m, v in zip(masks, values, strict=True)])
                bits = b.add(bits, step)
            return [largest(self, b, values) for values in zip(*columns, strict=True)]

        return self.pixels._intrinsic([self.type, types.int64, types.int64], self.pixels.type, emit)


class Correlation:
    """The sums of a window's products, one channel: ``rows`` output rows by the vectors of ``span``.

    Each source row is loaded and cut once, for all output rows whose windows it belongs to: windows step by as many
    rows as columns, and their rows follow each other.
    """

    def __init__(self, span: Span, rows: int, taps: int) -> None:
        self.span, self.rows, self.window_rows = span, rows, taps // span.columns
        self.pixels = Tile(span.element, span.lanes, rows, span.pixels.vectors)
        self.weights = Tile(span.element, span.lanes, outputs=taps)
        self._starts = types.UniTuple(types.int64, self.window_rows)

    def row_starts(self) -> Any:
        """``f(tap_offsets)``: where the window's rows start, out of the int32 byte offsets of its taps."""

        def emit(b: ir.IRBuilder, offsets: ir.Value) -> ir.Value:
            starts = ir.Constant(ir.ArrayType(I64, self.window_rows), ir.Undefined)
            for row in range(self.window_rows):
                offset = number_at(b, offsets, elements.I32, row * self.span.columns)
                start = b.add(offset, ir.Constant(I64, self.span.start))
                starts = b.insert_value(starts, start, row)
            return starts

        return self.pixels._intrinsic([types.int64], self._starts, emit)

    def accumulate(self) -> Any:
        """``f(acc, weights, source, starts, row_step)``; ``weights`` holds every tap in a vector of its own."""

        def emit(
            b: ir.IRBuilder,
            acc: ir.Value,
            weights: ir.Value,
            source: ir.Value,
            starts: ir.Value,
            row_step: ir.Value,
        ) -> list[ir.Value]:
            span, sums, taps = self.span, self.pixels._split(b, acc), self.weights._split(b, weights)
            rows = [b.add(source, b.extract_value(starts, i)) for i in range(self.window_rows)]
            for row in range((self.rows - 1) * span.stride + self.window_rows):
                if row >= self.window_rows:
                    rows.append(b.add(rows[row - span.stride], row_step))
                vectors = [
                    span._load(b, displaced(b, rows[row], j * span.vector_bytes)) for j in range(span.count)
                ]
                for column in range(span.columns):
                    seen = span.cut(b, vectors, column)
                    for y in range(self.rows):
                        tap = row - y * span.stride
                        if not 0 <= tap < self.window_rows:
                            continue
                        for n, pixels in enumerate(seen, y * len(seen)):
                            sums[n] = fma(b, taps[tap * span.columns + column], pixels, sums[n])
            return sums

        arguments = [self.pixels.type, self.weights.type, types.int64, self._starts, types.int64]
        return self.pixels._intrinsic(arguments, self.pixels.type, emit)


def maximum_of(tile: Tile, count: int) -> Any:
    """``f(x, y, ...)`` of ``count`` tiles: the largest per lane, NaN if one is NaN."""
    return tile._elementwise(lambda b, *vectors: largest(tile, b, vectors), count)


def largest(tile: Tile, b: ir.IRBuilder, vectors: Sequence[ir.Value]) -> ir.Value:
    """The largest per lane of vectors of ``tile``; NaN if one is NaN.

    x86's maximum returns its second operand where they are unordered, so the last vector's NaN survives by itself;
    the others are tested in pairs.
    """
    first, *rest = (tile._apart(b, vector) for vector in vectors)
    if tile.element.is_float and has_extremes():
        return reduce(lambda x, y: extreme(b, ">", x, y), rest, first)
    result = first
    for vector in rest:
        result = b.select(tile._compare(b, ">", result, vector), result, vector)
    others = list(vectors[:-1])
    if not (others and tile.element.is_float):
        return tile._joined(b, result)
    pairs = zip(others[::2], others[1::2] + others[-1:], strict=False)
    unordered = [b.fcmp_unordered("uno", x, y) for x, y in pairs]
    anywhere = unordered[0]
    for mask in unordered[1:]:
        anywhere = b.or_(anywhere, mask)
    return b.select(anywhere, tile._constant(math.nan), result)


def _pick(b: ir.IRBuilder, lanes: Sequence[Lane]) -> ir.Value:
    """A vector with these lanes of at most two vectors."""
    sources: list[ir.Value] = []
    for vector, _ in lanes:
        if vector not in sources:
            sources.append(vector)
    if len(sources) == 1 and [lane for _, lane in lanes] == list(range(len(lanes))):
        return sources[0]
    assert len(sources) <= 2
    first, second = sources[0], sources[-1]
    numbers = [lane + (0 if vector is first else len(lanes)) for vector, lane in lanes]
    return b.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, len(lanes)), numbers))
