"""Fused epilogues: the fused ops after an op, applied to the tile while it is still in registers.

``image_epilogue`` serves kernels whose tile is pixels of one or several channels, consecutive or named by a table;
``flat_epilogue`` those whose tile is consecutive channels of a flat tensor. Each is a chain of small functions, one per
fused op, put together at compile time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel


def image_epilogue(kernel: Kernel, tile: Tile, *, scattered: bool = False) -> Any:
    """``f(acc, args, bases, channel, y, x_bytes)`` for a tile from ``channel`` on and pixel (y, x_bytes) on.

    If ``scattered``, the tile's channels need not follow each other and ``channel`` is the address of their numbers,
    one int32 each.
    """
    step = _scattered_step if scattered else _image_step
    return _chain([step(tile, op, read) for op, read in _fused(kernel)])


def flat_epilogue(kernel: Kernel, tile: Tile) -> Any:
    """``f(acc, args, bases, channel, 0, 0)`` for a tile of consecutive channels from ``channel`` on."""
    return _chain([_flat_step(tile, op, read) for op, read in _fused(kernel)])


def _fused(kernel: Kernel) -> list[tuple[str, Any]]:
    return [(op, arguments(kernel, step)) for step, op in enumerate(kernel.epilogue)]


@device
def _nothing(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
    return acc


def _chain(steps: Sequence[Any]) -> Any:
    return functools.reduce(_after, steps) if steps else _nothing


def _after(first: Any, second: Any) -> Any:
    @device
    def both(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
        return second(first(acc, args, bases, channel, y, x_bytes), args, bases, channel, y, x_bytes)

    return both


def _image_step(tile: Tile, op: str, read: Any) -> Any:
    if op == "affine":
        scale_shift, item = tile.scale_shift, tile.item

        @device
        def affine(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            given = read(args, bases)
            scales, shifts = given.scale, given.shift
            return scale_shift(acc, scales + channel * item, shifts + channel * item)

        return affine
    if op == "add":
        plus, load = tile.add, tile.load_channels

        @device
        def residual(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            given = read(args, bases)
            row, per_channel = given.residual_row, given.residual_channel
            start = given.residual + y * row + channel * per_channel + x_bytes
            return plus(acc, load(start, per_channel, row))

        return residual
    return _activation_step(tile, op, read)


def _scattered_step(tile: Tile, op: str, read: Any) -> Any:
    if op == "affine":
        scale_shift = tile.scale_shift_at

        @device
        def affine(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            given = read(args, bases)
            return scale_shift(acc, given.scale, given.shift, channel)

        return affine
    if op == "add":
        plus, load = tile.add, tile.load_at

        @device
        def residual(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            given = read(args, bases)
            row, per_channel = given.residual_row, given.residual_channel
            start = given.residual + y * row + x_bytes
            return plus(acc, load(start, channel, per_channel, row))

        return residual
    return _activation_step(tile, op, read)


def _flat_step(tile: Tile, op: str, read: Any) -> Any:
    load, item = tile.load, tile.item
    if op == "affine":
        mul_add = tile.mul_add

        @device
        def affine(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            given = read(args, bases)
            scale = load(given.scale + channel * item, 0)
            shift = load(given.shift + channel * item, 0)
            return mul_add(acc, scale, shift)

        return affine
    if op == "add":
        plus = tile.add

        @device
        def residual(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            given = read(args, bases)
            return plus(acc, load(given.residual + channel * item, 0))

        return residual
    return _activation_step(tile, op, read)


def _activation_step(tile: Tile, op: str, read: Any) -> Any:
    function = tile.activation(op)
    count = len(ACTIVATIONS[op].parameters)
    if not count:

        @device
        def plain(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            return function(acc)

        return plain
    if count == 1:

        @device
        def with_one(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
            return function(acc, read(args, bases)[0])

        return with_one

    @device
    def with_two(acc: Any, args: int, bases: int, channel: int, y: int, x_bytes: int) -> Any:
        given = read(args, bases)
        return function(acc, given[0], given[1])

    return with_two
