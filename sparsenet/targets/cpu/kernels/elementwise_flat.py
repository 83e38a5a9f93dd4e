"""Ops element by element over a flat tensor: copy, then the epilogue with one scale and shift per element."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import flat_epilogue
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Flat tensors are padded to whole vectors, so there is no tail."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    item = tile.item
    load, store = tile.load, tile.store
    epilogue = flat_epilogue(kernel, tile)

    def elementwise_flat(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, size, out = given.x, given.size, given.out
        vectors = (size + lanes - 1) // lanes
        for vector in range(vectors):
            start = vector * lanes
            store(out + start * item, 0, epilogue(load(x + start * item, 0), args, bases, start, 0, 0))

    return kernel_entry(elementwise_flat)
