"""Max pooling: padding counts as -inf, so taps outside the image are masked out, never read as zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile, load_i32


def build(kernel: Kernel) -> Any:
    """One image row of ``vectors`` vectors per step; ``stride`` 1 or 2 columns.

    ``taps_x`` holds ``(byte offset, first valid output column, end)`` int32 triples, one per column of the window;
    window rows above or below the image are skipped.
    """
    stride, vectors, lanes = kernel.parameter("stride"), kernel.parameter("vectors"), kernel.lanes
    tile = Tile(lanes, 1, vectors)
    load = tile.load if stride == 1 else tile.load_every_second
    keep, store, splat, maximum = tile.keep, tile.store, tile.splat, tile.maximum
    single = Tile(lanes)
    splat_one, store_one = single.splat, single.store
    zero, lowest = np.float32(0), np.float32(-np.inf)

    def max_pool(args, bases):  # type: ignore[no-untyped-def]
        x, taps_x = pointer(args, bases, 0), pointer(args, bases, 1)
        n_taps_x, n_taps_y = integer(args, 2), integer(args, 3)
        dilation_y, stride_y, padding_y, x_rows = (
            integer(args, 4),
            integer(args, 5),
            integer(args, 6),
            integer(args, 7),
        )
        x_row, x_channel, channels = integer(args, 8), integer(args, 9), integer(args, 10)
        height, width = integer(args, 11), integer(args, 12)
        line_vectors, halo_vectors = integer(args, 13), integer(args, 14)
        out, out_row, out_channel = pointer(args, bases, 15), integer(args, 16), integer(args, 17)

        for y in range(height):
            for channel in range(channels):
                source, target = x + channel * x_channel, out + y * out_row + channel * out_channel
                for vector in range(0, line_vectors, vectors):
                    vector = min(vector, line_vectors - vectors)
                    column = vector * lanes
                    acc = splat(lowest)
                    for ky in range(n_taps_y):
                        row = y * stride_y + ky * dilation_y - padding_y
                        if row < 0 or row >= x_rows:
                            continue
                        for kx in range(n_taps_x):
                            values = load(
                                source + row * x_row + column * 4 * stride + load_i32(taps_x, 3 * kx), 0
                            )
                            low, high = (
                                load_i32(taps_x, 3 * kx + 1) - column,
                                load_i32(taps_x, 3 * kx + 2) - column,
                            )
                            if low > 0 or high < vectors * lanes:
                                values = keep(values, low, high, lowest)
                            acc = maximum(acc, values)
                    if width - column < vectors * lanes:
                        acc = keep(acc, 0, width - column, zero)
                    store(target + column * 4, 0, acc)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store_one(target + halo * lanes * 4, 0, splat_one(zero))

    return kernel_entry(max_pool)
