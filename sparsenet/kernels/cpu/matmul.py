"""Products of plain matrices that are both computed at run time."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile, load_f32, load_i32


def build(kernel: Kernel) -> Any:
    """``x_starts`` and ``y_starts``: where each product's matrices begin, in floats.

    Columns are taken by whole vectors: what a row's last one computes too much is overwritten by the next row, and
    behind the last row stands the guard that every buffer has.
    """
    lanes = kernel.lanes
    tile = Tile(lanes)
    load, store, splat, mul_add = tile.load, tile.store, tile.splat, tile.mul_add
    zero = np.float32(0)

    def matmul(args, bases):  # type: ignore[no-untyped-def]
        x, y = pointer(args, bases, 0), pointer(args, bases, 1)
        x_starts, y_starts = pointer(args, bases, 2), pointer(args, bases, 3)
        products, rows, depth, columns = (
            integer(args, 4),
            integer(args, 5),
            integer(args, 6),
            integer(args, 7),
        )
        out = pointer(args, bases, 8)
        for product in range(products):
            a, b = x + load_i32(x_starts, product) * 4, y + load_i32(y_starts, product) * 4
            for row in range(rows):
                target = out + (product * rows + row) * columns * 4
                for column in range(0, columns, lanes):
                    acc = splat(zero)
                    for k in range(depth):
                        acc = mul_add(
                            splat(load_f32(a, row * depth + k)), load(b + (k * columns + column) * 4, 0), acc
                        )
                    store(target + column * 4, 0, acc)

    return kernel_entry(matmul)
