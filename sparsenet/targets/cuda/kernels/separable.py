"""Depthwise convolution and the 1x1 convolution that reads it: what is between them never leaves the multiprocessor.

A block makes all channels of the depthwise result at its positions in shared memory, then multiplies rows of the matrix
(``row_groups``) by them. It saves a launch, and a map written and read; blocks that share positions among their rows
each make the depthwise result for themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.families import POINTWISE
from sparsenet.targets.cuda.simt.epilogue import epilogue
from sparsenet.targets.cuda.simt.machine import divide, load, load_shared_into
from sparsenet.targets.cuda.simt.pixels import is_pixel
from sparsenet.targets.cuda.simt.row_groups import STEP, finish_rows, row_sums
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: the depthwise window's rows and columns, strides and dilations; output rows and pixels (``vectors``) per
    thread; threads along pixels and row groups; floats of shared memory.

    The epilogue is the depthwise one, the marker ``POINTWISE``, and that of the 1x1 convolution. A column is a channel
    of the depthwise result times the block's pixels.
    """
    k_h, k_w, stride_h, stride_w, dilation_h, dilation_w = kernel.tile[:6]
    rows, vectors, pixel_threads, row_threads, floats = kernel.tile[6:]
    taps, sums, step_weights, block_pixels = k_h * k_w, rows * vectors, STEP * rows, vectors * pixel_threads
    end = kernel.epilogue.index(POINTWISE)
    finish_depth = epilogue(kernel.epilogue[:end], 1)
    multiply = row_sums(rows, vectors, 1, pixel_threads, load_shared_into)
    finish = finish_rows(rows, vectors, 1, epilogue(kernel.epilogue[end + 1 :], 1, kernel.epilogue[:end]))
    zero = np.float32(0)

    def separable(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, depth_values, depth_bias, depth_channels, x_image, x_line, x_pitch,
        spans, columns, values, channels, bias, groups,
        width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        thread = int64(cuda.threadIdx.x)
        lane, row_thread = thread % pixel_threads, divide(thread, pixel_threads)
        place = cuda.local.array(vectors, int64)
        source = cuda.local.array(vectors, int64)
        keep = cuda.local.array(vectors, float32)
        for v in range(vectors):
            position = (cuda.blockIdx.x * vectors + v) * pixel_threads + lane
            place[v], source[v] = position, x
            keep[v] = is_pixel(position, width, height, line, image, images)
            if keep[v] != zero:
                n = divide(position, image)
                y = divide(position - n * image, line)
                source[v] += (
                    n * x_image + y * stride_h * x_line + (position - n * image - y * line) * stride_w
                )

        between = cuda.shared.array(floats, float32)
        weight = cuda.local.array(taps, float32)
        value = cuda.local.array(1, float32)
        pixels = cuda.local.array(vectors, float32)
        for channel in range(row_thread, depth_channels, row_threads):
            for tap in range(taps):
                weight[tap] = load(weights, depth_values + channel * taps + tap)
            start = load(weights, depth_bias + channel)
            for v in range(vectors):
                value[0] = start
                for i in range(k_h):
                    for j in range(k_w):
                        at = source[v] + channel * x_pitch + i * dilation_h * x_line + j * dilation_w
                        value[0] += weight[i * k_w + j] * load(memory, at)
                if keep[v] != zero:
                    finish_depth(value, 0, pixels, memory, weights, tensors, numbers, channel, place[v])
                between[channel * block_pixels + v * pixel_threads + lane] = value[0]
        cuda.syncthreads()

        total = cuda.local.array(sums, float32)
        step_weight = cuda.local.array(step_weights, float32)
        column = cuda.local.array(STEP, int64)
        following = cuda.local.array(STEP, int64)
        source[0] = lane
        first_group = cuda.blockIdx.y * row_threads + row_thread
        for group in range(first_group, groups, cuda.gridDim.y * row_threads):
            first, last = load(tables, spans + 3 * group), load(tables, spans + 3 * group + 1)
            shift = load(tables, spans + 3 * group + 2)
            multiply(
                between, source, weights, tables, columns + STEP * shift, values, first, last, 1,
                total, pixels, step_weight, column, following,
            )  # fmt: skip
            finish(
                total, pixels, keep, place, memory, weights, tables, bias, channels, group, out, pitch,
                tensors, numbers,
            )  # fmt: skip

    return separable
