"""Numbers of a plain tensor at computed indices, none of which can lead outside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import load_f32, load_i32, load_number, store_number
from sparsenet.targets.registry import Kernel


@device
def _index(value: float, size: int) -> int:
    """The nearest whole number; negative ones count from the back; what leaves the axis stops at its end, NaN at 0."""
    place = np.float64(value)
    if place < -0.5:
        place += size
    if not place > 0:  # before it is made an integer, which not every float fits
        return 0
    return size - 1 if place > size - 1 else int(place + 0.5)


def build(kernel: Kernel) -> Any:
    """For each of ``blocks`` blocks of ``x_block`` numbers: ``rows`` runs of ``inner``.

    A run begins where ``depth`` indices, times their ``strides``, lead to, from the row's number modulo ``columns`` on.
    """
    read = arguments(kernel)
    load, store = load_number(kernel.element), store_number(kernel.element)

    def pick(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, indices = given.x, given.indices
        blocks, rows, inner, x_block = given.blocks, given.rows, given.inner, given.x_block
        columns, depth = given.columns, given.depth
        sizes, strides, out = given.sizes, given.strides, given.out
        for row in range(blocks * rows):
            source = row // rows * x_block + row % rows % columns
            for k in range(depth):
                index = _index(load_f32(indices, row * depth + k), load_i32(sizes, k))
                source += index * load_i32(strides, k)
            for i in range(inner):
                store(out, row * inner + i, load(x, source + i))

    return kernel_entry(pick)
