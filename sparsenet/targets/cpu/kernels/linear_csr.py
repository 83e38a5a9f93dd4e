"""Fully connected layer, sparse: one output feature per lane, inputs gathered.

Rows are taken ``lanes`` at a time and padded to the longest of them (SELL-C, Kreutzer et al., arXiv 1307.6209). The
stream of a group is, per step, ``lanes`` float32 values and then ``lanes`` numbers of inputs.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.epilogue import flat_epilogue
from sparsenet.targets.cpu.vector_ir import Tile, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``group_offsets[g]`` counts the steps before group g; ``index_bytes`` is the size of an input's number."""
    read = arguments(kernel)
    lanes, index_bytes = kernel.lanes, kernel.parameter("index_bytes")
    tile = Tile(kernel.element, lanes)
    vector_bytes = tile.vector_bytes
    load, load_streamed, mul_add, store = tile.load, tile.load_streamed, tile.mul_add, tile.store
    gather = tile.gather_numbers(index_bytes)
    epilogue = flat_epilogue(kernel, tile)
    step_bytes = lanes * (tile.item + index_bytes)

    def linear_csr(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, group_offsets = given.x, given.group_offsets
        stream, bias = given.stream, given.bias
        c_out, out = given.c_out, given.out
        groups = (c_out + lanes - 1) // lanes
        for group in range(groups):
            acc = load(bias + group * vector_bytes, 0)
            for step in range(load_i32(group_offsets, group), load_i32(group_offsets, group + 1)):
                entry = stream + step * step_bytes
                acc = mul_add(load_streamed(entry), gather(x, entry + vector_bytes), acc)
            store(out + group * vector_bytes, 0, epilogue(acc, args, bases, group * lanes, 0, 0))

    return kernel_entry(linear_csr)
