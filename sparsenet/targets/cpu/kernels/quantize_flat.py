"""A plain float32 tensor to bytes: byte = clamp(rint(x / scale) + zero, 0, 255), half to even, NaN least."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import F32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.casts import steps, to_bytes
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector of float32 at a time."""
    read = arguments(kernel)
    lanes = kernel.lanes // F32.itemsize
    tile, octets = Tile(F32, lanes), Tile(kernel.element, lanes)
    item, byte = tile.item, octets.item
    load_between, divide = tile.load_between, steps(tile)
    rounded, store_between = to_bytes(tile), octets.store_between

    def quantize_flat(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, size, scale, zero, out = given.x, given.size, given.scale, given.zero, given.out
        for first in range(0, size, lanes):
            values = load_between(x + first * item, 0, size - first)
            numbers = rounded(divide(values, scale), zero)
            store_between(out + first * byte, 0, size - first, numbers)

    return kernel_entry(quantize_flat, exact=True)
