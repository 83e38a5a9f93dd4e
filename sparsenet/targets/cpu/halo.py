"""Zeroing what follows the pixels of a line: the halo that windows read as padding."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sparsenet.targets.cpu.device import device
from sparsenet.targets.cpu.vector_ir import Tile


@cache  # compiled once for all kernels
def clear_halo(lanes: int) -> Any:
    """``f(out, out_row, out_channel, rows, channels, line_vectors, halo_vectors)`` for the lines from ``out`` on.

    A pass of its own: inside a kernel's loop over channels it costs that loop its registers.
    """
    vector = Tile(lanes)
    splat, store = vector.splat, vector.store
    zero = np.float32(0)

    @device
    def clear(out, out_row, out_channel, rows, channels, line_vectors, halo_vectors):  # type: ignore[no-untyped-def]
        for row in range(rows if halo_vectors > 0 else 0):
            for channel in range(channels):
                line = out + row * out_row + channel * out_channel
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store(line + halo * lanes * 4, 0, splat(zero))

    return clear
