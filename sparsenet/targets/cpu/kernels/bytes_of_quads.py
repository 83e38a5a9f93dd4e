"""A map in quads of bytes to one in C order."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import QUAD, U8X4
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.casts import byte_of_quads
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector of quads at a time becomes the bytes of four channels; exactly ``columns`` of each line are written."""
    read = arguments(kernel)
    lanes = kernel.lanes
    octets, quads = Tile(kernel.element, lanes), Tile(U8X4, lanes)
    item = quads.item
    load, load_between, byte = quads.load, quads.load_between, byte_of_quads(quads)
    store, store_between = octets.store, octets.store_between

    def bytes_of_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel = given.x, given.x_row, given.x_channel
        channels, rows, columns = given.channels, given.rows, given.columns
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        for row in range(rows):
            for first in range(0, channels, QUAD):
                source = x + row * x_row + first // QUAD * x_channel
                target = out + row * out_row + first * out_channel
                together = min(QUAD, channels - first)
                for column in range(0, columns, lanes):
                    left = columns - column
                    if left >= lanes:
                        pixels = load(source + column * item, 0)
                        for channel in range(together):
                            store(target + channel * out_channel + column, 0, byte(pixels, channel))
                    else:
                        pixels = load_between(source + column * item, 0, left)
                        for channel in range(together):
                            numbers = byte(pixels, channel)
                            store_between(target + channel * out_channel + column, 0, left, numbers)

    return kernel_entry(bytes_of_quads)
