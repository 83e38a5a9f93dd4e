"""Windows over quads, each channel by itself: four rows of a window are brought together in one 32-bit number.

A product of quads adds four products (``vector_ir.quads``), which must be of one channel here. So the bytes of four
rows are interleaved: afterwards lane 4 i + c of vector j holds those rows of channel c of pixel 4 i + j. Sums are made
in that order, and packed to bytes they are quads again, in the order of the pixels, without a shuffle on x86.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from sparsenet.graph import types as elements
from sparsenet.graph.types import QUAD, U8X4
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.fixed_point import steps_of_sums
from sparsenet.targets.cpu.vector_ir.llvm import (
    I8,
    I16,
    call_intrinsic,
    displaced,
    mangled,
    number_at,
    splat,
    typed_pointer,
)
from sparsenet.targets.cpu.vector_ir.quads import (
    halves_of,
    narrowed,
    quad_product,
    ready,
    ready_product,
    rounded,
    saturated,
)
from sparsenet.targets.cpu.vector_ir.tile import Tile
from sparsenet.targets.family import CLIP_ANY, Clip, Dot

#: Weights of four channels for four rows.
WEIGHT_BYTES = QUAD * QUAD


class WindowSize(NamedTuple):
    """A window, and how many rows of results are made of what it reads.

    Attributes:
        height, width: rows and columns of the window.
        stride: rows and columns from one result to the next; 1 if ``rows`` is 1 and columns are 1 apart.
        rows: rows of results that share the rows of the input.
    """

    height: int
    width: int
    stride: int
    rows: int

    @property
    def input_rows(self) -> int:
        """Rows of the input that the results read."""
        return self.height + (self.rows - 1) * self.stride

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights of four channels."""
        return (self.height + QUAD - 1) * self.width * WEIGHT_BYTES

    def place(self, first: int, column: int) -> int:
        """Where the weights of four rows of the window, from ``first`` on, are: in bytes, from those of its channels.

        ``first`` is -3 to height - 1: rows that are not in the window have weights of 0. There are four numbers, one
        for each channel, and each has a byte for each of the rows.
        """
        return ((first + QUAD - 1) * self.width + column) * WEIGHT_BYTES

    @property
    def groups(self) -> int:
        """Groups of four rows."""
        return -(-self.input_rows // QUAD)


def per_channel(tile: Tile) -> Any:
    """``f(numbers)``: a number for each of four channels, in the order of the sums: in every lane 4 i + c that of c."""

    def emit(b: ir.IRBuilder, numbers: ir.Value) -> list[ir.Value]:
        return [_repeated(b, numbers, tile)] * tile.count

    return tile._intrinsic([types.int64], tile.type, emit)


def _repeated(b: ir.IRBuilder, address: ir.Value, tile: Tile) -> ir.Value:
    """Four 32-bit numbers in memory, over and over."""
    few = ir.VectorType(tile._scalar, QUAD)
    loaded = b.load(typed_pointer(b, address, few))
    loaded.align = tile.item
    order = ir.Constant(ir.VectorType(llvm.I32, tile.lanes), [i % QUAD for i in range(tile.lanes)])
    return b.shuffle_vector(loaded, loaded, order)


def multiply_windows(size: WindowSize, lanes: int, dot: int) -> Any:
    """``f(acc, weights, source, columns, row_step)``: acc plus the products of a window's weights and pixels.

    Args of f:
        weights: address of the window's weights, see ``WindowSize.place``.
        source: address of the window's first pixel.
        columns: address of the int32 byte offset of each column.
        row_step: bytes from one row of the window to the next; of the input, if there are several rows of results.
    """
    sums = Tile(elements.I32, lanes, size.rows, QUAD)
    row = Tile(U8X4, lanes)
    product = quad_product(dot, lanes)

    def load(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
        if size.stride == 1:
            return row._load(b, address)
        low, high = (row._load(b, displaced(b, address, i * row.vector_bytes)) for i in (0, 1))
        even = ir.Constant(ir.VectorType(llvm.I32, lanes), [2 * i for i in range(lanes)])
        return b.shuffle_vector(low, high, even)

    def emit(b: ir.IRBuilder, acc: ir.Value, *given: ir.Value) -> list[ir.Value]:
        weights, source, columns, step = given
        totals = sums._split(b, acc)
        starts = [source]
        for _ in range(1, size.input_rows):
            starts.append(b.add(starts[-1], step))
        for column in range(size.width):
            offset = number_at(b, columns, elements.I32, column)
            for group in range(size.groups):
                here = starts[group * QUAD : (group + 1) * QUAD]
                rows = [load(b, b.add(start, offset)) for start in here]
                rows += [rows[-1]] * (QUAD - len(rows))
                together = interleaved(b, rows)
                for y in range(size.rows):
                    # The group's rows are those of the window from this one on; maybe none is.
                    first = group * QUAD - y * size.stride
                    if first >= size.height or first + QUAD <= 0:
                        continue
                    w = _repeated(b, displaced(b, weights, size.place(first, column)), sums)
                    for j in range(QUAD):
                        totals[y * QUAD + j] = product(b, w, together[j], totals[y * QUAD + j])
        return totals

    return sums._intrinsic([sums.type, *[types.int64] * 4], sums.type, emit)


def multiply_adjacent(size: WindowSize, dot: int) -> tuple[Any, Any, Any]:
    """``open``, ``read`` and ``multiply`` for vectors of four quads and windows a pixel apart of up to five columns.

    Between columns are no gaps.

    ``open(weights)`` reads a window's weights once for a line.
    Vector j of what ``read(source, row_step)`` makes is pixel j of the four from ``source`` on, in each group of rows.
    ``multiply(acc, opened, here, following)`` is ``multiply_windows`` of four pixels and the four behind them: each
    is read and interleaved once, for all columns of the windows that it belongs to.
    """
    lanes = QUAD
    sums, pixels = Tile(elements.I32, lanes, size.rows, QUAD), Tile(U8X4, lanes, size.groups, QUAD)
    row, product = Tile(U8X4, lanes), ready_product(dot)
    #: Group of rows, row of the results and column of each vector of weights.
    places = [
        (group, y, column)
        for group in range(size.groups)
        for y in range(size.rows)
        for column in range(size.width)
        if -QUAD < group * QUAD - y < size.height
    ]
    opened = Tile(elements.I32, lanes, outputs=len(places))

    def open_weights(b: ir.IRBuilder, weights: ir.Value) -> list[ir.Value]:
        starts = [size.place(group * QUAD - y, column) for group, y, column in places]
        return [_repeated(b, displaced(b, weights, start), sums) for start in starts]

    def read(b: ir.IRBuilder, source: ir.Value, step: ir.Value) -> list[ir.Value]:
        starts = [source]
        for _ in range(1, size.input_rows):
            starts.append(b.add(starts[-1], step))
        out = []
        for group in range(size.groups):
            rows = [ready(b, dot, row._load(b, start)) for start in starts[group * QUAD : (group + 1) * QUAD]]
            out += interleaved(b, rows + [rows[-1]] * (QUAD - len(rows)))
        return out

    def multiply(b: ir.IRBuilder, acc: ir.Value, weights: ir.Value, *blocks: ir.Value) -> list[ir.Value]:
        totals, (here, following) = sums._split(b, acc), (pixels._split(b, block) for block in blocks)
        for (group, y, column), w in zip(places, opened._split(b, weights), strict=True):
            seen = [part[group * QUAD + j] for part in (here, following) for j in range(QUAD)]
            for j in range(QUAD):
                totals[y * QUAD + j] = product(b, w, seen[j + column], totals[y * QUAD + j])
        return totals

    return (
        opened._intrinsic([types.int64], opened.type, open_weights),
        pixels._intrinsic([types.int64] * 2, pixels.type, read),
        sums._intrinsic([sums.type, opened.type, pixels.type, pixels.type], sums.type, multiply),
    )


def interleaved(b: ir.IRBuilder, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """Four vectors of quads as four of the bytes of one channel and pixel in all rows: lanes as the module says."""
    kind = rows[0].type
    octets, words = ir.VectorType(I8, QUAD * kind.count), ir.VectorType(I16, 2 * kind.count)
    a, c, d, e = (b.bitcast(row, octets) for row in rows)
    halves = [(_zip(b, a, c, 16, upper), _zip(b, d, e, 16, upper)) for upper in (False, True)]
    out = []
    for first, second in halves:
        pair = b.bitcast(first, words), b.bitcast(second, words)
        out += [b.bitcast(_zip(b, *pair, 8, upper), kind) for upper in (False, True)]
    return out


def _zip(b: ir.IRBuilder, x: ir.Value, y: ir.Value, block: int, upper: bool) -> ir.Value:
    """The lower or upper halves of every ``block`` numbers (128 bits) of x and y, in turns."""
    count, half = x.type.count, block // 2
    order = []
    for at in range(0, count, block):
        for i in range(half):
            place = at + i + (half if upper else 0)
            order += [place, count + place]
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(llvm.I32, count), order))


def pack_windows(size: WindowSize, lanes: int, dot: int, clip: Clip = CLIP_ANY) -> Any:
    """``f(values, zero, low, high)``: quads of float32 in the order of the sums; otherwise as ``pack_quads``.

    ``clip`` tells what else is known of the numbers; only AArch64 gains by it.
    """
    floats = Tile(elements.F32, lanes, size.rows, QUAD)
    pixels = Tile(U8X4, lanes, size.rows, 1)

    def join(b: ir.IRBuilder, sums: Sequence[ir.Value], given: Sequence[ir.Value]) -> ir.Value:
        if Dot(dot).is_arm:
            halves = halves_of(b, sums, words=Clip.WORDS in clip)
            return narrowed(b, halves, clip.arguments(*given), _bytes_in_order(lanes))
        return saturated(b, sums, given) if Dot(dot).is_x86 else _join_plain(b, sums, given)

    def emit(b: ir.IRBuilder, block: ir.Value, *given: ir.Value) -> list[ir.Value]:
        vectors = rounded(b, floats, block, dot)
        return [join(b, vectors[i * QUAD : (i + 1) * QUAD], given) for i in range(size.rows)]

    return pixels._intrinsic([floats.type, *[types.int64] * 3], pixels.type, emit)


def pack_products(size: WindowSize, lanes: int, dot: Dot, clip: Clip) -> Any:
    """``f(sums, multipliers, zero, low, high)``: as ``pack_windows``, of sums times fixed-point multipliers."""
    sums, pixels = Tile(elements.I32, lanes, size.rows, QUAD), Tile(U8X4, lanes, size.rows, 1)

    def emit(b: ir.IRBuilder, block: ir.Value, by: ir.Value, *given: ir.Value) -> list[ir.Value]:
        vectors, factors, out = sums._split(b, block), sums._split(b, by), []
        for i in range(0, sums.count, QUAD):
            pairs = [vectors[first : first + 2] for first in (i, i + 2)]
            halves = [steps_of_sums(b, dot, pair, factors[i]) for pair in pairs]
            out.append(narrowed(b, halves, clip.arguments(*given), _bytes_in_order(lanes)))
        return out

    return pixels._intrinsic([sums.type, sums.type, *[types.int64] * 3], pixels.type, emit)


def _join_plain(b: ir.IRBuilder, sums: Sequence[ir.Value], bounds: Sequence[ir.Value]) -> ir.Value:
    kind = sums[0].type
    zero = splat(b, b.trunc(bounds[0], llvm.I32), kind.count)
    low, high = (b.zext(_octets(b, word, kind.count), kind) for word in bounds[1:])
    narrow = ir.VectorType(I8, kind.count)
    parts = []
    for numbers in sums:
        above = call_intrinsic(b, f"llvm.smax.{mangled(kind)}", kind, [b.add(numbers, zero), low])
        parts.append(b.trunc(call_intrinsic(b, f"llvm.smin.{mangled(kind)}", kind, [above, high]), narrow))
    n = kind.count
    pairs = [b.shuffle_vector(x, y, _numbers(range(2 * n))) for x, y in (parts[:2], parts[2:])]
    return b.bitcast(b.shuffle_vector(*pairs, _numbers(_bytes_in_order(n))), kind)


def _bytes_in_order(n: int) -> list[int]:
    """The bytes of quads among the numbers of four vectors: byte c of pixel 4 i + j is number 4 i + c of vector j."""
    return [j * n + QUAD * i + c for i in range(n // QUAD) for j in range(QUAD) for c in range(QUAD)]


def _octets(b: ir.IRBuilder, word: ir.Value, count: int) -> ir.Value:
    """The four bytes of a word over and over, in ``count`` lanes."""
    words = splat(b, b.trunc(word, llvm.I32), count // QUAD)
    return b.bitcast(words, ir.VectorType(I8, count))


def _numbers(order: Sequence[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(llvm.I32, len(order)), list(order))
