"""Sparse convolution in 8 bits over a *panel*: the pixels of a tile, copied tap behind tap, as products take them.

As ``conv_csr_quads``, for machines with vectors so short that a panel of many of them fits into the first-level cache.
Of what a product costs beside itself, most is then paid once for all output channels: pixels less 128, where they must
be signed, and the addresses of several rows. Each channel of a quad is brought to 16 bits before the next begins, so
that a tile may fill the registers.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.panels import PANEL_BYTES
from sparsenet.targets.cpu.requantize import requantized_by_channel
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, stack_memory
from sparsenet.targets.cpu.vector_ir.panel import made_ready, multiply_stream
from sparsenet.targets.family import Dot
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of four output channels; ``taps`` of them fit into ``PANEL_BYTES``.

    The stream holds quads of weights, each with the byte offset of its tap in the panel, and ``SPARE_WORDS``.
    """
    read, dot = arguments(kernel), Dot(kernel.parameter("dot"))
    rows, vectors, lanes = kernel.parameter("rows"), kernel.parameter("vectors"), kernel.lanes
    pixels, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows)
    sums = Tile(I32, lanes, rows, vectors)
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    tap_bytes = pixels.count * vector_bytes
    load, keep_lanes, store = pixels.load, pixels.keep_lanes, pixels.store
    splat_one, store_one = single.splat, single.store
    splat, ready, multiply = sums.splat, made_ready(pixels, dot), multiply_stream(sums, pixels, dot)
    one, together = requantized_by_channel(kernel, rows, vectors)
    memory, sums_memory = stack_memory(PANEL_BYTES), stack_memory(QUAD * pixels.count * vector_bytes)
    # The rows of a tile are behind each other in a panel.
    row_bytes, step_bytes = vectors * vector_bytes, 2 * I32.itemsize

    @inlined
    def products(channel, row_offsets, stream, bias, panel):  # type: ignore[no-untyped-def]
        first, end = load_i32(row_offsets, channel), load_i32(row_offsets, channel + 1)
        return multiply(splat(load_i32(bias, channel)), stream + first * step_bytes, end - first, panel)

    def panel_conv_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets, taps = given.x, given.tap_offsets, given.taps
        row_offsets, stream, bias, zero = given.row_offsets, given.stream, given.bias, given.zero
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        panel, kept = memory(), sums_memory()
        zeros = zero * EVERY_BYTE
        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map or line moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                source, target = x + y * x_row + x_bytes, out + y * out_row + x_bytes
                for tap in range(taps):
                    store(
                        panel + tap * tap_bytes,
                        row_bytes,
                        ready(load(source + load_i32(tap_offsets, tap), x_row)),
                    )
                for channel in range(c_out):
                    first, place = QUAD * channel, (given, args, bases, channel, y, x_bytes)
                    for j in range(QUAD):
                        one(products(first + j, row_offsets, stream, bias, panel), j, kept, place)
                    quads = together(kept, place)
                    if vector + vectors > full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + channel * out_channel, out_row, quads)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for channel in range(c_out):
                    target = out + y * out_row + channel * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zeros))

    return kernel_entry(panel_conv_quads, exact=True)
