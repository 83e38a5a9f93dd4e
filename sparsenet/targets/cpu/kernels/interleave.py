"""Interleaving of several lines to one: depth to space, and images with channels last."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, interleave
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``lines``: how many become one, at most 8; 0 stands for any other number, read from ``block_columns``.

    Output row ``first_row + r`` counted from ``x`` takes the lines of source row ``row // block_rows``, ``x_down``
    times ``row % block_rows`` further on; they are ``x_across`` apart. Exactly ``columns`` numbers of each output line
    are written, zeros behind the end of the source.
    """
    read = arguments(kernel)
    lines = kernel.parameter("lines")
    join = _join_vectors(kernel, lines) if lines else _join_numbers(kernel)

    def interleaved(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel = given.x, given.x_row, given.x_channel
        x_down, x_across, x_columns = given.x_down, given.x_across, given.x_columns
        block_rows, block_columns, first_row = given.block_rows, given.block_columns, given.first_row
        channels, rows, columns = given.channels, given.rows, given.columns
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        for row in range(rows):
            number = first_row + row
            source = x + number // block_rows * x_row + number % block_rows * x_down
            for channel in range(channels):
                target = out + row * out_row + channel * out_channel
                join(source + channel * x_channel, x_across, x_columns, block_columns, target, columns)

    return kernel_entry(interleaved)


def _join_vectors(kernel: Kernel, lines: int) -> Any:
    """``f(source, x_across, x_columns, block_columns, target, columns)``: one output line."""
    lanes = kernel.lanes
    apart, joined = Tile(kernel.element, lanes, outputs=lines), Tile(kernel.element, lanes, 1, lines)
    item = apart.item
    load, load_between, join = apart.load_channels, apart.load_channels_between, interleave(joined)
    store, store_between = joined.store, joined.store_between

    @device
    def join_lines(
        source: int, x_across: int, x_columns: int, _lines: int, target: int, columns: int
    ) -> None:
        for x in range(0, (columns + lines - 1) // lines, lanes):
            if x + lanes <= x_columns:
                values = join(load(source + x * item, x_across, 0))
            else:
                values = join(load_between(source + x * item, x_across, 0, x_columns - x))
            left = columns - x * lines
            if left >= lanes * lines:
                store(target + x * lines * item, 0, values)
            else:
                store_between(target + x * lines * item, 0, left, values)

    return join_lines


def _join_numbers(kernel: Kernel) -> Any:
    one = Tile(kernel.element, kernel.lanes)
    zero, load_number, store_number = one.zero, one.load_number, one.store_number

    @device
    def join_lines(source: int, x_across: int, x_columns: int, lines: int, target: int, columns: int) -> None:
        for line in range(lines):
            for x in range(x_columns):
                store_number(target, x * lines + line, load_number(source + line * x_across, x))
        for column in range(x_columns * lines, columns):
            store_number(target, column, zero)

    return join_lines
