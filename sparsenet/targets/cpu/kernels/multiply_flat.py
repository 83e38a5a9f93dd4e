"""Product of two flat tensors of one shape; then the epilogue."""

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
    load, store, mul = tile.load, tile.store, tile.mul
    epilogue = flat_epilogue(kernel, tile)

    def multiply_flat(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, other = given.x, given.y
        size, out = given.size, given.out
        vectors = (size + lanes - 1) // lanes
        for vector in range(vectors):
            start = vector * lanes
            product = mul(load(x + start * item, 0), load(other + start * item, 0))
            store(out + start * item, 0, epilogue(product, args, bases, start, 0, 0))

    return kernel_entry(multiply_flat)
