"""Dense convolution: a register tile of output channels by pixels, the baseline of every sparse measurement.

Weights are packed ``[group of R output channels][tap][R]``; a tap is one (input channel, row, column) with its byte
offset, as in the sparse kernel. Each tap is an outer product of R weights and a tile of shifted pixels.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, outer_product
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``outputs`` channels by ``rows x vectors`` pixels; a last block of channels overlaps the one before."""
    read = arguments(kernel)
    outputs, rows, vectors = (
        kernel.parameter("outputs"),
        kernel.parameter("rows"),
        kernel.parameter("vectors"),
    )
    lanes = kernel.lanes
    pixels, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows, 1)
    block = Tile(kernel.element, lanes, rows, vectors, outputs)
    item, vector_bytes, mask_bytes = block.item, block.vector_bytes, block.mask_bytes
    load, start, keep_pixels, store = (
        pixels.load,
        block.splat_channels,
        block.keep_pixels,
        block.store_channels,
    )
    splat_one, store_one = single.splat, single.store
    multiply = outer_product(block, pixels)
    epilogue = image_epilogue(kernel, block)
    zero = block.zero

    def conv_dense(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets = given.x, given.tap_offsets
        weights, bias = given.weights, given.bias
        taps, groups, x_group = given.taps, given.groups, given.x_group
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        group_out = c_out // groups
        group_blocks = (group_out + outputs - 1) // outputs
        blocks = groups * group_blocks
        for row_tile in range((height + rows - 1) // rows):
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                target = out + y * out_row + x_bytes
                for b in range(blocks):
                    group = b // group_blocks
                    channel = group * group_out + min(
                        (b - group * group_blocks) * outputs, group_out - outputs
                    )
                    source = x + y * x_row + x_bytes + group * x_group
                    w = weights + b * taps * outputs * item
                    acc = start(bias + channel * item)
                    for k in range(taps):
                        acc = multiply(acc, w, load(source + load_i32(tap_offsets, k), x_row))
                        w += outputs * item
                    acc = epilogue(acc, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                    store(target + channel * out_channel, out_channel, out_row, acc)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for b in range(blocks):
                    group = b // group_blocks
                    channel = group * group_out + min(
                        (b - group * group_blocks) * outputs, group_out - outputs
                    )
                    for r in range(outputs):
                        target = out + y * out_row + (channel + r) * out_channel + halo * vector_bytes
                        store_one(target, out_row, splat_one(zero))

    return kernel_entry(conv_dense)
