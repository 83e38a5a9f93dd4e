"""Axes in another order: runs copied where the last axis stays, squares turned in registers where it moves."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import device, integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile, load_i32, load_i64, stack_memory, store_i64, turn

#: Axes beside those that the arguments spell out.
MOST_AXES = 32


def build(kernel: Kernel) -> Any:
    """``turned``: 0: a line of the output is a run of the source; 1: neighbours in a line are ``x_line`` apart in the
    source, and neighbouring lines are neighbours there.

    There are ``rows`` matrices of ``lines`` lines, each of ``columns`` floats, zeros from ``x_columns`` on; and as many
    such rows as the axes of ``shape`` have elements. Where an axis moves on by one and those behind it begin anew,
    ``x_jumps`` and ``out_jumps`` have the distances in floats. ``x_line`` is a stride in bytes, as are the others.
    """
    copy = (_turn_lines if kernel.parameter("turned") else _copy_lines)(kernel.lanes)
    counters = stack_memory(8 * MOST_AXES)

    def transpose(args, bases):  # type: ignore[no-untyped-def]
        x, x_row, x_line, x_columns = (
            pointer(args, bases, 0),
            integer(args, 1),
            integer(args, 2),
            integer(args, 3),
        )
        rank, shape = integer(args, 4), pointer(args, bases, 5)
        x_jumps, out_jumps = pointer(args, bases, 6), pointer(args, bases, 7)
        rows, lines, columns = integer(args, 8), integer(args, 9), integer(args, 10)
        out, out_row, out_line = pointer(args, bases, 11), integer(args, 12), integer(args, 13)
        done = counters()
        for axis in range(rank):
            store_i64(done, axis, 0)
        while True:
            for row in range(rows):
                copy(x + row * x_row, x_line, x_columns, lines, columns, out + row * out_row, out_line)
            axis = rank - 1
            while axis >= 0 and load_i64(done, axis) + 1 == load_i32(shape, axis):
                store_i64(done, axis, 0)
                axis -= 1
            if axis < 0:
                return
            store_i64(done, axis, load_i64(done, axis) + 1)
            x += load_i32(x_jumps, axis) * 4
            out += load_i32(out_jumps, axis) * 4

    return kernel_entry(transpose)


def _copy_lines(lanes: int) -> Any:
    tile = Tile(lanes)
    load, store, load_between, store_between = tile.load, tile.store, tile.load_between, tile.store_between

    @device
    def copy(x: int, x_line: int, x_columns: int, lines: int, columns: int, out: int, out_line: int) -> None:
        full = min(x_columns, columns) // lanes * lanes
        for line in range(lines):
            source, target = x + line * x_line, out + line * out_line
            for k in range(0, full, lanes):
                store(target + k * 4, 0, load(source + k * 4, 0))
            for k in range(full, columns, lanes):
                store_between(target + k * 4, 0, columns - k, load_between(source + k * 4, 0, x_columns - k))

    return copy


def _turn_lines(lanes: int) -> Any:
    square = Tile(lanes, lanes)
    load, store, turned = square.load, square.store, turn(square)
    load_corner, store_corner = square.load_corner, square.store_corner

    @device
    def copy(x: int, x_line: int, x_columns: int, lines: int, columns: int, out: int, out_line: int) -> None:
        for line in range(0, lines, lanes):
            for column in range(0, columns, lanes):
                source, target = x + column * x_line + line * 4, out + line * out_line + column * 4
                if line + lanes <= lines and column + lanes <= min(columns, x_columns):
                    store(target, out_line, turned(load(source, x_line)))
                else:
                    values = turned(load_corner(source, x_line, x_columns - column, lines - line))
                    store_corner(target, out_line, lines - line, columns - column, values)

    return copy
