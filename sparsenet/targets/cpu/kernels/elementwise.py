"""Ops element by element over rows: copy, then the fused ops of the epilogue (activation, affine, add)."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``vectors`` vectors of one line per step."""
    read = arguments(kernel)
    vectors, lanes = kernel.parameter("vectors"), kernel.lanes
    tile = Tile(kernel.element, lanes, 1, vectors)
    vector_bytes, mask_bytes, zero = tile.vector_bytes, tile.mask_bytes, tile.zero
    load, keep_pixels, store = tile.load, tile.keep_pixels, tile.store
    clear = clear_halo(kernel.element, lanes)
    epilogue = image_epilogue(kernel, tile)

    def elementwise(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, channels = given.x, given.x_row, given.x_channel, given.channels
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
                    acc = epilogue(load(source + x_bytes, 0), args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                    store(target + x_bytes, 0, acc)
            clear(out + y * out_row, out_row, out_channel, 1, channels, line_vectors, halo_vectors, zero)

    return kernel_entry(elementwise)
