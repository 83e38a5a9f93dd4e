"""Product of a map and one number per channel (squeeze-and-excitation), over rows; then the epilogue."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.vector_ir import Tile, load_f32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``vectors`` vectors of one line per step."""
    read = arguments(kernel)
    vectors, lanes = kernel.parameter("vectors"), kernel.lanes
    tile, single = Tile(kernel.element, lanes, 1, vectors), Tile(kernel.element, lanes)
    vector_bytes, mask_bytes = tile.vector_bytes, tile.mask_bytes
    load, keep_pixels, store = tile.load, tile.keep_pixels, tile.store
    mul, splat = tile.mul, tile.splat
    splat_one, store_one = single.splat, single.store
    epilogue = image_epilogue(kernel, tile)
    zero = tile.zero

    def scale(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, gain = given.x, given.x_row, given.x_channel, given.gain
        channels, height, full_vectors = given.channels, given.height, given.full_vectors
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
                    acc = epilogue(
                        mul(load(source + x_bytes, 0), splat(load_f32(gain, channel))),
                        args,
                        bases,
                        channel,
                        y,
                        x_bytes,
                    )
                    if vector + vectors > full_vectors:
                        acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                    store(target + x_bytes, 0, acc)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store_one(target + halo * vector_bytes, 0, splat_one(zero))

    return kernel_entry(scale)
