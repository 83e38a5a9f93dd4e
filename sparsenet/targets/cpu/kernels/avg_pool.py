"""Average pooling: the sum over the window (halo zeros included) times a scale per row and per column.

The number of values a window averages is a product of its rows and its columns, also where padding is not counted, so
two short tables of reciprocals serve every case.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """One image row of ``vectors`` vectors per step; ``scale_x`` is padded to whole lines."""
    read = arguments(kernel)
    vectors, lanes = kernel.parameter("vectors"), kernel.lanes
    tile = Tile(kernel.element, lanes, 1, vectors)
    vector_bytes, mask_bytes = tile.vector_bytes, tile.mask_bytes
    load, keep_pixels, store, splat, add, mul = (
        tile.load,
        tile.keep_pixels,
        tile.store,
        tile.splat,
        tile.add,
        tile.mul,
    )
    clear = clear_halo(kernel.element, lanes)
    zero = tile.zero

    def avg_pool(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets, taps = given.x, given.tap_offsets, given.taps
        scale_y, scale_x = given.scale_y, given.scale_x
        x_row, x_channel, channels = given.x_row, given.x_channel, given.channels
        height, full_vectors = given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors = given.line_vectors, given.halo_vectors
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        for y in range(height):
            for channel in range(channels):
                source, target = (
                    x + y * x_row + channel * x_channel,
                    out + y * out_row + channel * out_channel,
                )
                for vector in range(0, line_vectors, vectors):
                    vector = min(vector, line_vectors - vectors)
                    x_bytes = vector * vector_bytes
                    acc = splat(zero)
                    for k in range(taps):
                        acc = add(acc, load(source + x_bytes + load_i32(tap_offsets, k), 0))
                    acc = mul(mul(acc, splat(load_f32(scale_y, y))), load(scale_x + x_bytes, 0))
                    if vector + vectors > full_vectors:
                        acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                    store(target + x_bytes, 0, acc)
            clear(out + y * out_row, out_row, out_channel, 1, channels, line_vectors, halo_vectors, zero)

    return kernel_entry(avg_pool)
