"""Moving a map between layouts: plain NCHW, rows, and rows split by column phase for strided windows.

With ``s`` phases, line q of a channel holds the columns ``first_column + q, first_column + q + s, ...`` of the source,
so a window of stride s reads consecutive numbers, and one convolution loop serves every stride. What lies outside of
the source becomes ``outside``: padding is written here, never branched on later.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, inlined, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, deinterleave
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``stride`` is the column step, 1 or 2, or one of at most 8 that has as many phases; 0 stands for any other, read
    from ``column_step``.

    Output row r comes from source row ``first_row + r * row_step``; exactly ``columns`` numbers of each line are
    written, so a plain NCHW array can be the target. Only the ends of a line are masked.
    """
    read = arguments(kernel)
    tile, stride = Tile(kernel.element, kernel.lanes), kernel.parameter("stride")
    if stride > 2:
        copy_line = _split_line(tile, stride)
    else:
        copy_line = (_gather_line, _copy_line, _halve_line)[stride](tile)

    def relayout(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel = given.x, given.x_row, given.x_channel
        x_rows, x_columns = given.x_rows, given.x_columns
        first_row, row_step, first_column = given.first_row, given.row_step, given.first_column
        phases, channels, rows, columns = given.phases, given.channels, given.rows, given.columns
        column_step, outside = given.column_step, given.outside
        out, out_row, out_channel, out_phase = given.out, given.out_row, given.out_channel, given.out_phase
        for row in range(rows):
            y = first_row + row * row_step
            # Of a row outside of the source no lane is valid.
            source_columns = x_columns if 0 <= y < x_rows else 0
            for channel in range(channels):
                source = x + y * x_row + channel * x_channel
                target = out + row * out_row + channel * out_channel
                copy_line(
                    source,
                    source_columns,
                    outside,
                    first_column,
                    column_step,
                    phases,
                    target,
                    columns,
                    out_phase,
                )

    return kernel_entry(relayout)


def _load_inside(tile: Tile) -> Any:
    """``f(pointer, low, high, outside)``: lanes [low, high) from memory, ``outside`` elsewhere."""
    load_between, keep = tile.load_between, tile.keep

    def load_inside(pointer, low, high, outside):  # type: ignore[no-untyped-def]
        return keep(load_between(pointer, low, high), low, high, outside)

    return inlined(load_inside)


def _copy_line(tile: Tile) -> Any:
    """The function for step 1, ``f(source, source_columns, outside, ..., phases, target, columns, out_phase)``."""
    lanes, item, load, store = tile.lanes, tile.item, tile.load, tile.store
    load_inside, store_between = _load_inside(tile), tile.store_between

    @device
    def copy_line(  # type: ignore[no-untyped-def]
        source, source_columns, outside, first_column, column_step, phases, target, columns, out_phase
    ):
        for column in range(0, columns, lanes):
            x0 = first_column + column
            if x0 >= 0 and x0 + lanes <= source_columns and column + lanes <= columns:
                store(target + column * item, 0, load(source + x0 * item, 0))
            else:
                values = load_inside(source + x0 * item, -x0, source_columns - x0, outside)
                store_between(target + column * item, 0, columns - column, values)

    return copy_line


def _halve_line(tile: Tile) -> Any:
    """A function as of ``_copy_line``, for step 2: each source vector is loaded once for both phases."""
    lanes, item, load, store = tile.lanes, tile.item, tile.load, tile.store
    even, odd = tile.even_lanes, tile.odd_lanes
    load_inside, store_between = _load_inside(tile), tile.store_between

    @device
    def copy_line(  # type: ignore[no-untyped-def]
        source, source_columns, outside, first_column, column_step, phases, target, columns, out_phase
    ):
        for column in range(0, columns, lanes):
            x0, out = first_column + 2 * column, target + column * item
            if x0 >= 0 and x0 + 2 * lanes <= source_columns and column + lanes <= columns:
                low, high = load(source + x0 * item, 0), load(source + (x0 + lanes) * item, 0)
                store(out, 0, even(low, high))
                if phases == 2:
                    store(out + out_phase, 0, odd(low, high))
            else:
                x1 = x0 + lanes
                low = load_inside(source + x0 * item, -x0, source_columns - x0, outside)
                high = load_inside(source + x1 * item, -x1, source_columns - x1, outside)
                store_between(out, 0, columns - column, even(low, high))
                if phases == 2:
                    store_between(out + out_phase, 0, columns - column, odd(low, high))

    return copy_line


def _split_line(tile: Tile, step: int) -> Any:
    """A function as of ``_copy_line``, for any step and as many phases: whole vectors are deinterleaved."""
    element, lanes, item = tile.element, tile.lanes, tile.item
    together, lines = Tile(element, lanes, 1, step), Tile(element, lanes, outputs=step)
    load, load_inside, apart = together.load, _load_inside(together), deinterleave(together)
    store, store_between = lines.store_channels, lines.store_channels_between

    @device
    def copy_line(  # type: ignore[no-untyped-def]
        source, source_columns, outside, first_column, column_step, phases, target, columns, out_phase
    ):
        for column in range(0, columns, lanes):
            x0, out = first_column + step * column, target + column * item
            if x0 >= 0 and x0 + step * lanes <= source_columns and column + lanes <= columns:
                store(out, out_phase, 0, apart(load(source + x0 * item, 0)))
            else:
                values = apart(load_inside(source + x0 * item, -x0, source_columns - x0, outside))
                store_between(out, out_phase, 0, columns - column, values)

    return copy_line


def _gather_line(tile: Tile) -> Any:
    """A function as of ``_copy_line``, for any step, by gathers."""
    lanes, item, gather_between = tile.lanes, tile.item, tile.gather_between
    keep, store_between = tile.keep, tile.store_between

    @device
    def copy_line(  # type: ignore[no-untyped-def]
        source, source_columns, outside, first_column, column_step, phases, target, columns, out_phase
    ):
        for phase in range(phases):
            line = target + phase * out_phase
            for column in range(0, columns, lanes):
                x0 = first_column + phase + column_step * column
                low = (column_step - 1 - x0) // column_step
                high = (source_columns - x0 + column_step - 1) // column_step if source_columns > 0 else 0
                values = gather_between(source + x0 * item, column_step * item, low, high)
                store_between(line + column * item, 0, columns - column, keep(values, low, high, outside))

    return copy_line
