"""Filling what follows the pixels of a line: the halo that windows read as padding."""

from __future__ import annotations

from functools import cache
from typing import Any

from sparsenet.graph.types import ElementType
from sparsenet.targets.cpu.device import device
from sparsenet.targets.cpu.vector_ir import Tile


@cache  # compiled once for all kernels
def clear_halo(element: ElementType, lanes: int) -> Any:
    """``f(out, out_row, out_channel, rows, channels, line_vectors, halo_vectors, zero)`` for the lines from ``out`` on.

    ``zero``: what stands for 0.

    A pass of its own: inside a kernel's loop over channels it costs that loop its registers.
    """
    vector = Tile(element, lanes)
    vector_bytes = vector.vector_bytes
    splat, store = vector.splat, vector.store

    @device
    def clear(out, out_row, out_channel, rows, channels, line_vectors, halo_vectors, zero):  # type: ignore[no-untyped-def]
        for row in range(rows if halo_vectors > 0 else 0):
            for channel in range(channels):
                line = out + row * out_row + channel * out_channel
                for halo in range(line_vectors, line_vectors + halo_vectors):
                    store(line + halo * vector_bytes, 0, splat(zero))

    return clear
