"""Depthwise convolution: each channel by its own small kernel, taps unrolled."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.epilogue import image_epilogue
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile, load_f32, load_i32


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of one channel; ``taps`` is K_h * K_w, unrolled; ``stride`` 1 or 2 columns."""
    stride = kernel.parameter("stride")
    taps, rows, vectors, lanes = (
        kernel.parameter("taps"),
        kernel.parameter("rows"),
        kernel.parameter("vectors"),
        kernel.lanes,
    )
    tile, single = Tile(lanes, rows, vectors), Tile(lanes, rows, 1)
    load = tile.load if stride == 1 else tile.load_every_second
    fma, splat, keep_pixels, store = tile.fma, tile.splat, tile.keep_pixels, tile.store
    splat_one, store_one = single.splat, single.store
    epilogue = image_epilogue(kernel, tile)
    zero = np.float32(0)

    def depthwise(args, bases):  # type: ignore[no-untyped-def]
        x, tap_offsets = pointer(args, bases, 0), pointer(args, bases, 1)
        weights, bias = pointer(args, bases, 2), pointer(args, bases, 3)
        multiplier, x_channel, c_out = integer(args, 4), integer(args, 5), integer(args, 6)
        height, full_vectors = integer(args, 7), integer(args, 8)
        lane_bits = pointer(args, bases, 9)
        line_vectors, halo_vectors, x_row = integer(args, 10), integer(args, 11), integer(args, 12)
        out, out_row, out_channel = pointer(args, bases, 13), integer(args, 14), integer(args, 15)

        for row_tile in range((height + rows - 1) // rows):
            y = min(row_tile * rows, height - rows)
            for channel in range(c_out):
                w = weights + channel * taps * 4
                source = x + y * x_row + (channel // multiplier) * x_channel
                target = out + y * out_row + channel * out_channel
                for vector in range(0, line_vectors, vectors):
                    vector = min(vector, line_vectors - vectors)
                    x_bytes = vector * lanes * 4
                    acc = splat(load_f32(bias, channel))
                    for k in range(taps):
                        acc = fma(
                            acc,
                            load_f32(w, k),
                            load(source + x_bytes * stride + load_i32(tap_offsets, k), x_row),
                        )
                    acc = epilogue(acc, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        acc = keep_pixels(acc, lane_bits + vector * 2)
                    store(target + x_bytes, out_row, acc)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store_one(target + halo * lanes * 4, out_row, splat_one(zero))

    return kernel_entry(depthwise)
