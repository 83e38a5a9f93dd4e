"""Global average pooling of maps in quads of bytes, to one byte per channel."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import F32, I32, QUAD, U8
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, to_float
from sparsenet.targets.cpu.vector_ir.byte_sums import MOST_BYTES, add_bytes, pairs_of, spread_pairs
from sparsenet.targets.cpu.vector_ir.casts import to_bytes
from sparsenet.targets.cpu.vector_ir.sums import channel_sums
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Quad by quad: whole vectors are summed, and ``less``, what all sums hold too much, is taken off.

    Lanes behind the last pixel hold the zero point, so they count as 0 once ``less`` is the zero point times the number
    of lanes. A byte is rint(float32(sum) * scale) + zero.
    """
    read, lanes = arguments(kernel), kernel.lanes
    pixels, sums = Tile(kernel.element, lanes), Tile(I32, lanes, outputs=QUAD)
    pairs, four = pairs_of(pixels), Tile(I32, QUAD)
    load, add_pairs, spread, no_pairs = pixels.load, add_bytes(pixels), spread_pairs(pixels), pairs.splat
    nothing, add, total = sums.splat, sums.add, channel_sums(sums, four)
    minus, every, as_float, values = four.sub, four.splat, to_float(four), Tile(F32, QUAD)
    multiply, factor, rounded = values.mul, values.splat, to_bytes(values)
    store, vector_bytes = Tile(U8, QUAD).store, pixels.vector_bytes

    def global_avg_pool_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel = given.x, given.x_row, given.x_channel
        channels, height, line_vectors = given.channels, given.height, given.line_vectors
        less, scale, zero, out = given.less, given.scale, given.zero, given.out
        columns = min(line_vectors, MOST_BYTES)
        together = MOST_BYTES // columns  # rows whose sums 16 bits hold
        for channel in range(channels):
            acc = nothing(0)
            for first in range(0, line_vectors, columns):
                last = min(first + columns, line_vectors)
                for top in range(0, height, together):
                    few = no_pairs(0)
                    for y in range(top, min(top + together, height)):
                        line = x + channel * x_channel + y * x_row
                        for vector in range(first, last):
                            few = add_pairs(few, load(line + vector * vector_bytes, 0))
                    acc = add(acc, spread(few))
            numbers = multiply(as_float(minus(total(acc), every(less))), factor(scale))
            store(out + channel * QUAD, 0, rounded(numbers, zero))

    return kernel_entry(global_avg_pool_quads, exact=True)
