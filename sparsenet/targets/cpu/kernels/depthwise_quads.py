"""Depthwise convolution in 8 bits: each channel by its own small window, four rows of it in one product."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, F32, I32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.requantize import fused
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, to_float
from sparsenet.targets.cpu.vector_ir.window_quads import (
    WindowSize,
    multiply_windows,
    pack_windows,
    per_channel,
)
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile one vector of pixels of four channels by ``rows`` rows, which share the rows of the input that they read."""
    read = arguments(kernel)
    rows, lanes, dot = kernel.parameter("rows"), kernel.lanes, kernel.parameter("dot")
    size = WindowSize(kernel.parameter("height"), kernel.parameter("width"), kernel.parameter("stride"), rows)
    sums, pixels = Tile(I32, lanes, rows, QUAD), Tile(kernel.element, lanes, rows)
    single = Tile(kernel.element, lanes)
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    start, multiply, finish = (
        per_channel(sums),
        multiply_windows(size, lanes, dot),
        _requantized(kernel, size),
    )
    keep_lanes, store, splat_one, store_one = pixels.keep_lanes, pixels.store, single.splat, single.store
    weight_bytes, number_bytes, stride = size.weight_bytes, QUAD * I32.itemsize, size.stride

    def depthwise_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, columns, weights = given.x, given.column_offsets, given.weights
        bias, zero = given.bias, given.zero
        x_row, tap_row, x_channel = given.x_row, given.tap_row, given.x_channel
        channels, height, full_vectors = given.c_out, given.height, given.full_vectors
        lane_bits, line_vectors, halo_vectors = given.lane_bits, given.line_vectors, given.halo_vectors
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        zeros = zero * EVERY_BYTE
        for row_tile in range((height + rows - 1) // rows):
            # The last tile of a map moves back to end with it: a few pixels twice, no tail kernels.
            y = min(row_tile * rows, height - rows)
            for channel in range(channels):
                source, target = (
                    x + y * x_row + channel * x_channel,
                    out + y * out_row + channel * out_channel,
                )
                w, numbers = weights + channel * weight_bytes, channel * number_bytes
                for vector in range(line_vectors):
                    x_bytes = vector * vector_bytes
                    acc = multiply(start(bias + numbers), w, source + x_bytes * stride, columns, tap_row)
                    quads = finish(acc, given, args, bases, channel, y, x_bytes)
                    if vector >= full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + x_bytes, out_row, quads)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    for row in range(rows):
                        store_one(target + row * out_row + halo * vector_bytes, out_row, splat_one(zeros))

    return kernel_entry(depthwise_quads, exact=True)


def _requantized(kernel: Kernel, size: WindowSize) -> Any:
    """``f(acc, given, args, bases, channel, y, x_bytes)``: quads of sums, as ``cpu.requantize`` makes them."""
    lanes, dot = kernel.lanes, kernel.parameter("dot")
    values = Tile(F32, lanes, size.rows, QUAD)
    multiply, factors = values.mul, per_channel(values)
    as_float, pack = to_float(Tile(I32, lanes, size.rows, QUAD)), pack_windows(size, lanes, dot)
    epilogue, scale_bytes = fused(kernel, values), QUAD * F32.itemsize

    def finish(acc, given, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        scaled = multiply(as_float(acc), factors(given.scale + channel * scale_bytes))
        numbers = epilogue(scaled, args, bases, channel, y, x_bytes)
        return pack(numbers, given.zero, load_i32(given.low, channel), load_i32(given.high, channel))

    return inlined(finish, exact=True)
