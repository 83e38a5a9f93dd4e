"""A map of bytes in C order to one in quads."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, QUAD, U8
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.casts import quads_of_bytes
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector of pixels, four channels at a time; of a last quad that is not full, the last channel fills up.

    Exactly ``columns`` quads of each line are written; those behind the source's pixels stand for 0.
    """
    read = arguments(kernel)
    lanes = kernel.lanes
    octets, pixels = Tile(U8, lanes), Tile(kernel.element, lanes)
    item = pixels.item
    load, load_between, together = octets.load, octets.load_between, quads_of_bytes(octets)
    store, keep, store_between = pixels.store, pixels.keep, pixels.store_between

    def quads_of_bytes_(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, x_columns = given.x, given.x_row, given.x_channel, given.x_columns
        channels, rows, columns = given.channels, given.rows, given.columns
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        zeros, whole = given.zero * EVERY_BYTE, min(x_columns, columns)
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
                    at = target + column * item
                    if column + lanes <= whole:
                        quads = together(
                            load(a + column, 0), load(b + column, 0), load(c + column, 0), load(d + column, 0)
                        )
                        store(at, 0, quads)
                    else:
                        end = x_columns - column
                        quads = together(
                            load_between(a + column, 0, end),
                            load_between(b + column, 0, end),
                            load_between(c + column, 0, end),
                            load_between(d + column, 0, end),
                        )
                        store_between(at, 0, columns - column, keep(quads, 0, end, zeros))

    return kernel_entry(quads_of_bytes_)
