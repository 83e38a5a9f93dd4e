"""A plain tensor of bytes to float32: x = scale * float32(byte - zero)."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import U8
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.casts import from_bytes
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A vector of float32 at a time."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile, octets = Tile(kernel.element, lanes), Tile(U8, lanes)
    item, byte = tile.item, octets.item
    load_between, steps_of = octets.load_between, from_bytes(octets)
    multiply, splat, store_between = tile.mul, tile.splat, tile.store_between

    def dequantize_flat(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, size, scale, zero, out = given.x, given.size, given.scale, given.zero, given.out
        for first in range(0, size, lanes):
            steps = steps_of(load_between(x + first * byte, 0, size - first), zero)
            store_between(out + first * item, 0, size - first, multiply(steps, splat(scale)))

    return kernel_entry(dequantize_flat, exact=True)
