"""Fully connected layer in 8 bits, dense: as ``linear_dense``, with quads of inputs in place of inputs.

Weights are packed ``[block of outputs][quad of inputs][output]``, four signed bytes each.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.requantize import requantized_outputs, sum_lanes
from sparsenet.targets.cpu.vector_ir import Tile, load_i32
from sparsenet.targets.cpu.vector_ir.matrix_quads import multiply_outputs
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Blocks of ``vectors`` vectors of sums."""
    read, vectors, lanes = arguments(kernel), kernel.parameter("vectors"), sum_lanes(kernel)
    sums = Tile(I32, lanes, 1, vectors)
    load, add, splat, multiply = (
        sums.load,
        sums.add,
        sums.splat,
        multiply_outputs(sums, kernel.parameter("dot")),
    )
    finish, store = requantized_outputs(kernel, sums), Tile(kernel.element, lanes, 1, vectors).store
    block, step = vectors * lanes, vectors * sums.vector_bytes
    number, item = sums.item, kernel.element.itemsize

    def linear_dense_bytes(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, weights, bias = given.x, given.weights, given.bias
        quads, c_out, out = given.quads, given.c_out, given.out
        for first in range(0, c_out, block):
            w = weights + first * quads * number
            acc0, acc1 = load(bias + first * number, 0), splat(0)
            acc2, acc3 = splat(0), splat(0)  # four chains of sums hide the latency of a product
            even = quads // 4 * 4
            for k in range(0, even, 4):
                acc0 = multiply(acc0, w, load_i32(x, k))
                acc1 = multiply(acc1, w + step, load_i32(x, k + 1))
                acc2 = multiply(acc2, w + 2 * step, load_i32(x, k + 2))
                acc3 = multiply(acc3, w + 3 * step, load_i32(x, k + 3))
                w += 4 * step
            for k in range(even, quads):
                acc0 = multiply(acc0, w, load_i32(x, k))
                w += step
            acc = add(add(acc0, acc1), add(acc2, acc3))
            store(out + first * item, 0, finish(acc, args, bases, first))

    return kernel_entry(linear_dense_bytes, exact=True)
