"""Convolution as a sparse-matrix product over pixels in place, with no im2col.

A column of the matrix (``row_groups``) is the offset of its tap from the output pixel's own place in the input: 1x1,
k x k, strided, dilated and grouped convolutions and fully connected layers (pixels: the batch) are one loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.simt.epilogue import epilogue
from sparsenet.targets.cuda.simt.machine import LOAD_INTO, divide, load
from sparsenet.targets.cuda.simt.pixels import is_pixel
from sparsenet.targets.cuda.simt.row_groups import STEP, finish_rows, row_sums
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: output rows and vectors of pixels per thread; threads along pixels, columns (``splits``) and row groups.

    With more than one lane the input is laid out like the output and every column is at a multiple of ``lanes``.
    """
    rows, vectors, pixel_threads, splits, row_threads = kernel.tile
    lanes, threads, sums = kernel.lanes, pixel_threads * splits * row_threads, rows * vectors * kernel.lanes
    each, step_weights, partials, in_place = vectors * lanes, STEP * rows, threads * sums, lanes > 1
    # In place, all vectors are at one address and constant distances.
    multiply = row_sums(rows, vectors, lanes, pixel_threads * lanes if in_place else None, LOAD_INTO[lanes])
    finish = finish_rows(rows, vectors, lanes, epilogue(kernel.epilogue, lanes))
    zero = np.float32(0)

    def conv(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, spans, columns, values, channels, bias, groups,
        x_image, x_row, x_column, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        thread = int64(cuda.threadIdx.x)
        lane = thread % pixel_threads
        split = divide(thread, pixel_threads) % splits
        row_thread = divide(thread, pixel_threads * splits)
        # Splits as a number of the launch: a loop over a constant is unrolled, and takes a hundred registers.
        sharers = divide(cuda.blockDim.x, pixel_threads * row_threads)

        place = cuda.local.array(vectors, int64)
        source = cuda.local.array(vectors, int64)
        keep = cuda.local.array(each, float32)
        for v in range(vectors):
            position = ((cuda.blockIdx.x * vectors + v) * pixel_threads + lane) * lanes
            place[v], source[v] = position, x
            for i in range(lanes):
                keep[v * lanes + i] = is_pixel(position + i, width, height, line, image, images)
            if in_place:
                source[v] += position
            elif keep[v] != zero:
                n = divide(position, image)
                y = divide(position - n * image, line)
                source[v] += n * x_image + y * x_row + (position - n * image - y * line) * x_column

        total = cuda.local.array(sums, float32)
        pixels = cuda.local.array(each, float32)
        weight = cuda.local.array(step_weights, float32)
        column = cuda.local.array(STEP, int64)
        following = cuda.local.array(STEP, int64)
        for first_group in range(cuda.blockIdx.y * row_threads, groups, cuda.gridDim.y * row_threads):
            # Threads without a group repeat the last one: all of them meet at the barriers below.
            group = min(first_group + row_thread, groups - 1)
            first, last = load(tables, spans + 3 * group), load(tables, spans + 3 * group + 1)
            shift = load(tables, spans + 3 * group + 2)
            multiply(
                memory, source, weights, tables, columns + STEP * shift, values, first + split, last, splits,
                total, pixels, weight, column, following,
            )  # fmt: skip
            if splits > 1:
                partial = cuda.shared.array(partials, float32)
                for i in range(sums):
                    partial[i * threads + thread] = total[i]
                cuda.syncthreads()
                if split == 0:
                    for other in range(1, sharers):
                        for i in range(sums):
                            total[i] += partial[i * threads + thread + other * pixel_threads]
                cuda.syncthreads()
            if split == 0:
                finish(
                    total, pixels, keep, place, memory, weights, tables, bias, channels, group, out, pitch,
                    tensors, numbers,
                )  # fmt: skip

    return conv
