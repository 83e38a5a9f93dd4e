"""Ops element by element over a flat tensor: copy, then the epilogue with one scale and shift per element."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import flat_epilogue
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel

#: Vectors to a turn of the loop.
TOGETHER = 4


def build(kernel: Kernel) -> Any:
    """Flat tensors are padded to whole vectors, so there is no tail."""
    read = arguments(kernel)
    lanes = kernel.lanes
    several, tile = Tile(kernel.element, lanes, 1, TOGETHER), Tile(kernel.element, lanes)
    item = tile.item
    load, store, load_several, store_several = tile.load, tile.store, several.load, several.store
    epilogue, epilogue_of_several = flat_epilogue(kernel, tile), flat_epilogue(kernel, several)

    def elementwise_flat(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, size, out = given.x, given.size, given.out
        vectors = (size + lanes - 1) // lanes
        whole = vectors // TOGETHER * TOGETHER
        for vector in range(0, whole, TOGETHER):
            start = vector * lanes
            values = load_several(x + start * item, 0)
            store_several(out + start * item, 0, epilogue_of_several(values, args, bases, start, 0, 0))
        for vector in range(whole, vectors):
            start = vector * lanes
            store(out + start * item, 0, epilogue(load(x + start * item, 0), args, bases, start, 0, 0))

    return kernel_entry(elementwise_flat)
