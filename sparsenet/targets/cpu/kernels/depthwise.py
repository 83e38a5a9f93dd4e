"""Depthwise convolution: each channel by its own small kernel, whose taps stay in registers along the line."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.epilogue import image_epilogue
from sparsenet.targets.cpu.halo import clear_halo
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32
from sparsenet.targets.cpu.vector_ir.window import Correlation, Span
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile ``rows x vectors`` pixels of one channel; ``taps`` is K_h * K_w, unrolled; ``stride`` 1 or 2 columns.

    With ``columns`` = K_w, of which ``before`` are padding on the left, the window's taps must be adjacent (dilation
    1) and it must step by ``stride`` rows too: each source row is then loaded once per tile. If the tile is the
    ``whole_line`` of input and output, the padding beside it is not even read. 0 ``columns`` stands for any window.
    """
    read = arguments(kernel)
    rows, vectors, lanes = kernel.parameter("rows"), kernel.parameter("vectors"), kernel.lanes
    taps, stride = kernel.parameter("taps"), kernel.parameter("stride")
    tile = Tile(kernel.element, lanes, rows, vectors)
    item, vector_bytes, mask_bytes, zero = tile.item, tile.vector_bytes, tile.mask_bytes, tile.zero
    prepare, load_weights, correlate = (
        _any_window(kernel, tile) if kernel.parameter("columns") == 0 else _adjacent_columns(kernel)
    )
    splat, keep_pixels, store = tile.splat, tile.keep_pixels, tile.store
    epilogue, clear = image_epilogue(kernel, tile), clear_halo(kernel.element, lanes)
    whole_line = kernel.parameter("whole_line") == 1

    def depthwise(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, tap_offsets = given.x, given.tap_offsets
        weights, bias = given.weights, given.bias
        multiplier, x_channel, c_out = given.multiplier, given.x_channel, given.c_out
        height, full_vectors = given.height, given.full_vectors
        lane_bits = given.lane_bits
        line_vectors, halo_vectors, x_row = given.line_vectors, given.halo_vectors, given.x_row
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        offsets = prepare(tap_offsets)
        for row_tile in range((height + rows - 1) // rows):
            y = min(row_tile * rows, height - rows)
            for c_in in range(c_out // multiplier):
                source = x + y * x_row + c_in * x_channel
                for channel in range(c_in * multiplier, (c_in + 1) * multiplier):
                    w = load_weights(weights + channel * taps * item)
                    target = out + y * out_row + channel * out_channel
                    for vector in range(0, vectors if whole_line else line_vectors, vectors):
                        vector = 0 if whole_line else min(vector, line_vectors - vectors)
                        x_bytes = vector * vector_bytes
                        acc = splat(load_f32(bias, channel))
                        acc = correlate(acc, w, source + x_bytes * stride, offsets, x_row)
                        acc = epilogue(acc, args, bases, channel, y, x_bytes)
                        if vector + vectors > full_vectors:
                            acc = keep_pixels(acc, lane_bits + vector * mask_bytes)
                        store(target + x_bytes, out_row, acc)
            clear(out + y * out_row, out_row, out_channel, rows, c_out, line_vectors, halo_vectors, zero)

    return kernel_entry(depthwise)


def _adjacent_columns(kernel: Kernel) -> tuple[Any, Any, Any]:
    """``prepare(tap_offsets)``, ``load_weights(pointer)`` and ``f(acc, weights, source, prepared, x_row)``."""
    span = Span(
        kernel.element,
        kernel.lanes,
        kernel.parameter("vectors"),
        kernel.parameter("columns"),
        kernel.parameter("stride"),
        kernel.parameter("before"),
        whole_line=kernel.parameter("whole_line") == 1,
    )
    correlation = Correlation(span, kernel.parameter("rows"), kernel.parameter("taps"))
    return correlation.row_starts(), correlation.weights.splat_channels, correlation.accumulate()


def _any_window(kernel: Kernel, tile: Tile) -> tuple[Any, Any, Any]:
    """The functions of ``_adjacent_columns`` for any window; nothing is prepared."""
    taps, fma = kernel.parameter("taps"), tile.fma
    load = tile.load if kernel.parameter("stride") == 1 else tile.load_every_second

    @device
    def as_it_is(address):  # type: ignore[no-untyped-def]
        return address

    @device
    def correlate(acc, weights, source, tap_offsets, x_row):  # type: ignore[no-untyped-def]
        for k in range(taps):
            acc = fma(acc, load_f32(weights, k), load(source + load_i32(tap_offsets, k), x_row))
        return acc

    return as_it_is, as_it_is, correlate
