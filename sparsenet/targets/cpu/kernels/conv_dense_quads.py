"""Dense convolution in 8 bits: a register tile of four output channels by pixels.

As ``conv_dense``: weights are packed ``[quad of output channels][tap][4]``, and a tap is one (quad of input channels,
row, column) with its byte offset. Groups have whole quads of channels.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.requantize import requantized
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, outer_product, quad_product
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of four output channels."""
    read = arguments(kernel)
    rows, vectors, lanes = kernel.parameter("rows"), kernel.parameter("vectors"), kernel.lanes
    pixels, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows)
    sums = Tile(I32, lanes, rows, vectors, QUAD)
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    load, start, keep_lanes, store = pixels.load, sums.splat_channels, pixels.keep_lanes, pixels.store
    splat_one, store_one = single.splat, single.store
    multiply = outer_product(sums, pixels, quad_product(kernel.parameter("dot"), lanes))
    finish = requantized(kernel, rows, vectors)
    weight_bytes = QUAD * I32.itemsize

    def conv_dense_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets, weights = given.x, given.tap_offsets, given.weights
        bias, zero = given.bias, given.zero
        taps, groups, x_group = given.taps, given.groups, given.x_group
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        zeros, group_out = zero * EVERY_BYTE, c_out // groups
        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map or line moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                target, w = out + y * out_row + x_bytes, weights
                for channel in range(c_out):
                    source = x + y * x_row + x_bytes + channel // group_out * x_group
                    acc = start(bias + channel * weight_bytes)
                    for k in range(taps):
                        acc = multiply(acc, w, load(source + load_i32(tap_offsets, k), x_row))
                        w += weight_bytes
                    quads = finish(acc, given, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + channel * out_channel, out_row, quads)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for channel in range(c_out):
                    target = out + y * out_row + channel * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zeros))

    return kernel_entry(conv_dense_quads, exact=True)
