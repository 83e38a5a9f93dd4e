"""Sparse convolution in 8 bits, four output channels at a time, which share loads of pixels (see ``vector_ir.steps``).

As ``conv_pattern``, with quads of weights in place of weights. Its groups are the quads of output channels in their
order, since a pixel's four results leave as one number; there are no chunks, since sums that are not finished would not
fit into the output.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.patterns import bucket_kinds
from sparsenet.targets.cpu.requantize import requantized
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, multiply_buckets, quad_product
from sparsenet.targets.cpu.vector_ir.steps import COUNT
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of four output channels."""
    read = arguments(kernel)
    rows, vectors, lanes = kernel.parameter("rows"), kernel.parameter("vectors"), kernel.lanes
    pixels, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows)
    sums = Tile(I32, lanes, rows, vectors, QUAD)
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    start, keep_lanes, store = sums.splat_channels, pixels.keep_lanes, pixels.store
    splat_one, store_one = single.splat, single.store
    kinds = bucket_kinds(QUAD)
    multiply = multiply_buckets(sums, pixels, quad_product(kernel.parameter("dot"), lanes))
    finish = requantized(kernel, rows, vectors)
    count_bytes = COUNT.itemsize * len(kinds)
    bias_bytes = QUAD * I32.itemsize

    def conv_pattern_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, group_offsets, stream, counts = given.x, given.group_offsets, given.stream, given.counts
        bias, zero = given.bias, given.zero
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        zeros = zero * EVERY_BYTE
        begin = stream + load_i32(group_offsets, 0)
        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map or line moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                source, target = x + y * x_row + x_bytes, out + y * out_row + x_bytes
                column, count = begin, counts
                for channel in range(c_out):
                    acc, column = multiply(start(bias + channel * bias_bytes), column, count, source, x_row)
                    count += count_bytes
                    quads = finish(acc, given, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + channel * out_channel, out_row, quads)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for channel in range(c_out):
                    target = out + y * out_row + channel * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zeros))

    return kernel_entry(conv_pattern_quads, exact=True)
