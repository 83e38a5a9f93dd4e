"""Average pooling of maps in quads of bytes: sums over windows, times a factor for each column."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, F32, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import NO_BOUNDS, Tile, load_i32, pack_quads, to_float
from sparsenet.targets.cpu.vector_ir.byte_sums import MOST_BYTES, add_bytes, pairs_of, spread_pairs
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector at a time; all rows of a call have the same factors.

    ``less`` is what all sums hold too much: the zero point times ``taps``, padding included, which holds it too.
    """
    read, lanes = arguments(kernel), kernel.lanes
    pixels, sums = Tile(kernel.element, lanes), Tile(I32, lanes, outputs=QUAD)
    pairs, values = pairs_of(pixels), Tile(F32, lanes, outputs=QUAD)
    load, add_pairs, spread, no_pairs = pixels.load, add_bytes(pixels), spread_pairs(pixels), pairs.splat
    nothing, as_float, multiply = sums.splat, to_float(sums), values.mul
    plus, factors = sums.add, values.load_channels
    pack, keep_lanes, store = pack_quads(pixels, kernel.parameter("dot")), pixels.keep_lanes, pixels.store
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    clear = clear_halo(kernel.element, lanes)

    def avg_pool_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets, taps, less = given.x, given.tap_offsets, given.taps, given.less
        scale, zero = given.scale, given.zero
        x_row, x_channel, channels = given.x_row, given.x_channel, given.channels
        height, full_vectors = given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors = given.line_vectors, given.halo_vectors
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        zeros = zero * EVERY_BYTE
        for y in range(height):
            for channel in range(channels):
                source, target = (
                    x + y * x_row + channel * x_channel,
                    out + y * out_row + channel * out_channel,
                )
                for vector in range(line_vectors):
                    x_bytes = vector * vector_bytes
                    acc = nothing(-less)
                    for first in range(0, taps, MOST_BYTES):
                        few = no_pairs(0)
                        for k in range(first, min(first + MOST_BYTES, taps)):
                            few = add_pairs(few, load(source + x_bytes + load_i32(tap_offsets, k), 0))
                        acc = plus(acc, spread(few))
                    numbers = multiply(as_float(acc), factors(scale + x_bytes, 0, 0))
                    quads = pack(numbers, zero, *NO_BOUNDS)
                    if vector >= full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + x_bytes, 0, quads)
            clear(out + y * out_row, out_row, out_channel, 1, channels, line_vectors, halo_vectors, zeros)

    return kernel_entry(avg_pool_quads, exact=True)
