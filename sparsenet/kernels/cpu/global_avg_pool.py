"""Global average pooling: one number per channel. Line tails are zero, so whole lines are summed."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile, store_f32


def build(kernel: Kernel) -> Any:
    """Partial sums in ``vectors`` vectors, which ``line_vectors`` is a multiple of."""
    vectors, lanes = kernel.parameter("vectors"), kernel.lanes
    tile = Tile(lanes, 1, vectors)
    load, splat, add, total = tile.load, tile.splat, tile.add, tile.sum

    def global_avg_pool(args, bases):  # type: ignore[no-untyped-def]
        x, x_row, x_channel, channels = (
            pointer(args, bases, 0),
            integer(args, 1),
            integer(args, 2),
            integer(args, 3),
        )
        height, width, line_vectors = integer(args, 4), integer(args, 5), integer(args, 6)
        out = pointer(args, bases, 7)
        count = np.float32(height * width)
        for channel in range(channels):
            acc = splat(np.float32(0))
            for y in range(height):
                line = x + y * x_row + channel * x_channel
                for vector in range(0, line_vectors, vectors):
                    acc = add(acc, load(line + vector * lanes * 4, 0))
            store_f32(out, channel, total(acc) / count)

    return kernel_entry(global_avg_pool)
