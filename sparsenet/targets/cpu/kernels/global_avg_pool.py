"""Global average pooling: one number per channel, over all rows at once or added to row by row."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.sums import channel_sums
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``channels`` channels at a time, a power of two up to the lanes; what is left over one by one.

    ``out`` becomes ``scale`` times the sum over ``height`` rows, plus what it was if ``accumulate`` is not 0. Lanes
    behind the last pixel are zero, so whole vectors are summed.
    """
    read = arguments(kernel)
    item, together = kernel.element.itemsize, kernel.parameter("channels")
    block, one = _sum_lines(kernel, together), _sum_lines(kernel, 1)

    def global_avg_pool(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, x_channel = given.x, given.x_row, given.x_channel
        channels, height, line_vectors = given.channels, given.height, given.line_vectors
        scale, accumulate, out = given.scale, given.accumulate, given.out
        whole = channels // together * together
        for channel in range(0, whole, together):
            lines = x + channel * x_channel
            block(lines, x_row, x_channel, height, line_vectors, scale, accumulate, out + channel * item)
        for channel in range(whole, channels):
            lines = x + channel * x_channel
            one(lines, x_row, x_channel, height, line_vectors, scale, accumulate, out + channel * item)

    return kernel_entry(global_avg_pool)


def _sum_lines(kernel: Kernel, channels: int) -> Any:
    """``f(x, x_row, x_channel, height, line_vectors, scale, accumulate, out)`` for ``channels`` channels."""
    tile, sums = Tile(kernel.element, kernel.lanes, outputs=channels), Tile(kernel.element, channels)
    vector_bytes = tile.vector_bytes
    load, add, total = tile.load_channels, tile.add, channel_sums(tile, sums)
    splat, mul, mul_add, load_sums, store = sums.splat, sums.mul, sums.mul_add, sums.load, sums.store

    @device
    def sum_lines(x, x_row, x_channel, height, line_vectors, scale, accumulate, out):  # type: ignore[no-untyped-def]
        acc = load(x, x_channel, 0)
        for vector in range(1, line_vectors):
            acc = add(acc, load(x + vector * vector_bytes, x_channel, 0))
        for y in range(1, height):
            for vector in range(line_vectors):
                acc = add(acc, load(x + y * x_row + vector * vector_bytes, x_channel, 0))
        if accumulate != 0:
            store(out, 0, mul_add(total(acc), splat(scale), load_sums(out, 0)))
        else:
            store(out, 0, mul(total(acc), splat(scale)))

    return sum_lines
