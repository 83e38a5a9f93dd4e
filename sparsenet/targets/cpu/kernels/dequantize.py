"""A map in quads of bytes to a float32 one: x = scale * float32(byte - zero)."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import QUAD, U8X4
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.casts import channel_of_quads
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector of one channel at a time; exactly ``columns`` numbers of each line are written, zeros at its end."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile, quads = Tile(kernel.element, lanes), Tile(U8X4, lanes)
    item = tile.item
    load, load_between, steps_of = quads.load, quads.load_between, channel_of_quads(quads)
    multiply, splat, store = tile.mul, tile.splat, tile.store
    keep, store_between, nothing = tile.keep, tile.store_between, tile.zero

    def dequantize(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel, x_columns = given.x, given.x_row, given.x_channel, given.x_columns
        channels, rows, columns = given.channels, given.rows, given.columns
        scale, zero = given.scale, given.zero
        out, out_row, out_channel = given.out, given.out_row, given.out_channel
        whole = min(x_columns, columns)
        for row in range(rows):
            for channel in range(channels):
                source = x + row * x_row + channel // QUAD * x_channel
                target = out + row * out_row + channel * out_channel
                for column in range(0, columns, lanes):
                    at = column * item
                    if column + lanes <= whole:
                        steps = steps_of(load(source + at, 0), channel % QUAD, zero)
                        store(target + at, 0, multiply(steps, splat(scale)))
                    elif column >= x_columns:
                        store_between(target + at, 0, columns - column, splat(nothing))
                    else:
                        end = x_columns - column
                        steps = steps_of(load_between(source + at, 0, end), channel % QUAD, zero)
                        values = keep(multiply(steps, splat(scale)), 0, end, nothing)
                        store_between(target + at, 0, columns - column, values)

    return kernel_entry(dequantize, exact=True)
