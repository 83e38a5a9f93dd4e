"""Sparse convolution: for every nonzero weight, one scalar times a tile of shifted pixels.

Weights are CSR over ``[C_out, C_in * K_h * K_w]``, packed as a stream of ``(float32 value, int32 byte offset)``: the
offset already holds channel, row and column of the tap, so 1x1, k x k, dilated and grouped convolutions are the same
sparse-matrix product over rows in place (no im2col; cf. direct sparse convolution, Park et al., arXiv 1608.01409).
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of one output channel."""
    read = arguments(kernel)
    rows, vectors, lanes = kernel.parameter("rows"), kernel.parameter("vectors"), kernel.lanes
    tile, single = Tile(kernel.element, lanes, rows, vectors), Tile(kernel.element, lanes, rows, 1)
    vector_bytes, mask_bytes = tile.vector_bytes, tile.mask_bytes
    load, fma, splat, keep_pixels, store = tile.load, tile.fma, tile.splat, tile.keep_pixels, tile.store
    splat_one, store_one = single.splat, single.store
    epilogue = image_epilogue(kernel, tile)
    zero = tile.zero

    def conv_csr(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, row_offsets = given.x, given.row_offsets
        stream, bias = given.stream, given.bias
        c_out, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map or line moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                x_bytes = vector * vector_bytes
                source, target = x + y * x_row + x_bytes, out + y * out_row + x_bytes
                k = load_i32(row_offsets, 0)
                for channel in range(c_out):
                    end = load_i32(row_offsets, channel + 1)
                    acc = splat(load_f32(bias, channel))
                    while k < end:
                        acc = fma(
                            acc, load_f32(stream, 2 * k), load(source + load_i32(stream, 2 * k + 1), x_row)
                        )
                        k += 1
                    acc = epilogue(acc, args, bases, channel, y, x_bytes)
                    if vector + vectors > full_vectors:
                        acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                    store(target + channel * out_channel, out_row, acc)
            for halo in range(line_vectors, line_vectors + halo_vectors):
                for channel in range(c_out):
                    target = out + y * out_row + channel * out_channel + halo * vector_bytes
                    store_one(target, out_row, splat_one(zero))

    return kernel_entry(conv_csr)
