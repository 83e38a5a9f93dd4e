"""Sparse convolution in groups of output channels that share loads of pixels (see ``vector_ir.steps``).

A column is one tap with its byte offset, as in ``conv_csr`` and ``conv_dense``. Channels are put in groups of
``outputs`` with about as many nonzeros each; a table holds their true numbers, so the order shows nowhere. Where the
input is too deep for the first-level cache, columns come in chunks of input channels with an order of channels each,
and a group goes on from the sums that the chunk before left in the output.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.patterns import step_kinds
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, multiply_steps
from sparsenet.targets.cpu.vector_ir.steps import COUNT
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``outputs`` channels by ``rows x vectors`` pixels."""
    read = arguments(kernel)
    outputs, rows, vectors = (
        kernel.parameter("outputs"),
        kernel.parameter("rows"),
        kernel.parameter("vectors"),
    )
    lanes = kernel.lanes
    pixels, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows, 1)
    block = Tile(kernel.element, lanes, rows, vectors, outputs)
    vector_bytes, mask_bytes = block.vector_bytes, block.mask_bytes
    start, resume, store, keep_pixels = block.splat_at, block.load_at, block.store_at, block.keep_pixels
    splat_one, store_one = single.splat, single.store
    multiply = multiply_steps(block, pixels)
    epilogue = image_epilogue(kernel, block, scattered=True)
    count_bytes, table_bytes = COUNT.itemsize * len(step_kinds(outputs)), I32.itemsize * outputs
    zero = block.zero

    def conv_pattern(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, stream, counts = given.x, given.stream, given.counts
        channels, bias = given.channels, given.bias
        row_groups, chunks = given.row_groups, given.chunks
        height, full_vectors, lane_bits = given.height, given.full_vectors, given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map or line moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                source, target = x + y * x_row + x_bytes, out + y * out_row + x_bytes
                column, count = stream, counts
                table = channels
                for chunk in range(chunks):
                    for _ in range(row_groups):
                        if chunk == 0:
                            acc = start(bias, table)
                        else:
                            acc = resume(target, table, out_channel, out_row)
                        acc, column = multiply(acc, column, count, source, x_row)
                        count += count_bytes
                        if chunk == chunks - 1:
                            acc = epilogue(acc, args, bases, table, y, x_bytes)
                            if vector + vectors > full_vectors:
                                acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                        store(target, table, out_channel, out_row, acc)
                        table += table_bytes
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for i in range(row_groups * outputs):
                    target = out + y * out_row + load_i32(channels, i) * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zero))

    return kernel_entry(conv_pattern)
