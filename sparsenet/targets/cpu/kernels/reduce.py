"""Sum, maximum, minimum or product over any axes of a plain tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32, store_f32
from sparsenet.targets.registry import REDUCE_OPERATIONS, Kernel

#: The initial value, and how a number is combined with the result so far; a NaN stays.
_OPERATIONS: dict[str, tuple[float, Callable[[Any, Any], Any]]] = {
    "sum": (0.0, lambda so_far, x: so_far + x),
    "max": (-math.inf, lambda so_far, x: x if x > so_far or x != x else so_far),
    "min": (math.inf, lambda so_far, x: x if x < so_far or x != x else so_far),
    "prod": (1.0, lambda so_far, x: so_far * x),
}
#: Vectors joined in float32 before the result goes on in float64, or in a vector of its own.
_VECTORS_AT_ONCE = 64


@device
def _offset(index: int, shape: int, strides: int, first: int, last: int) -> int:
    """Offset, in floats, of element ``index`` of the axes from ``first`` up to ``last``."""
    offset = 0
    for axis in range(last - 1, first - 1, -1):
        extent = load_i32(shape, axis)
        offset += index % extent * load_i32(strides, axis)
        index //= extent
    return offset


def build(kernel: Kernel) -> Any:
    """``shape``, ``strides``: tables of the axes that are kept, then of those reduced; results times ``scale``.

    Lanes run along the last axis reduced or across the last one kept, whichever has a stride of 1; products, which may
    leave the range of float32 on the way, are made one by one in float64.
    """
    read = arguments(kernel)
    operation = REDUCE_OPERATIONS[kernel.parameter("operation")]
    start, scalar = _OPERATIONS[operation]
    join, vectors = device(scalar), operation != "prod"
    tile = Tile(kernel.element, kernel.lanes)
    item = tile.item
    along, across = _along(tile, operation), _across(tile, operation)

    def reduce(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, shape, strides = given.x, given.shape, given.strides
        kept, reduced, scale = given.kept, given.reduced, given.scale
        out, end = given.out, kept + reduced - 1
        size, lines = 1, 1
        for axis in range(kept):
            size *= load_i32(shape, axis)
        for axis in range(kept, end):
            lines *= load_i32(shape, axis)
        inner, step = load_i32(shape, end), load_i32(strides, end)
        if vectors and load_i32(strides, kept - 1) == 1:
            width = load_i32(shape, kept - 1)
            for row in range(size // width):
                source = x + _offset(row, shape, strides, 0, kept - 1) * item
                across(source, width, shape, strides, kept, end, lines, scale, out + row * width * item)
            return
        for index in range(size):
            first, total = _offset(index, shape, strides, 0, kept), start
            for line in range(lines):
                source = x + (first + _offset(line, shape, strides, kept, end)) * item
                if vectors and step == 1:
                    total = join(total, along(source, inner))
                else:
                    for k in range(inner):
                        total = join(total, load_f32(source, k * step))
            store_f32(out, index, np.float32(total * scale))

    return kernel_entry(reduce)


def _joins(tile: Tile, operation: str) -> tuple[Any, Any]:
    """The functions that combine two vectors, and the lanes of one; products have none."""
    if operation == "max":
        return tile.maximum, tile.largest
    return (tile.minimum, tile.smallest) if operation == "min" else (tile.add, tile.sum)


def _along(tile: Tile, operation: str) -> Any:
    neutral = np.float32(_OPERATIONS[operation][0])
    join_vectors, join_lanes = _joins(tile, operation)
    join = device(_OPERATIONS[operation][1])
    load, splat, keep, lanes, item = tile.load, tile.splat, tile.keep, tile.lanes, tile.item
    block = _VECTORS_AT_ONCE * lanes

    @device
    def along(x: int, count: int) -> float:
        total = np.float64(neutral)
        for first in range(0, count, block):
            acc = splat(neutral)
            for k in range(first, min(first + block, count), lanes):
                acc = join_vectors(keep(load(x + k * item, 0), 0, count - k, neutral), acc)
            total = join(total, np.float64(join_lanes(acc)))
        return total

    return along


def _across(tile: Tile, operation: str) -> Any:
    neutral = np.float32(_OPERATIONS[operation][0])
    join, _ = _joins(tile, operation)
    load, splat, mul, store_between = tile.load, tile.splat, tile.mul, tile.store_between
    lanes, item = tile.lanes, tile.item

    @device
    def across(
        x: int, width: int, shape: int, strides: int, kept: int, end: int, lines: int, scale: float, out: int
    ) -> None:
        inner, step = load_i32(shape, end), load_i32(strides, end) * item
        for column in range(0, width, lanes):
            total = splat(neutral)
            for line in range(lines):
                source = x + (column + _offset(line, shape, strides, kept, end)) * item
                for first in range(0, inner, _VECTORS_AT_ONCE):
                    acc = splat(neutral)
                    for k in range(first, min(first + _VECTORS_AT_ONCE, inner)):
                        acc = join(load(source + k * step, 0), acc)
                    total = join(acc, total)
            store_between(out + column * item, 0, width - column, mul(total, splat(scale)))

    return across
