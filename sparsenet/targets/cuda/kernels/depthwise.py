"""Depthwise convolution: a thread computes several rows of one column, loading each pixel they share once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64

from sparsenet.targets.cuda.simt.epilogue import epilogue
from sparsenet.targets.cuda.simt.machine import divide, load, store
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Tile: the window's rows and columns, strides and dilations, and output rows per thread."""
    k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, rows = kernel.tile
    taps = k_h * k_w
    finish = epilogue(kernel.epilogue, 1)
    zero = np.float32(0)

    def depthwise(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, values, bias, multiplier, x_image, x_line, x_pitch, channels, row_blocks,
        width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        n = divide(thread, row_blocks * line)
        row_block = divide(thread - n * row_blocks * line, line)
        column = thread - (n * row_blocks + row_block) * line
        inside = n < images and column < width
        # The zeros that round the channel up follow the last image.
        position = n * image + row_block * rows * line + column
        end = min((n + 1) * image, pitch)
        if n >= images:
            position, end = images * image + thread - images * row_blocks * line, pitch

        weight = cuda.local.array(taps, float32)
        total = cuda.local.array(rows, float32)
        scratch = cuda.local.array(1, float32)
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            source = int64(x)
            if inside:
                source += divide(channel, multiplier) * x_pitch + n * x_image
                source += row_block * rows * stride_h * x_line + column * stride_w
            for tap in range(taps):
                weight[tap] = load(weights, values + channel * taps + tap)
            start = load(weights, bias + channel)
            for r in range(rows):
                total[r] = start
                for i in range(k_h):
                    for j in range(k_w):
                        # The compiler merges the loads of rows that overlap: nothing is written in between.
                        at = source + (r * stride_h + i * dilation_h) * x_line + j * dilation_w
                        total[r] += weight[i * k_w + j] * load(memory, at)
            for r in range(rows):
                place = position + r * line
                if place < end and (r == 0 or n < images):
                    finish(total, r, scratch, memory, weights, tensors, numbers, channel, place)
                    if not inside or row_block * rows + r >= height:
                        total[r] = zero
                    store(memory, out + channel * pitch + place, total[r])

    return depthwise
