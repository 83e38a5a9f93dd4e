"""Resize by tables: each output row mixes two source rows, each output column two source columns.

Nearest neighbour is the same with both indices equal. Tables are made at plan time, so every coordinate convention
costs the same here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile, load_f32, load_i32


def build(kernel: Kernel) -> Any:
    """Row tables are int32 row numbers, of which ``x_first`` stands at ``x``; column tables int32 byte offsets, padded
    to whole vectors.
    """
    lanes = kernel.lanes
    tile = Tile(lanes)
    load, gather, splat, mul_add, sub = tile.load, tile.gather, tile.splat, tile.mul_add, tile.sub
    keep_pixels, store = tile.keep_pixels, tile.store
    zero = np.float32(0)

    def resize(args, bases):  # type: ignore[no-untyped-def]
        x, x_row, x_channel = pointer(args, bases, 0), integer(args, 1), integer(args, 2)
        rows_low, rows_high, rows_weight = (
            pointer(args, bases, 3),
            pointer(args, bases, 4),
            pointer(args, bases, 5),
        )
        columns_low, columns_high = pointer(args, bases, 6), pointer(args, bases, 7)
        columns_weight = pointer(args, bases, 8)
        x_first, channels, height, full_vectors = (
            integer(args, 9),
            integer(args, 10),
            integer(args, 11),
            integer(args, 12),
        )
        lane_bits, line_vectors, halo_vectors = pointer(args, bases, 13), integer(args, 14), integer(args, 15)
        out, out_row, out_channel = pointer(args, bases, 16), integer(args, 17), integer(args, 18)
        for y in range(height):
            weight_y = splat(load_f32(rows_weight, y))
            for channel in range(channels):
                low = x + (load_i32(rows_low, y) - x_first) * x_row + channel * x_channel
                high = x + (load_i32(rows_high, y) - x_first) * x_row + channel * x_channel
                target = out + y * out_row + channel * out_channel
                for vector in range(line_vectors):
                    column = vector * lanes * 4
                    left, right = columns_low + column, columns_high + column
                    weight_x = load(columns_weight + column, 0)
                    top, bottom = gather(low, left), gather(high, left)
                    top = mul_add(sub(gather(low, right), top), weight_x, top)
                    bottom = mul_add(sub(gather(high, right), bottom), weight_x, bottom)
                    values = mul_add(sub(bottom, top), weight_y, top)
                    if vector >= full_vectors:
                        values = keep_pixels(values, lane_bits + vector * 2)
                    store(target + column, 0, values)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store(target + halo * lanes * 4, 0, splat(zero))

    return kernel_entry(resize)
