"""The tile with which kernels are written."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.targets.cpu.vector_ir.arithmetic import Arithmetic
from sparsenet.targets.cpu.vector_ir.lanes import Lanes
from sparsenet.targets.cpu.vector_ir.llvm import (
    Product,
    fma,
    has_lane_products,
    number_at,
    prefetch_ahead,
    shuffled,
)
from sparsenet.targets.cpu.vector_ir.memory import Memory
from sparsenet.targets.cpu.vector_ir.scattered import Scattered


class Tile(Memory, Arithmetic, Lanes, Scattered):
    """All operations on a register block (see ``Block`` for its shape and place in memory)."""


def outer_product(block: Tile, pixels: Tile, product: Product = fma) -> Any:
    """``f(acc, pointer, x)``: the dense register tile, acc[channel] += w[channel] * x for the ``block``'s channels.

    ``pointer`` is one weight per channel, consecutive; ``pixels`` is ``block`` with a single channel;
    ``product(b, w, x, sum)`` is the sum with w * x added.
    """

    def emit(b: ir.IRBuilder, acc: ir.Value, pointer: ir.Value, x: ir.Value) -> list[ir.Value]:
        sums, xs = block._split(b, acc), pixels._split(b, x)
        prefetch_ahead(b, pointer, block.item * block.outputs)
        weights, out = splat_weights(b, block, pointer), []
        for channel, w in enumerate(weights):
            out += [product(b, w, v, sums[channel * pixels.count + p]) for p, v in enumerate(xs)]
        return out

    return block._intrinsic([block.type, types.int64, pixels.type], block.type, emit)


def splat_weights(b: ir.IRBuilder, block: Tile, pointer: ir.Value) -> list[ir.Value]:
    """A vector of each channel's weight."""
    if block.outputs != block.lanes or not has_lane_products():
        return [block._splat(b, number_at(b, pointer, block.element, i)) for i in range(block.outputs)]
    every = block._load(b, pointer)
    return [shuffled(b, every, every, lambda _, i=i: i) for i in range(block.outputs)]  # type: ignore[misc]
