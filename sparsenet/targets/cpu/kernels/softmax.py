"""Softmax along one axis of a plain tensor viewed as (outer, axis, inner), the largest value subtracted first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Build the kernel, whose lanes run along the axis if it is the last, else across it."""
    read = arguments(kernel)
    lanes = kernel.lanes
    tile = Tile(kernel.element, lanes)
    item = tile.item
    load, store, store_between = tile.load, tile.store, tile.store_between
    splat, keep, add, sub, mul, div = tile.splat, tile.keep, tile.add, tile.sub, tile.mul, tile.div
    exp, maximum, largest, total = tile.activation("exp"), tile.maximum, tile.largest, tile.sum
    zero, one, low = np.float32(0), np.float32(1), np.float32(-math.inf)

    @device
    def along(x: int, axis: int, out: int) -> None:
        """Compute one line; the next one overwrites what is written behind it."""
        top = splat(low)
        for k in range(0, axis, lanes):
            top = maximum(keep(load(x + k * item, 0), 0, axis - k, low), top)
        top, powers = splat(largest(top)), splat(zero)
        for k in range(0, axis, lanes):
            power = exp(sub(load(x + k * item, 0), top))
            store(out + k * item, 0, power)
            powers = add(powers, keep(power, 0, axis - k, zero))
        scale = splat(one / total(powers))
        for k in range(0, axis, lanes):
            store(out + k * item, 0, mul(load(out + k * item, 0), scale))

    @device
    def across(x: int, axis: int, inner: int, out: int, some: int) -> None:
        """Compute ``some`` neighbouring lines, at most a vector of them."""
        top, powers = splat(low), splat(zero)
        for i in range(axis):
            top = maximum(load(x + i * inner * item, 0), top)
        for i in range(axis):
            power = exp(sub(load(x + i * inner * item, 0), top))
            store_between(out + i * inner * item, 0, some, power)
            powers = add(powers, power)
        scale = div(splat(one), powers)
        for i in range(axis):
            store_between(out + i * inner * item, 0, some, mul(load(out + i * inner * item, 0), scale))

    def softmax(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, outer, axis, inner = given.x, given.outer, given.axis, given.inner
        out = given.out
        for block in range(outer):
            start = block * axis * inner * item
            if inner == 1:
                along(x + start, axis, out + start)
            else:
                for k in range(0, inner, lanes):
                    across(x + start + k * item, axis, inner, out + start + k * item, inner - k)

    return kernel_entry(softmax)
