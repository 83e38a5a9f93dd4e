"""Nearest resize by tables: every number of the output is one of the source, whatever its type."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import Tile, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Row tables are int32 row numbers, of which ``x_first`` is at ``x``; column tables int32 byte offsets, padded
    to whole vectors.
    """
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    vector_bytes, mask_bytes, offsets_bytes = tile.vector_bytes, tile.mask_bytes, lanes * I32.itemsize
    gather, keep, store, clear = tile.gather, tile.keep_lanes, tile.store, clear_halo(kernel.element, lanes)

    def resize_nearest(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, x_first = given.x, given.x_row, given.x_channel, given.x_first
        rows_low, columns_low, channels = given.rows_low, given.columns_low, given.channels
        height, full_vectors, lane_bits = given.height, given.full_vectors, given.lane_bits
        line_vectors, halo_vectors = given.line_vectors, given.halo_vectors
        out, out_row, out_channel, outside = given.out, given.out_row, given.out_channel, given.outside
        for y in range(height):
            source = x + (load_i32(rows_low, y) - x_first) * x_row
            for channel in range(channels):
                line = out + y * out_row + channel * out_channel
                for vector in range(line_vectors):
                    values = gather(source + channel * x_channel, columns_low + vector * offsets_bytes)
                    if vector >= full_vectors:
                        values = keep(values, lane_bits + vector * mask_bytes, outside)
                    store(line + vector * vector_bytes, 0, values)
            clear(out + y * out_row, out_row, out_channel, 1, channels, line_vectors, halo_vectors, outside)

    return kernel_entry(resize_nearest)
