"""Sparse convolution in 8 bits: for every quad of weights with a nonzero, four weights times a tile of pixels' quads.

As ``conv_csr``, with quads of channels in place of channels: a tap is four input channels of one pixel, and four
output channels, computed in turn, leave as one quad. A weight of the stream is four signed bytes.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.requantize import requantized
from sparsenet.targets.cpu.vector_ir import Tile, four_channels, load_i32, multiply_quads
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of four output channels."""
    read = arguments(kernel)
    rows, vectors, lanes = kernel.parameter("rows"), kernel.parameter("vectors"), kernel.lanes
    pixels, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows)
    sums = Tile(I32, lanes, rows, vectors)
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    load, keep_lanes, store = pixels.load, pixels.keep_lanes, pixels.store
    splat_one, store_one = single.splat, single.store
    splat, multiply, together = (
        sums.splat,
        multiply_quads(sums, pixels, kernel.parameter("dot")),
        four_channels(sums),
    )
    finish = requantized(kernel, rows, vectors)

    @inlined
    def products(channel, row_offsets, stream, bias, source, x_row):  # type: ignore[no-untyped-def]
        acc = splat(load_i32(bias, channel))
        for k in range(load_i32(row_offsets, channel), load_i32(row_offsets, channel + 1)):
            acc = multiply(acc, load_i32(stream, 2 * k), load(source + load_i32(stream, 2 * k + 1), x_row))
        return acc

    def conv_csr_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, row_offsets, stream = given.x, given.row_offsets, given.stream
        bias, zero = given.bias, given.zero
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        zeros = zero * EVERY_BYTE
        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map or line moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                source, target = x + y * x_row + x_bytes, out + y * out_row + x_bytes
                for channel in range(c_out):
                    first = QUAD * channel
                    acc = together(
                        products(first, row_offsets, stream, bias, source, x_row),
                        products(first + 1, row_offsets, stream, bias, source, x_row),
                        products(first + 2, row_offsets, stream, bias, source, x_row),
                        products(first + 3, row_offsets, stream, bias, source, x_row),
                    )
                    quads = finish(acc, given, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + channel * out_channel, out_row, quads)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for channel in range(c_out):
                    target = out + y * out_row + channel * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zeros))

    return kernel_entry(conv_csr_quads, exact=True)
