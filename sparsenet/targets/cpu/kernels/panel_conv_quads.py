"""Sparse convolution in 8 bits over a *panel*: the pixels of a tile, copied tap behind tap, as products take them.

As ``conv_csr_quads``, for machines with vectors so short that a panel of many of them fits into the first-level cache.
Of what a product costs beside itself, most is then paid once for all output channels: pixels less 128, where they must
be signed, and the addresses of several rows. Each channel of a quad is brought to bytes before the next begins, so that
a tile may fill the registers.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.panels import PANEL_BYTES
from sparsenet.targets.cpu.requantize import requantized_by_channel
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, stack_memory
from sparsenet.targets.cpu.vector_ir.panel import STEP_BYTES, made_ready, multiply_stream
from sparsenet.targets.family import Dot
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of four output channels; ``taps`` of them fit into ``PANEL_BYTES``.

    The stream holds quads of weights and byte offsets of their taps in the panel as ``vector_ir.panel`` takes them.
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
    (end_0, end_1, end_2, end_3), store_channels = requantized_by_channel(kernel, rows, vectors)
    memory = stack_memory(PANEL_BYTES)
    # The rows of a tile are behind each other in a panel.
    row_bytes = vectors * vector_bytes

    @inlined
    def products(channel, row_offsets, at, bias, panel):  # type: ignore[no-untyped-def]
        count = load_i32(row_offsets, channel + 1) - load_i32(row_offsets, channel)
        return multiply(splat(load_i32(bias, channel)), at, count, panel)

    def panel_conv_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets, taps = given.x, given.tap_offsets, given.taps
        row_offsets, stream, bias, zero = given.row_offsets, given.stream, given.bias, given.zero
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        panel, zeros = memory(), zero * EVERY_BYTE
        begin = stream + load_i32(row_offsets, 0) * STEP_BYTES
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
                at = begin
                for channel in range(c_out):
                    first, to = QUAD * channel, target + channel * out_channel
                    place = given, args, bases, channel, y, x_bytes
                    acc, at = products(first, row_offsets, at, bias, panel)
                    a = end_0(acc, place)
                    acc, at = products(first + 1, row_offsets, at, bias, panel)
                    b = end_1(acc, place)
                    acc, at = products(first + 2, row_offsets, at, bias, panel)
                    c = end_2(acc, place)
                    acc, at = products(first + 3, row_offsets, at, bias, panel)
                    store_channels(to, out_row, a, b, c, end_3(acc, place))
                    if vector + vectors > full_vectors:
                        quads = keep_lanes(load(to, out_row), lane_bits + vector * mask_bytes, zeros)
                        store(to, out_row, quads)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for channel in range(c_out):
                    target = out + y * out_row + channel * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zeros))

    return kernel_entry(panel_conv_quads, exact=True)
