"""Filling memory with one value: the halo rows above and below a map."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, number, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import Tile


def build(kernel: Kernel) -> Any:
    """``size`` floats from ``out`` on."""
    lanes = kernel.lanes
    tile = Tile(lanes)
    splat, store_between = tile.splat, tile.store_between

    def fill(args, bases):  # type: ignore[no-untyped-def]
        value, size, out = number(args, 0), integer(args, 1), pointer(args, bases, 2)
        vectors = (size + lanes - 1) // lanes
        for vector in range(vectors):
            store_between(out + vector * lanes * 4, 0, size - vector * lanes, splat(value))

    return kernel_entry(fill)
