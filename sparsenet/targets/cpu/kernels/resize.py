"""Resize by tables: each output row mixes two source rows, each output column two source columns.

Nearest neighbour is the same with both indices equal. Tables are made at plan time, so every coordinate convention
costs the same here.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Row tables are int32 row numbers, of which ``x_first`` is at ``x``; column tables int32 byte offsets, padded
    to whole vectors.
    """
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    vector_bytes, mask_bytes = tile.vector_bytes, tile.mask_bytes
    load, gather, splat, mul_add, sub = tile.load, tile.gather, tile.splat, tile.mul_add, tile.sub
    keep_pixels, store = tile.keep_pixels, tile.store
    offsets_bytes = lanes * I32.itemsize
    zero = tile.zero

    def resize(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel = given.x, given.x_row, given.x_channel
        rows_low, rows_high, rows_weight = given.rows_low, given.rows_high, given.rows_weight
        columns_low, columns_high = given.columns_low, given.columns_high
        columns_weight = given.columns_weight
        x_first, channels, height, full_vectors = (
            given.x_first,
            given.channels,
            given.height,
            given.full_vectors,
        )
        lane_bits, line_vectors, halo_vectors = given.lane_bits, given.line_vectors, given.halo_vectors
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        for y in range(height):
            weight_y = splat(load_f32(rows_weight, y))
            for channel in range(channels):
                low = x + (load_i32(rows_low, y) - x_first) * x_row + channel * x_channel
                high = x + (load_i32(rows_high, y) - x_first) * x_row + channel * x_channel
                target = out + y * out_row + channel * out_channel
                for vector in range(line_vectors):
                    column, offsets = vector * vector_bytes, vector * offsets_bytes
                    left, right = columns_low + offsets, columns_high + offsets
                    weight_x = load(columns_weight + column, 0)
                    top, bottom = gather(low, left), gather(high, left)
                    top = mul_add(sub(gather(low, right), top), weight_x, top)
                    bottom = mul_add(sub(gather(high, right), bottom), weight_x, bottom)
                    values = mul_add(sub(bottom, top), weight_y, top)
                    if vector >= full_vectors:
                        values = keep_pixels(values, lane_bits + vector * mask_bytes)
                    store(target + column, 0, values)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store(target + halo * vector_bytes, 0, splat(zero))

    return kernel_entry(resize)
