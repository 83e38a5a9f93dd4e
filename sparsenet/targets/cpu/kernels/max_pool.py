"""Max pooling: padding counts as -inf, so columns outside the image are masked out, never read as zeros.

The planner determines which rows a window has: all output rows of a call have the same number of window rows.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import Tile, load_i32
from sparsenet.targets.cpu.vector_ir.window import Span, maximum_of
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One image row of ``vectors`` vectors per step; ``stride`` 1 or 2 columns.

    ``columns`` adjacent window columns, of which ``before`` are padding left of the image, are unrolled: rows are
    reduced first, then columns. 0 ``columns`` stands for any window: ``taps_x`` holds the byte offset of every column.
    ``tap_bits`` holds, per window column and vector, the lanes that read inside the image; vectors from
    ``inner_first`` to ``inner_end`` read nothing else.
    """
    read = arguments(kernel)
    tile = Tile(kernel.element, kernel.lanes, 1, kernel.parameter("vectors"))
    vector_bytes, mask_bytes = tile.vector_bytes, tile.mask_bytes
    window = _any_window(kernel, tile) if kernel.parameter("columns") == 0 else _adjacent_columns(kernel)
    vectors, lanes, stride = tile.vectors, kernel.lanes, kernel.parameter("stride")
    keep, store = tile.keep_lanes, tile.store
    clear = clear_halo(kernel.element, lanes)
    epilogue = image_epilogue(kernel, tile)

    def max_pool(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, taps_x, tap_bits = given.x, given.taps_x, given.tap_bits
        n_taps_x, n_taps_y, tap_row = given.n_taps_x, given.n_taps_y, given.tap_row
        inner_first, inner_end = given.inner_first, given.inner_end
        x_row, x_channel, channels = given.x_row, given.x_channel, given.channels
        height, full_vectors = given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors = given.line_vectors, given.halo_vectors
        out, out_row, out_channel, outside = given.out, given.out_row, given.out_channel, given.outside

        for y in range(height):
            for channel in range(channels):
                source = x + y * x_row + channel * x_channel
                target = out + y * out_row + channel * out_channel
                for vector in range(0, line_vectors, vectors):
                    vector = min(vector, line_vectors - vectors)
                    x_bytes = vector * vector_bytes
                    acc = window(
                        source + x_bytes * stride,
                        n_taps_y,
                        tap_row,
                        taps_x,
                        n_taps_x,
                        inner_first <= vector and vector + vectors <= inner_end,
                        tap_bits + vector * mask_bytes,
                        line_vectors * mask_bytes,
                    )
                    acc = epilogue(acc, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        acc = keep(acc, lane_bits + vector * mask_bytes, outside)
                    store(target + x_bytes, 0, acc)
            clear(out + y * out_row, out_row, out_channel, 1, channels, line_vectors, halo_vectors, outside)

    return kernel_entry(max_pool)


def _adjacent_columns(kernel: Kernel) -> Any:
    """``f(source, n_taps_y, tap_row, _, _, inside, bits, bits_step)``: a tile of window maxima."""
    span = Span(
        kernel.element,
        kernel.lanes,
        kernel.parameter("vectors"),
        kernel.parameter("columns"),
        kernel.parameter("stride"),
        kernel.parameter("before"),
    )
    start, fold = span.start, _fold_rows(span, span.load)
    columns, columns_inside = span.largest_column(), span.largest_column_inside()

    def window(source, n_taps_y, tap_row, taps_x, n_taps_x, inside, bits, bits_step):  # type: ignore[no-untyped-def]
        row = fold(source + start, n_taps_y, tap_row)
        return columns(row) if inside else columns_inside(row, bits, bits_step)

    return inlined(window)


def _any_window(kernel: Kernel, tile: Tile) -> Any:
    """A function as of ``_adjacent_columns``, with columns taken from ``taps_x``."""
    fold = _fold_rows(tile, tile.load if kernel.parameter("stride") == 1 else tile.load_every_second)
    splat, maximum, keep_lanes = tile.splat, maximum_of(tile, 2), tile.keep_lanes
    lowest = tile.lowest

    def window(source, n_taps_y, tap_row, taps_x, n_taps_x, inside, bits, bits_step):  # type: ignore[no-untyped-def]
        acc = splat(lowest)
        for k in range(n_taps_x):
            values = fold(source + load_i32(taps_x, k), n_taps_y, tap_row)
            if not inside:
                values = keep_lanes(values, bits + k * bits_step, lowest)
            acc = maximum(acc, values)
        return acc

    return inlined(window)


def _fold_rows(tile: Tile, load: Any) -> Any:
    """``f(source, rows, row_step)``: the largest of a tile's ``rows`` window rows."""
    splat, largest_of_2, largest_of_3 = tile.splat, maximum_of(tile, 2), maximum_of(tile, 3)
    lowest = tile.lowest

    def fold(source, rows, row_step):  # type: ignore[no-untyped-def]
        if rows == 3:
            return largest_of_3(load(source, 0), load(source + row_step, 0), load(source + 2 * row_step, 0))
        if rows == 2:
            return largest_of_2(load(source, 0), load(source + row_step, 0))
        acc = splat(lowest)
        for row in range(rows):
            acc = largest_of_2(acc, load(source + row * row_step, 0))
        return acc

    return inlined(fold)
