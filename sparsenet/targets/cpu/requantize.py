"""From 32-bit sums to bytes: the end of every tile that a kernel of quads makes."""

from __future__ import annotations

import functools
from typing import Any

from sparsenet.graph.types import F32, I32, QUAD, U8, U8X4
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined
from sparsenet.targets.cpu.vector_ir import (
    Tile,
    load_f32,
    load_i32,
    load_number,
    pack_quads,
    steps_of,
    to_float,
)
from sparsenet.targets.cpu.vector_ir.casts import from_bytes, to_bytes, within
from sparsenet.targets.cpu.vector_ir.channel_bytes import (
    multiply_to_halves,
    round_to_halves,
    steps_of_channel,
    store_octets,
    to_octets,
)
from sparsenet.targets.family import Clip, Dot
from sparsenet.targets.registry import Kernel


def requantized(kernel: Kernel, rows: int, vectors: int) -> Any:
    """``f(acc, given, args, bases, channel, y, x_bytes)``: quads of a tile of four channels' sums.

    A byte is rint(float32(sum) * scale) + zero within [low, high], of its channel; what is fused comes before it, an
    ``add`` as float32(byte - its zero point) * its scale. Every product and sum is rounded to float32 by itself.

    Args of f:
        acc: int32, one output per channel of the quad.
        given: the kernel's arguments.
        channel, y, x_bytes: number of the quad, image row and place in its line of the tile's first pixel.
    """
    sums = Tile(I32, kernel.lanes, rows, vectors, QUAD)
    values = Tile(F32, kernel.lanes, rows, vectors, QUAD)
    pack = packed(Tile(U8X4, kernel.lanes, rows, vectors), kernel.parameter("dot"))
    multiply, per_channel, as_float = values.mul, values.splat_channels, to_float(sums)
    epilogue, scale_bytes = fused(kernel, values), QUAD * F32.itemsize

    def finish(acc, given, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        scaled = multiply(as_float(acc), per_channel(given.scale + channel * scale_bytes))
        numbers = epilogue(scaled, args, bases, channel, y, x_bytes)
        return pack(numbers, given.zero, load_i32(given.low, channel), load_i32(given.high, channel))

    return inlined(finish, exact=True)


def requantized_by_channel(kernel: Kernel, rows: int, vectors: int) -> tuple[list[Any], Any]:
    """``ends`` and ``store``, which make of four channels' sums, one after the other, what ``requantized`` makes.

    ``ends[j](acc, place)`` makes bytes of channel j of a quad, ``store(pointer, row_stride, a, b, c, d)`` stores those
    of all four as quads. ``place`` are the arguments of ``requantized`` behind the sums.
    """
    values, sums = Tile(F32, kernel.lanes, rows, vectors), Tile(I32, kernel.lanes, rows, vectors)
    dot, clip = Dot(kernel.parameter("dot")), Clip(kernel.parameter("clip"))
    as_float, multiply, each, load_byte = to_float(sums), values.mul, values.splat, load_number(U8)
    to_halves, by_fixed, octets = (
        round_to_halves(values, dot, clip),
        multiply_to_halves(sums, dot),
        to_octets(values, dot, clip),
    )
    alone = not kernel.epilogue

    def end_of(j: int) -> Any:
        epilogue = fused(kernel, values, j)

        def end(acc, place):  # type: ignore[no-untyped-def]
            given, args, bases, channel, y, x_bytes = place
            number = QUAD * channel + j
            multiplier = load_i32(given.multiplier, number)
            if alone and multiplier != 0:
                halves = by_fixed(acc, multiplier)
            else:
                scaled = multiply(as_float(acc), each(load_f32(given.scale, number)))
                halves = to_halves(epilogue(scaled, args, bases, channel, y, x_bytes))
            return octets(halves, given.zero, load_byte(given.low, number), load_byte(given.high, number))

        return inlined(end, exact=True)

    return [end_of(j) for j in range(QUAD)], store_octets(Tile(U8X4, kernel.lanes, rows, vectors))


def packed(pixels: Tile, dot: int) -> Any:
    """``f(values, zero, low, high)``: as ``pack_quads``, in fewer instructions where there are no bounds."""
    pack, saturate = pack_quads(pixels, dot), pack_quads(pixels, dot, bounded=False)

    def choose(values, zero, low, high):  # type: ignore[no-untyped-def]
        if zero == 0 and low == 0 and high == -1:  # as behind a ReLU: a fifth of the instructions is saved
            return saturate(values, zero, low, high)
        return pack(values, zero, low, high)

    return inlined(choose, exact=True)


def fused(kernel: Kernel, values: Tile, own: int | None = None) -> Any:
    """``f(values, args, bases, channel, y, x_bytes)``: what the kernel's epilogue makes of float32 numbers.

    Of quads where ``values`` has four outputs, of channel ``own`` of quads if that is given, else of the features from
    ``channel`` on.
    """
    steps = []
    for number, op in enumerate(kernel.epilogue):
        read = arguments(kernel, number)
        if op != "add":
            steps.append(_activated(values, op, read))
        elif own is not None or values.outputs == QUAD:
            steps.append(_added(values, read, own))
        else:
            steps.append(_added_features(values, read))
    return functools.reduce(_after, steps) if steps else _nothing


def _nothing(values: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
    return values


_nothing = inlined(_nothing, exact=True)


def _after(first: Any, second: Any) -> Any:
    def both(values, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        between = first(values, args, bases, channel, y, x_bytes)
        return second(between, args, bases, channel, y, x_bytes)

    return inlined(both, exact=True)


def _activated(values: Tile, op: str, read: Any) -> Any:
    """An activation of one parameter."""
    function = values.activation(op)

    def activated(acc, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        return function(acc, read(args, bases)[0])

    return inlined(activated, exact=True)


def _added(values: Tile, read: Any, own: int | None) -> Any:
    """The step ``add`` of a map of quads: of all their channels, or of one."""
    pixels = Tile(U8X4, values.lanes, values.rows, values.vectors)
    steps = steps_of(pixels) if own is None else steps_of_channel(pixels, own)
    load, times, plus, each = pixels.load, values.mul, values.add, values.splat

    def residual(acc, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        row = given.residual_row
        start = given.residual + y * row + channel * given.residual_channel + x_bytes
        return plus(acc, times(steps(load(start, row), given.residual_zero), each(given.residual_scale)))

    return inlined(residual, exact=True)


def sum_lanes(kernel: Kernel) -> int:
    """Sums to a vector, which is as long as one of the kernel's elements."""
    return kernel.lanes * kernel.element.itemsize // I32.itemsize


def requantized_outputs(kernel: Kernel, sums: Tile) -> Any:
    """``f(acc, args, bases, first)``: int32 sums of the features from ``first`` on as the kernel's elements.

    Bytes are made as ``requantized`` says; float32 is float32(sum) * scale.
    """
    read, values = arguments(kernel), Tile(F32, sums.lanes, 1, sums.vectors)
    multiply, load, as_float, rounded = values.mul, values.load, to_float(sums), to_bytes(values)
    epilogue = fused(kernel, values)
    number, octets = values.item, Tile(U8, sums.lanes, 1, sums.vectors)
    load_bytes, bounded = octets.load, within(octets)

    def scaled(acc, args, bases, first):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        return multiply(as_float(acc), load(given.scale + first * number, 0))

    scaled = inlined(scaled, exact=True)
    if kernel.element.is_float:
        return scaled

    def finish(acc, args, bases, first):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        numbers = epilogue(scaled(acc, args, bases, first), args, bases, first, 0, 0)
        low, high = load_bytes(given.low + first, 0), load_bytes(given.high + first, 0)
        return bounded(rounded(numbers, given.zero), low, high)

    return inlined(finish, exact=True)


def _added_features(values: Tile, read: Any) -> Any:
    """The step ``add`` of a plain tensor of bytes."""
    octets = Tile(U8, values.lanes, 1, values.vectors)
    load, steps, times, plus, each = octets.load, from_bytes(octets), values.mul, values.add, values.splat

    def residual(acc, args, bases, first, y, x_bytes):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        added = steps(load(given.residual + first, 0), given.residual_zero)
        return plus(acc, times(added, each(given.residual_scale)))

    return inlined(residual, exact=True)
