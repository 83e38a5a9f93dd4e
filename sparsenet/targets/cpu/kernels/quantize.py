"""A float32 map to one in quads of bytes: byte = clamp(rint(x / scale) + zero, *NO_BOUNDS), half to even, NaN least."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, F32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.vector_ir import NO_BOUNDS, Tile, four_channels, pack_quads
from sparsenet.targets.cpu.vector_ir.casts import steps
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector of pixels, four channels at a time; of a last quad that is not full, the last channel fills up.

    Exactly ``columns`` quads of each line are written; those behind the source's pixels stand for 0.
    """
    read = arguments(kernel)
    lanes = kernel.lanes
    one, pixels, four = Tile(F32, lanes), Tile(kernel.element, lanes), Tile(F32, lanes, outputs=QUAD)
    item = pixels.item
    load, load_between, together = one.load, one.load_between, four_channels(one)
    divide, pack = steps(four), pack_quads(pixels, kernel.parameter("dot"))
    store, keep, store_between, splat = pixels.store, pixels.keep, pixels.store_between, pixels.splat

    def rounded(values, scale, zero):  # type: ignore[no-untyped-def]
        return pack(divide(values, scale), zero, *NO_BOUNDS)

    rounded = inlined(rounded, exact=True)

    def quantize(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, x_columns = given.x, given.x_row, given.x_channel, given.x_columns
        channels, rows, columns = given.channels, given.rows, given.columns
        scale, zero = given.scale, given.zero
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        zeros, whole = zero * EVERY_BYTE, min(x_columns, columns)
        for row in range(rows):
            for first in range(0, channels, QUAD):
                a = x + row * x_row + first * x_channel
                left = channels - 1 - first
                b, c, d = (
                    a + min(1, left) * x_channel,
                    a + min(2, left) * x_channel,
                    a + min(3, left) * x_channel,
                )
                target = out + row * out_row + first // QUAD * out_channel
                for column in range(0, columns, lanes):
                    at = column * item
                    if column + lanes <= whole:
                        values = together(load(a + at, 0), load(b + at, 0), load(c + at, 0), load(d + at, 0))
                        store(target + at, 0, rounded(values, scale, zero))
                    elif column >= x_columns:
                        store_between(target + at, 0, columns - column, splat(zeros))
                    else:
                        end = x_columns - column
                        values = together(
                            load_between(a + at, 0, end),
                            load_between(b + at, 0, end),
                            load_between(c + at, 0, end),
                            load_between(d + at, 0, end),
                        )
                        quads = keep(rounded(values, scale, zero), 0, end, zeros)
                        store_between(target + at, 0, columns - column, quads)

    return kernel_entry(quantize, exact=True)
