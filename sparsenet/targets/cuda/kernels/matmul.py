"""Products of matrices that are both computed: tiles of both meet in shared memory.

A block makes one tile of the result. Each of its threads makes ``rows x columns`` numbers of it, which are as far apart
as there are threads, so that neighbours read and write neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.simt.machine import divide, load, store
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: rows and columns of a thread, threads along rows and columns, and terms of the sums between barriers.

    ``x_starts``, ``y_starts`` and ``out_starts``: tables of where the matrices of each product begin.
    """
    rows_each, columns_each, row_threads, column_threads, step = kernel.tile
    threads, sums = row_threads * column_threads, rows_each * columns_each
    tile_rows, tile_columns = rows_each * row_threads, columns_each * column_threads
    # One more float in each line: threads that fill a column of the tile write to different banks.
    left_line, left_size, right_size = tile_rows + 1, step * (tile_rows + 1), step * tile_columns
    zero = np.float32(0)

    def matmul(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, y, x_starts, y_starts, out_starts, products, rows, depth, columns,
        x_row, x_column, y_row, y_column, out, out_row, tensors, numbers,
    ):  # fmt: skip
        left = cuda.shared.array(left_size, float32)
        right = cuda.shared.array(right_size, float32)
        total = cuda.local.array(sums, float32)
        thread = int64(cuda.threadIdx.x)
        down = divide(thread, column_threads)
        across = thread - down * column_threads
        tiles = divide(columns + tile_columns - 1, tile_columns)
        tile = divide(cuda.blockIdx.x, tiles)
        first_row, first_column = tile * tile_rows, (cuda.blockIdx.x - tile * tiles) * tile_columns

        for product in range(cuda.blockIdx.y, products, cuda.gridDim.y):
            a, b = x + load(tables, x_starts + product), y + load(tables, y_starts + product)
            for i in range(sums):
                total[i] = zero
            for first in range(0, depth, step):
                for at in range(thread, step * tile_rows, threads):
                    i = divide(at, step)
                    row, k = first_row + i, first + at - i * step
                    value = zero
                    if row < rows and k < depth:
                        value = load(memory, a + row * x_row + k * x_column)
                    left[(k - first) * left_line + i] = value
                for at in range(thread, step * tile_columns, threads):
                    i = divide(at, tile_columns)
                    k, column = first + i, first_column + at - i * tile_columns
                    value = zero
                    if k < depth and column < columns:
                        value = load(memory, b + k * y_row + column * y_column)
                    right[at] = value
                cuda.syncthreads()
                for k in range(step):
                    for i in range(rows_each):
                        factor = left[k * left_line + down + i * row_threads]
                        for j in range(columns_each):
                            other = right[k * tile_columns + across + j * column_threads]
                            total[i * columns_each + j] += factor * other
                cuda.syncthreads()
            target = out + load(tables, out_starts + product)
            for i in range(rows_each):
                row = first_row + down + i * row_threads
                for j in range(columns_each):
                    column = first_column + across + j * column_threads
                    if row < rows and column < columns:
                        store(memory, target + row * out_row + column, total[i * columns_each + j])

    return matmul
