"""Depthwise convolution in 8 bits: each channel by its own small window, four rows of it in one product."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import EVERY_BYTE, F32, I32, QUAD, U8X4
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.requantize import fused
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, to_float
from sparsenet.targets.cpu.vector_ir.window_quads import (
    WindowSize,
    multiply_adjacent,
    multiply_windows,
    pack_products,
    pack_windows,
    per_channel,
)
from sparsenet.targets.family import Clip, Dot
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile one vector of pixels of four channels by ``rows`` rows, which share the rows of the input that they read.

    With AArch64's ``dot`` and ``stride`` 1 the columns of a window have no gaps, and ``column_offsets`` are not read.
    """
    read = arguments(kernel)
    rows, lanes, dot = kernel.parameter("rows"), kernel.lanes, kernel.parameter("dot")
    size = WindowSize(kernel.parameter("height"), kernel.parameter("width"), kernel.parameter("stride"), rows)
    pixels, single = Tile(kernel.element, lanes, rows), Tile(kernel.element, lanes)
    vector_bytes, mask_bytes = pixels.vector_bytes, pixels.mask_bytes
    open_channel, start, finish = _requantized(kernel, size)
    open_weights, open_line, windows = _windows(size, lanes, dot)
    keep_lanes, store, splat_one, store_one = pixels.keep_lanes, pixels.store, single.splat, single.store
    weight_bytes, stride = size.weight_bytes, size.stride

    def depthwise_quads(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, columns, weights = given.x, given.column_offsets, given.weights
        zero = given.zero
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
                w = open_weights(weights + channel * weight_bytes)
                opened, here = open_channel(given, channel), open_line(source, columns, tap_row)
                for vector in range(line_vectors):
                    x_bytes = vector * vector_bytes
                    acc = start(opened, given, channel)
                    acc, here = windows(acc, w, source + x_bytes * stride, columns, tap_row, here)
                    quads = finish(acc, opened, given, args, bases, channel, y, x_bytes)
                    if vector >= full_vectors:
                        quads = keep_lanes(quads, lane_bits + vector * mask_bytes, zeros)
                    store(target + x_bytes, out_row, quads)
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    for row in range(rows):
                        store_one(target + row * out_row + halo * vector_bytes, out_row, splat_one(zeros))

    return kernel_entry(depthwise_quads, exact=True)


def _windows(size: WindowSize, lanes: int, dot: int) -> tuple[Any, Any, Any]:
    """What is kept of a line while its windows are multiplied, and the products of one vector of windows.

    ``open_weights(address)`` is what ``windows(acc, weights, source, columns, row_step, kept)`` takes for weights,
    ``open_line(source, columns, row_step)`` what it takes as kept for the first vector; it returns the sums and what it
    takes for the next one.
    """
    if lanes == QUAD and size.stride == 1 and size.width <= QUAD + 1 and Dot(dot).is_arm:
        open_weights, read, multiply = multiply_adjacent(size, dot)
        pixels = QUAD * U8X4.itemsize

        def open_line(source, columns, row_step):  # type: ignore[no-untyped-def]
            return read(source, row_step)

        def windows(acc, weights, source, columns, row_step, kept):  # type: ignore[no-untyped-def]
            following = read(source + pixels, row_step)
            return multiply(acc, weights, kept, following), following

        return open_weights, inlined(open_line, exact=True), inlined(windows, exact=True)

    multiply = multiply_windows(size, lanes, dot)

    def nothing(weights):  # type: ignore[no-untyped-def]
        return weights

    def no_line(source, columns, row_step):  # type: ignore[no-untyped-def]
        return 0

    def one_by_one(acc, weights, source, columns, row_step, kept):  # type: ignore[no-untyped-def]
        return multiply(acc, weights, source, columns, row_step), kept

    return tuple(inlined(function, exact=True) for function in (nothing, no_line, one_by_one))


def _requantized(kernel: Kernel, size: WindowSize) -> tuple[Any, Any, Any]:
    """``open``, ``start`` and ``finish``: before and behind the products of a vector of windows.

    ``open(given, channel)`` reads once for a line what depends on the channel alone, where registers hold it;
    ``start(opened, given, channel)`` is the bias, ``finish(acc, opened, given, args, bases, channel, y, x_bytes)`` the
    quads of sums, as ``cpu.requantize`` makes them.
    """
    lanes, dot = kernel.lanes, kernel.parameter("dot")
    values, sums = Tile(F32, lanes, size.rows, QUAD), Tile(I32, lanes, size.rows, QUAD)
    multiply, factors, biases = values.mul, per_channel(values), per_channel(sums)
    as_float, pack = to_float(sums), pack_windows(size, lanes, dot, Clip(kernel.parameter("clip")))
    pack_fixed = pack_products(size, lanes, Dot(dot), Clip(kernel.parameter("clip")))
    epilogue, number_bytes = fused(kernel, values), QUAD * F32.itemsize

    def read_channel(given, channel):  # type: ignore[no-untyped-def]
        start, scales = (
            biases(given.bias + channel * number_bytes),
            factors(given.scale + channel * number_bytes),
        )
        multipliers = biases(given.multiplier + channel * number_bytes)
        fixed = load_i32(given.multiplier, QUAD * channel) != 0
        return start, scales, multipliers, fixed, load_i32(given.low, channel), load_i32(given.high, channel)

    read_channel = inlined(read_channel, exact=True)
    if Dot(dot).is_arm:

        def start(opened, given, channel):  # type: ignore[no-untyped-def]
            return opened[0]

        def finish(acc, opened, given, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
            _, scales, multipliers, fixed, low, high = opened
            if fixed:
                return pack_fixed(acc, multipliers, given.zero, low, high)
            numbers = epilogue(multiply(as_float(acc), scales), args, bases, channel, y, x_bytes)
            return pack(numbers, given.zero, low, high)

        return read_channel, inlined(start, exact=True), inlined(finish, exact=True)

    def nothing(given, channel):  # type: ignore[no-untyped-def]
        return 0

    def start_here(opened, given, channel):  # type: ignore[no-untyped-def]
        return biases(given.bias + channel * number_bytes)

    def finish_here(acc, opened, given, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        scaled = multiply(as_float(acc), factors(given.scale + channel * number_bytes))
        numbers = epilogue(scaled, args, bases, channel, y, x_bytes)
        return pack(numbers, given.zero, load_i32(given.low, channel), load_i32(given.high, channel))

    return tuple(inlined(function, exact=True) for function in (nothing, start_here, finish_here))
