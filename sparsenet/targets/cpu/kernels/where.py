"""A choice between two plain tensors, number by number, with any NumPy broadcasting."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``x`` where ``condition`` is not 0 (NaN is not), else ``y``; strides and lines as in ``broadcast``."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    item = tile.item
    load, store, splat, choose = tile.load, tile.store, tile.splat, tile.choose

    @inlined
    def vector(start: int, step: int) -> Any:
        if step == 0:
            return splat(load_f32(start, 0))
        return load(start, 0)

    def where(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        condition, x, y = given.condition, given.x, given.y
        rank, shape = given.rank, given.shape
        c_strides, x_strides, y_strides = given.condition_strides, given.x_strides, given.y_strides
        out = given.out
        inner, lines = load_i32(shape, rank - 1), 1
        c_step, x_step, y_step = (
            load_i32(c_strides, rank - 1),
            load_i32(x_strides, rank - 1),
            load_i32(y_strides, rank - 1),
        )
        for axis in range(rank - 1):
            lines *= load_i32(shape, axis)
        for line in range(lines):
            rest, c, i, j = line, 0, 0, 0
            for axis in range(rank - 2, -1, -1):
                extent = load_i32(shape, axis)
                place = rest % extent
                c += place * load_i32(c_strides, axis)
                i += place * load_i32(x_strides, axis)
                j += place * load_i32(y_strides, axis)
                rest //= extent
            for k in range(0, inner, lanes):
                store(
                    out + (line * inner + k) * item,
                    0,
                    choose(
                        vector(condition + (c + k * c_step) * item, c_step),
                        vector(x + (i + k * x_step) * item, x_step),
                        vector(y + (j + k * y_step) * item, y_step),
                    ),
                )

    return kernel_entry(where)
