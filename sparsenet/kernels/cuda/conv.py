"""Convolution as a sparse-matrix product over pixels in place, with no im2col.

A thread computes ``rows`` output channels at ``vectors x lanes`` pixels. Rows that share many columns form a group,
which lists every column that any of them uses once: a pixel is loaded once for all of them, and rows without that
column multiply it by zero, which costs nothing while loads are the bound (an SM loads 128 bytes in the time of 128
multiply-adds, so four rows of four pixels keep both busy; cf. the one-dimensional tiles of Gale et al.,
arXiv 2006.10901). A dense layer is the case where all groups share one list of all columns.

Columns come in steps of four, to be read by one 128-bit load that the whole warp shares; a column is the offset of its
tap from the output pixel's own place in the input: 1x1, k x k, strided, dilated and grouped convolutions and fully
connected layers (pixels: the batch) are one loop. Groups are sorted by length and dealt to the blocks in turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.simt.epilogue import epilogue
from sparsenet.kernels.simt.machine import LOAD_INTO, STORE_FROM, divide, load
from sparsenet.kernels.simt.pixels import is_pixel

#: Columns of one step.
STEP = 4


def build(kernel: Kernel) -> Any:
    """Tile: output rows and vectors of pixels per thread; threads along pixels, columns (``splits``) and row groups.

    With more than one lane the input lies like the output and every column stands at a multiple of ``lanes``.
    """
    rows, vectors, pixel_threads, splits, row_threads = kernel.tile
    lanes, threads, sums = kernel.lanes, pixel_threads * splits * row_threads, rows * vectors * kernel.lanes
    each, step_weights, partials, in_place = vectors * lanes, STEP * rows, threads * sums, lanes > 1
    apart = pixel_threads * lanes
    load_pixels, load_four, store = LOAD_INTO[lanes], LOAD_INTO[4], STORE_FROM[lanes]
    finish = epilogue(kernel.epilogue, lanes)
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
                source[v] += position - v * apart
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
            for i in range(sums):
                total[i] = zero
            load_four(tables, columns + STEP * (shift + first + split), column, 0)
            for step in range(first + split, last, splits):
                # The next step's columns are on their way while this one's pixels are; the table goes on far enough.
                load_four(tables, columns + STEP * (shift + step + splits), following, 0)
                for r in range(rows):
                    load_four(weights, values + STEP * (rows * step + r), weight, STEP * r)
                for j in range(STEP):
                    for v in range(vectors):
                        # In place, all vectors are at one address and constant distances.
                        at = source[0] + v * apart if in_place else source[v]
                        load_pixels(memory, at + column[j], pixels, v * lanes)
                    for r in range(rows):
                        for i in range(each):
                            total[r * each + i] += weight[j * rows + r] * pixels[i]
                for j in range(STEP):
                    column[j] = following[j]

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
                for r in range(rows):
                    channel = int64(load(tables, channels + rows * group + r))
                    start = load(weights, bias + channel)
                    for v in range(vectors):
                        at = (r * vectors + v) * lanes
                        if place[v] < pitch:
                            for i in range(lanes):
                                total[at + i] += start
                            finish(total, at, pixels, memory, weights, tensors, numbers, channel, place[v])
                            for i in range(lanes):
                                if keep[v * lanes + i] == zero:
                                    total[at + i] = zero
                            store(memory, out + channel * pitch + place[v], total, at)

    return conv
