"""Fully connected layer, dense: output features along the lanes, weights packed ``[C_out / lanes][C_in][lanes]``."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import flat_epilogue
from sparsenet.targets.cpu.vector_ir import Tile, load_f32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``vectors`` vectors of output features at once (weights packed in blocks of that many)."""
    read = arguments(kernel)
    vectors, lanes = kernel.parameter("vectors"), kernel.lanes
    tile = Tile(kernel.element, lanes, 1, vectors)
    load, fma, store, add, splat = tile.load, tile.fma, tile.store, tile.add, tile.splat
    load_streamed = tile.load_streamed
    epilogue = flat_epilogue(kernel, tile)
    block, item = vectors * lanes, tile.item
    sums = 4  # as many hide the latency of the chain of FMAs

    def linear_dense(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, weights, bias = given.x, given.weights, given.bias
        c_in, c_out, out = given.c_in, given.c_out, given.out
        blocks = (c_out + block - 1) // block
        even = c_in // sums * sums
        for b in range(blocks):
            w = weights + b * c_in * block * item
            acc0 = load(bias + b * block * item, 0)
            acc1 = acc2 = acc3 = splat(0.0)
            for k in range(0, even, sums):
                acc0 = fma(acc0, load_f32(x, k), load_streamed(w))
                acc1 = fma(acc1, load_f32(x, k + 1), load_streamed(w + block * item))
                acc2 = fma(acc2, load_f32(x, k + 2), load_streamed(w + block * 2 * item))
                acc3 = fma(acc3, load_f32(x, k + 3), load_streamed(w + block * 3 * item))
                w += sums * block * item
            for k in range(even, c_in):
                acc0 = fma(acc0, load_f32(x, k), load_streamed(w))
                w += block * item
            acc = add(add(acc0, acc1), add(acc2, acc3))
            store(out + b * block * item, 0, epilogue(acc, args, bases, b * block, 0, 0))

    return kernel_entry(linear_dense)
