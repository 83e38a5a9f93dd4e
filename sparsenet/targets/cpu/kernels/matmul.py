"""Products of plain matrices that are both computed at run time."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_f32, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``x_starts`` and ``y_starts``: where each product's matrices begin, in floats.

    Four rows by two vectors of columns at once: eight sums hide the latency of FMAs, and each vector of ``y`` serves
    four of them. Where fewer rows are left, the last is computed again.
    """
    read = arguments(kernel)
    width = 2 * kernel.lanes
    tile = Tile(kernel.element, kernel.lanes, 1, 2)
    item = tile.item
    load, store_between, splat, fma = tile.load, tile.store_between, tile.splat, tile.fma
    zero = tile.zero

    @inlined
    def four_rows(a, depth, row, last, b, columns, out, column):  # type: ignore[no-untyped-def]
        a0, a1, a2, a3 = (
            a + row * depth * item,
            a + min(row + 1, last) * depth * item,
            a + min(row + 2, last) * depth * item,
            a + min(row + 3, last) * depth * item,
        )
        acc0 = acc1 = acc2 = acc3 = splat(zero)
        for k in range(depth):
            y = load(b + (k * columns + column) * item, 0)
            acc0, acc1 = fma(acc0, load_f32(a0, k), y), fma(acc1, load_f32(a1, k), y)
            acc2, acc3 = fma(acc2, load_f32(a2, k), y), fma(acc3, load_f32(a3, k), y)
        rest, target = columns - column, out + column * item
        store_between(target + row * columns * item, 0, rest, acc0)
        store_between(target + min(row + 1, last) * columns * item, 0, rest, acc1)
        store_between(target + min(row + 2, last) * columns * item, 0, rest, acc2)
        store_between(target + min(row + 3, last) * columns * item, 0, rest, acc3)

    def matmul(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, y = given.x, given.y
        x_starts, y_starts = given.x_starts, given.y_starts
        products, rows, depth, columns = given.products, given.rows, given.depth, given.columns
        out = given.out
        for product in range(products):
            a, b = x + load_i32(x_starts, product) * item, y + load_i32(y_starts, product) * item
            target = out + product * rows * columns * item
            for column in range(0, columns, width):  # the columns of y stay in the cache for all rows
                for row in range(0, rows, 4):
                    four_rows(a, depth, row, rows - 1, b, columns, target, column)

    return kernel_entry(matmul)
