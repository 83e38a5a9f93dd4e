"""Two plain tensors combined number by number, with any NumPy broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32, store_f32
from sparsenet.targets.registry import BROADCAST_OPERATIONS, Kernel


def _vectors(tile: Tile, operation: str) -> Any:
    """The operation on two vectors; NaN in is NaN out, except for comparisons, which are false for NaN."""
    operations: dict[str, Callable[[], Any]] = {
        "add": lambda: tile.add,
        "sub": lambda: tile.sub,
        "mul": lambda: tile.mul,
        "div": lambda: tile.div,
        "maximum": lambda: tile.maximum,
        "minimum": lambda: tile.minimum,
        "greater": lambda: tile.compare(">"),
        "less": lambda: tile.compare("<"),
        "equal": lambda: tile.compare("=="),
    }
    return operations[operation]()


def build(kernel: Kernel) -> Any:
    """``operation`` numbers ``BROADCAST_OPERATIONS``; strides are in floats, 0 along a broadcast axis, 1 on the last.

    Lines are written by whole vectors: the next line overwrites the excess, and a guard follows the last.
    """
    read = arguments(kernel)
    operation = BROADCAST_OPERATIONS[kernel.parameter("operation")]
    tile = Tile(kernel.element, kernel.lanes)
    line, item = _scalar_line() if operation == "pow" else _vector_line(tile, operation), tile.item

    def broadcast(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, y, rank = given.x, given.y, given.rank
        shape = given.shape
        x_strides, y_strides = given.x_strides, given.y_strides
        out = given.out
        inner, lines = load_i32(shape, rank - 1), 1
        x_step, y_step = load_i32(x_strides, rank - 1), load_i32(y_strides, rank - 1)
        for axis in range(rank - 1):
            lines *= load_i32(shape, axis)
        for number in range(lines):
            rest, i, j = number, 0, 0
            for axis in range(rank - 2, -1, -1):
                extent = load_i32(shape, axis)
                i += rest % extent * load_i32(x_strides, axis)
                j += rest % extent * load_i32(y_strides, axis)
                rest //= extent
            line(x + i * item, x_step, y + j * item, y_step, out + number * inner * item, inner)

    return kernel_entry(broadcast)


def _vector_line(tile: Tile, operation: str) -> Any:
    combine, load, store, splat = _vectors(tile, operation), tile.load, tile.store, tile.splat
    lanes, item = tile.lanes, tile.item

    @device
    def line(x: int, x_step: int, y: int, y_step: int, out: int, count: int) -> None:
        if x_step == 0:
            a = splat(load_f32(x, 0))
            for k in range(0, count, lanes):
                store(out + k * item, 0, combine(a, load(y + k * y_step * item, 0)))
        elif y_step == 0:
            b = splat(load_f32(y, 0))
            for k in range(0, count, lanes):
                store(out + k * item, 0, combine(load(x + k * item, 0), b))
        else:
            for k in range(0, count, lanes):
                store(out + k * item, 0, combine(load(x + k * item, 0), load(y + k * item, 0)))

    return line


def _scalar_line() -> Any:
    @device
    def line(x: int, x_step: int, y: int, y_step: int, out: int, count: int) -> None:
        for k in range(count):
            store_f32(out, k, np.float32(math.pow(load_f32(x, k * x_step), load_f32(y, k * y_step))))

    return line
