"""Every run of a plain tensor brought to mean 0 and variance 1 (layer and instance normalization)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_f32
from sparsenet.targets.registry import Kernel

#: Vectors added in float32 before the sum goes on in float64.
_VECTORS_AT_ONCE = 64
#: Between these, no square that counts has left the range of float32.
_SMALLEST, _LARGEST = 1e-30, 1e37


def build(kernel: Kernel) -> Any:
    """``runs`` runs of ``size`` numbers each; mean and variance in two passes."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    item = tile.item
    load, store, splat, keep = tile.load, tile.store, tile.splat, tile.keep
    add, sub, mul_add, total = tile.add, tile.sub, tile.mul_add, tile.sum
    block, zero = _VECTORS_AT_ONCE * lanes, np.float32(0)

    @device
    def sums(x: int, size: int, shift: float) -> tuple[float, float]:
        """The sums of all numbers less ``shift``, and of their squares."""
        once, squares, taken = 0.0, 0.0, splat(np.float32(shift))
        for first in range(0, size, block):
            a, b = splat(zero), splat(zero)
            for k in range(first, min(first + block, size), lanes):
                difference = keep(sub(load(x + k * item, 0), taken), 0, size - k, zero)
                a, b = add(a, difference), mul_add(difference, difference, b)
            once += total(a)
            squares += total(b)
        return once, squares

    @device
    def exact_sums(x: int, size: int, shift: float) -> tuple[float, float]:
        """The sums of ``sums``, in float64."""
        once, squares = 0.0, 0.0
        for i in range(size):
            difference = np.float64(load_f32(x, i)) - shift
            once += difference
            squares += difference * difference
        return once, squares

    def normalize(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, runs, size = given.x, given.runs, given.size
        eps, out = given.eps, given.out
        for run in range(runs):
            start = x + run * size * item
            near = np.float32(sums(start, size, zero)[0] / size)
            once, squares = sums(start, size, near)
            if not _SMALLEST < squares < _LARGEST:
                near = np.float32(exact_sums(start, size, zero)[0] / size)
                once, squares = exact_sums(start, size, near)
            rest = once / size  # the mean's rounding error in float32
            factor = 1 / math.sqrt(squares / size - rest * rest + eps)
            mean, scale, shift = (
                splat(near),
                splat(np.float32(factor)),
                splat(np.float32(-rest * factor)),
            )
            for k in range(0, size, lanes):  # the next run overwrites the excess
                value = mul_add(sub(load(start + k * item, 0), mean), scale, shift)
                store(out + (run * size + k) * item, 0, value)

    return kernel_entry(normalize)
