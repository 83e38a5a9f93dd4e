"""The loop of every op over maps in quads of bytes whose results depend on what is at their own place alone."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel


def build_pointwise(kernel: Kernel, begin: Any, one_tile: Any) -> Any:
    """A kernel of ``vectors`` vectors of a line at a time.

    A plain tensor of bytes is one line of quads: its padding may be written.

    Args:
        kernel: of a family with the arguments ``x x_row x_channel zero channels``, those of lines and those of output.
        begin: ``f(args, bases)``, once in each call: what ``one_tile`` is given.
        one_tile: ``f(begun, quads, args, bases, channel, y, x_bytes)``: the results.
    """
    read = arguments(kernel)
    vectors, lanes = kernel.parameter("vectors"), kernel.lanes
    tile = Tile(kernel.element, lanes, 1, vectors)
    vector_bytes, mask_bytes = tile.vector_bytes, tile.mask_bytes
    load, keep_lanes, store = tile.load, tile.keep_lanes, tile.store
    clear = clear_halo(kernel.element, lanes)

    def pointwise_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, channels = given.x, given.x_row, given.x_channel, given.channels
        height, full_vectors = given.height, given.full_vectors
        lane_bits, zeros = given.lane_bits, given.zero * EVERY_BYTE
        line_vectors, halo_vectors = given.line_vectors, given.halo_vectors
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        begun = begin(args, bases)
        for y in range(height):
            for channel in range(channels):
                source, target = (
                    x + y * x_row + channel * x_channel,
                    out + y * out_row + channel * out_channel,
                )
                for vector in range(0, line_vectors, vectors):
                    vector = min(vector, line_vectors - vectors)
                    x_bytes = vector * vector_bytes
                    quads = one_tile(begun, load(source + x_bytes, 0), args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + x_bytes, 0, quads)
            clear(out + y * out_row, out_row, out_channel, 1, channels, line_vectors, halo_vectors, zeros)

    return kernel_entry(pointwise_quads, exact=True)
