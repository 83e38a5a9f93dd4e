"""Dense convolution with output channels along the lanes, for maps whose lines do not fill vectors.

Weights are packed ``[group][block of output channels][tap][output channel]``. Each tap multiplies the weights of one
block by single pixels, as many as registers hold: no lane is lost to the width of the map, and columns may be any
stride apart. Where taps are few, a vector holds a quarter of the channels for four neighbouring pixels instead, each
weight four times: the finished tile, which must be stored as lines of pixels like every other map, is then transposed
with a quarter of the shuffles.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.vector_ir import (
    Tile,
    channel_product,
    channel_start,
    load_i32,
    stack_memory,
    transpose_square,
)
from sparsenet.targets.registry import Kernel

#: Bytes of weights that every tile of pixels reads before the next ones are fetched: half of a common L2 cache.
RESIDENT_BYTES = 1 << 20


def build(kernel: Kernel) -> Any:
    """Tile ``rows x pixels`` by ``vectors`` vectors of channels.

    Rows left over are computed one by one; columns and channels left over by a tile that overlaps the one before.
    """
    read = arguments(kernel)
    rows, pixels, lanes = kernel.parameter("rows"), kernel.parameter("pixels"), kernel.lanes
    stride, vectors = kernel.parameter("stride"), kernel.parameter("vectors")
    single = Tile(kernel.element, lanes)
    item = single.item
    outputs, weight_bytes = vectors * lanes // kernel.parameter("together"), vectors * single.vector_bytes
    several, one = _tile(kernel, rows), _tile(kernel, 1)
    finish = _finish(kernel)
    stack = stack_memory(
        (rows * (kernel.parameter("pixels") // kernel.parameter("together")) + lanes) * weight_bytes
    )
    splat, store_between = single.splat, single.store_between
    zero = single.zero

    def conv_blocked(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, weights = given.x, given.weights
        taps, groups, x_group = given.taps, given.groups, given.x_group
        c_out, height, width, halo = given.c_out, given.height, given.width, given.halo
        x_row, out = given.x_row, given.out
        out_row, out_channel = given.out_row, given.out_channel

        finished = stack()
        group_out = c_out // groups
        group_blocks = (group_out + outputs - 1) // outputs
        blocks = groups * group_blocks
        at_once = max(RESIDENT_BYTES // (taps * weight_bytes), 1)
        for first_block in range(0, blocks, at_once):
            end_block = min(first_block + at_once, blocks)
            y = 0
            while y < height:
                count = rows if y + rows <= height else 1
                for column in range(0, width, pixels):
                    left = min(column, width - pixels)
                    for block in range(first_block, end_block):
                        group = block // group_blocks
                        channel = (block - group * group_blocks) * outputs
                        channel = group * group_out + min(channel, group_out - outputs)
                        source = x + y * x_row + left * (item * stride) + group * x_group
                        w = weights + block * taps * weight_bytes
                        if rows == 1:
                            one(args, bases, source, w, channel, finished)
                        elif count == rows:
                            several(args, bases, source, w, channel, finished)
                        else:
                            one(args, bases, source, w, channel, finished)
                        finish(args, bases, finished, count, channel, y, left)
                y += count
        written = min(halo, lanes - (pixels - 1) % lanes - 1)
        for y in range(height):
            for channel in range(c_out):
                target = out + y * out_row + channel * out_channel + width * item
                for first in range(written, halo, lanes):
                    store_between(target + first * item, 0, halo - first, splat(zero))

    return kernel_entry(conv_blocked)


def _tile(kernel: Kernel, rows: int) -> Any:
    """``f(args, bases, source, w, channel, out)``: the sums of one block of channels at ``rows`` rows, untransposed."""
    read = arguments(kernel)
    lanes, together, pixels = kernel.lanes, kernel.parameter("together"), kernel.parameter("pixels")
    sums = Tile(kernel.element, lanes, rows * (pixels // together), kernel.parameter("vectors"))
    start, multiply = (
        channel_start(sums, together),
        channel_product(sums, rows, kernel.parameter("stride"), together),
    )
    item, store, weight_bytes = sums.item, sums.store, sums.vectors * sums.vector_bytes

    @inlined
    def tile(args: int, bases: int, source: int, w: int, channel: int, out: int) -> None:
        given = read(args, bases)
        tap_offsets, taps, x_row = given.tap_offsets, given.taps, given.x_row
        acc = start(given.bias + channel * item)
        for k in range(taps):
            acc = multiply(acc, w, source + load_i32(tap_offsets, k), x_row)
            w += weight_bytes
        store(out, weight_bytes, acc)

    return tile


def _finish(kernel: Kernel) -> Any:
    """``f(args, bases, sums, rows, channel, y, left)``: transpose the sums of a tile, write lines of pixels."""
    read = arguments(kernel)
    lanes, together, pixels = kernel.lanes, kernel.parameter("together"), kernel.parameter("pixels")
    vectors, channels, columns = kernel.parameter("vectors"), lanes // together, pixels // together
    square, lines = Tile(kernel.element, lanes, channels), Tile(kernel.element, lanes, 1, 1, channels)
    item, vector_bytes, weight_bytes = lines.item, lines.vector_bytes, vectors * lines.vector_bytes
    load, transposed = square.load, transpose_square(square)
    keep, store, store_between = lines.keep, lines.store_channels, lines.store_channels_between
    epilogue = image_epilogue(kernel, lines)
    zero = lines.zero

    @inlined
    def finish(args: int, bases: int, sums: int, rows: int, channel: int, y: int, left: int) -> None:
        given = read(args, bases)
        width, halo, out = given.width, given.halo, given.out
        out_row, out_channel = given.out_row, given.out_channel
        for row in range(rows):
            for first in range(0, pixels, lanes):
                count = min(pixels - first, lanes)
                for vector in range(vectors):
                    start = sums + (row * columns + first // together) * weight_bytes + vector * vector_bytes
                    c, x_bytes = channel + vector * channels, (left + first) * item
                    result = epilogue(transposed(load(start, weight_bytes)), args, bases, c, y + row, x_bytes)
                    target = out + c * out_channel + (y + row) * out_row + x_bytes
                    if count == lanes:
                        store(target, out_channel, 0, result)
                    else:
                        # The last pixels of a line are stored together with zeros behind them.
                        last = left + first + count == width
                        end = count + (min(halo, lanes - count) if last else 0)
                        store_between(target, out_channel, 0, end, keep(result, 0, count, zero))

    return finish
