"""Moving a map between layouts: plain NCHW, rows, and rows split by column phase for strided windows.

With ``s`` phases, line q of a channel holds the columns ``first_column + q, first_column + q + s, ...`` of the source,
so a window of stride s reads consecutive floats, and one convolution loop serves every stride. What lies outside the
source becomes zero: padding is written here, never branched on later.
"""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile


def build(kernel: Kernel) -> Any:
    """``stride`` is the column step, 1 or 2; 0 stands for any other, read from ``column_step``.

    Output row r comes from source row ``first_row + r * row_step``; exactly ``columns`` floats of each line are
    written, so a plain NCHW array can be the target.
    """
    lanes, stride = kernel.lanes, kernel.parameter("stride")
    tile = Tile(lanes)
    load_between, store_between, even = tile.load_between, tile.store_between, tile.even_lanes
    gather_between = tile.gather_between

    def relayout(args, bases):  # type: ignore[no-untyped-def]
        x, x_row, x_channel = pointer(args, bases, 0), integer(args, 1), integer(args, 2)
        x_rows, x_columns = integer(args, 3), integer(args, 4)
        first_row, row_step, first_column = integer(args, 5), integer(args, 6), integer(args, 7)
        phases, channels, rows, columns = (
            integer(args, 8),
            integer(args, 9),
            integer(args, 10),
            integer(args, 11),
        )
        column_step = integer(args, 12)
        out, out_row, out_channel, out_phase = (
            pointer(args, bases, 13),
            integer(args, 14),
            integer(args, 15),
            integer(args, 16),
        )
        for row in range(rows):
            y = first_row + row * row_step
            # A row outside the source is all zeros: no lane is valid.
            source_columns = x_columns if 0 <= y < x_rows else 0
            for channel in range(channels):
                source = x + y * x_row + channel * x_channel
                for phase in range(phases):
                    target = out + row * out_row + channel * out_channel + phase * out_phase
                    for column in range(0, columns, lanes):
                        if stride == 1:
                            x0 = first_column + column
                            values = load_between(source + x0 * 4, -x0, source_columns - x0)
                        elif stride == 2:
                            x0 = first_column + phase + 2 * column
                            x1 = x0 + lanes
                            values = even(
                                load_between(source + x0 * 4, -x0, source_columns - x0),
                                load_between(source + x1 * 4, -x1, source_columns - x1),
                            )
                        else:
                            x0 = first_column + phase + column_step * column
                            low = (column_step - 1 - x0) // column_step
                            high = (
                                (source_columns - x0 + column_step - 1) // column_step
                                if source_columns > 0
                                else 0
                            )
                            values = gather_between(source + x0 * 4, column_step * 4, low, high)
                        store_between(target + column * 4, 0, columns - column, values)

    return kernel_entry(relayout)
