"""Fully connected layer in 8 bits, sparse: one output feature per lane, which picks quads of inputs from a window.

Rows are taken a vector at a time. A step multiplies one quad of weights of each row, or zeros, and reads one window of
inputs, a vector of consecutive quads: it starts where the row that is furthest behind goes on, and every row whose next
quad is in it takes part. So no input is gathered from memory, and no row waits for another at fixed borders.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.requantize import requantized_outputs, sum_lanes
from sparsenet.targets.cpu.vector_ir import Tile, load_i32
from sparsenet.targets.cpu.vector_ir.matrix_quads import multiply_picked
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``group_offsets[g]`` counts the steps before group g, which are even in number."""
    read, lanes = arguments(kernel), sum_lanes(kernel)
    sums = Tile(I32, lanes)
    load, add, splat, multiply = (
        sums.load,
        sums.add,
        sums.splat,
        multiply_picked(sums, kernel.parameter("dot")),
    )
    finish, store = requantized_outputs(kernel, sums), Tile(kernel.element, lanes).store
    number, item, vector_bytes = sums.item, kernel.element.itemsize, sums.vector_bytes

    def linear_csr_bytes(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, group_offsets, windows = given.x, given.group_offsets, given.windows
        weights, places, bias = given.weights, given.places, given.bias
        c_out, out = given.c_out, given.out
        for group in range((c_out + lanes - 1) // lanes):
            first = group * lanes
            acc0, acc1 = load(bias + first * number, 0), splat(0)
            for k in range(load_i32(group_offsets, group), load_i32(group_offsets, group + 1), 2):
                w, p = weights + k * vector_bytes, places + k * lanes
                acc0 = multiply(acc0, w, p, x + load_i32(windows, k))
                acc1 = multiply(acc1, w + vector_bytes, p + lanes, x + load_i32(windows, k + 1))
            acc = add(acc0, acc1)
            store(out + first * item, 0, finish(acc, args, bases, first))

    return kernel_entry(linear_csr_bytes, exact=True)
