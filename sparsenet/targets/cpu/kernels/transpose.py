"""Strided copies along any axes: transpositions, slices, repetitions.

Contiguous runs are copied where the last axis stays, square tiles transposed in registers where it moves.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I64
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import (
    Tile,
    load_i32,
    load_i64,
    stack_memory,
    store_i64,
    transpose_square,
)
from sparsenet.targets.registry import TRANSPOSE_WAYS, Kernel

#: Axes beside those that the arguments spell out.
MOST_AXES = 32


def build(kernel: Kernel) -> Any:
    """``way`` numbers ``TRANSPOSE_WAYS``.

    In the source, neighbours in a line are ``x_step`` apart, neighbouring lines ``x_line``, one number where square
    tiles are transposed. There are ``rows`` matrices of ``lines`` lines, each of ``columns`` numbers, zeros from
    ``x_columns`` on; and as many such rows as the axes of ``shape`` have elements. Where an axis moves on by one and
    those behind it begin anew, ``x_jumps`` and ``out_jumps`` have the distances in numbers. Other strides are in bytes.
    """
    read = arguments(kernel)
    copy = _LINES[TRANSPOSE_WAYS[kernel.parameter("way")]](kernel)
    item, counters = kernel.element.itemsize, stack_memory(I64.itemsize * MOST_AXES)

    def transpose(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_line = given.x, given.x_row, given.x_line
        x_step, x_columns = given.x_step, given.x_columns
        rank, shape = given.rank, given.shape
        x_jumps, out_jumps = given.x_jumps, given.out_jumps
        rows, lines, columns = given.rows, given.lines, given.columns
        out, out_row, out_line = given.out, given.out_row, given.out_line
        done = counters()
        for axis in range(rank):
            store_i64(done, axis, 0)
        while True:
            for row in range(rows):
                source, target = x + row * x_row, out + row * out_row
                copy(source, x_line, x_step, x_columns, lines, columns, target, out_line)
            axis = rank - 1
            while axis >= 0 and load_i64(done, axis) + 1 == load_i32(shape, axis):
                store_i64(done, axis, 0)
                axis -= 1
            if axis < 0:
                return
            store_i64(done, axis, load_i64(done, axis) + 1)
            x += load_i32(x_jumps, axis) * item
            out += load_i32(out_jumps, axis) * item

    return kernel_entry(transpose)


def _broadcast_lines(kernel: Kernel) -> Any:
    lanes, tile = kernel.lanes, Tile(kernel.element, kernel.lanes)
    item = tile.item
    splat, store, store_between = tile.splat, tile.store, tile.store_between
    load_number, zero = tile.load_number, tile.zero

    @device
    def copy(x, x_line, _x_step, x_columns, lines, columns, out, out_line):  # type: ignore[no-untyped-def]
        full = min(x_columns, columns) // lanes * lanes
        for line in range(lines):
            values, target = splat(load_number(x + line * x_line, 0)), out + line * out_line
            for k in range(0, full, lanes):
                store(target + k * item, 0, values)
            for k in range(full, columns, lanes):
                store_between(target + k * item, 0, columns - k, splat(zero))
                store_between(target + k * item, 0, min(x_columns, columns) - k, values)

    return copy


def _contiguous_lines(kernel: Kernel) -> Any:
    lanes, tile = kernel.lanes, Tile(kernel.element, kernel.lanes)
    item = tile.item
    load, store, load_between, store_between = tile.load, tile.store, tile.load_between, tile.store_between

    @device
    def copy(x, x_line, _x_step, x_columns, lines, columns, out, out_line):  # type: ignore[no-untyped-def]
        full = min(x_columns, columns) // lanes * lanes
        for line in range(lines):
            source, target = x + line * x_line, out + line * out_line
            for k in range(0, full, lanes):
                store(target + k * item, 0, load(source + k * item, 0))
            for k in range(full, columns, lanes):
                store_between(
                    target + k * item, 0, columns - k, load_between(source + k * item, 0, x_columns - k)
                )

    return copy


def _stride_2_lines(kernel: Kernel) -> Any:
    lanes, tile = kernel.lanes, Tile(kernel.element, kernel.lanes)
    item = tile.item
    load, store, even = tile.load, tile.store, tile.even_lanes
    load_between, store_between = tile.load_between, tile.store_between

    @device
    def copy(x, x_line, _x_step, x_columns, lines, columns, out, out_line):  # type: ignore[no-untyped-def]
        last = 2 * x_columns - 1  # numbers from the first valid one to the last
        full = min(x_columns - 1, columns) // lanes * lanes
        for line in range(lines):
            source, target = x + line * x_line, out + line * out_line
            for k in range(0, full, lanes):
                low, high = load(source + 2 * k * item, 0), load(source + (2 * k + lanes) * item, 0)
                store(target + k * item, 0, even(low, high))
            for k in range(full, columns, lanes):
                low = load_between(source + 2 * k * item, 0, last - 2 * k)
                high = load_between(source + (2 * k + lanes) * item, 0, last - 2 * k - lanes)
                store_between(target + k * item, 0, columns - k, even(low, high))

    return copy


def _strided_lines(kernel: Kernel) -> Any:
    lanes, tile = kernel.lanes, Tile(kernel.element, kernel.lanes)
    item = tile.item
    gather_between, store_between = tile.gather_between, tile.store_between

    @device
    def copy(x, x_line, x_step, x_columns, lines, columns, out, out_line):  # type: ignore[no-untyped-def]
        for line in range(lines):
            source, target = x + line * x_line, out + line * out_line
            for k in range(0, columns, lanes):
                values = gather_between(source + k * x_step, x_step, 0, x_columns - k)
                store_between(target + k * item, 0, columns - k, values)

    return copy


def _transposed_lines(kernel: Kernel) -> Any:
    lanes, square = kernel.lanes, Tile(kernel.element, kernel.lanes, kernel.lanes)
    item = square.item
    load, store, transposed = square.load, square.store, transpose_square(square)
    load_corner, store_corner = square.load_corner, square.store_corner

    @device
    def copy(x, _x_line, x_step, x_columns, lines, columns, out, out_line):  # type: ignore[no-untyped-def]
        for line in range(0, lines, lanes):
            for column in range(0, columns, lanes):
                source, target = x + column * x_step + line * item, out + line * out_line + column * item
                if line + lanes <= lines and column + lanes <= min(columns, x_columns):
                    store(target, out_line, transposed(load(source, x_step)))
                else:
                    values = transposed(load_corner(source, x_step, x_columns - column, lines - line))
                    store_corner(target, out_line, lines - line, columns - column, values)

    return copy


_LINES = {
    "broadcast": _broadcast_lines,
    "contiguous": _contiguous_lines,
    "stride_2": _stride_2_lines,
    "strided": _strided_lines,
    "transposed": _transposed_lines,
}
