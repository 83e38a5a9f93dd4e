"""Filling memory with one value: the halo rows above and below a map."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``size`` floats from ``out`` on."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    vector_bytes = tile.vector_bytes
    splat, store, store_between = tile.splat, tile.store, tile.store_between

    def fill(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        value, size, out = given.value, given.size, given.out
        whole = size // lanes
        for vector in range(whole):
            store(out + vector * vector_bytes, 0, splat(value))
        if whole * lanes < size:
            store_between(out + whole * vector_bytes, 0, size - whole * lanes, splat(value))

    return kernel_entry(fill)
