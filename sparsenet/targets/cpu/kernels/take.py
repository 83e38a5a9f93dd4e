"""Numbers of a plain tensor picked by one table per axis: slice, gather, expansion, mirrored padding."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_i32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``shape``: the output's sizes; ``tables``: axis after axis, what each index adds to the place in the source.

    ``runs``: the last table counts up by one, so that whole vectors are copied. It ends with zeros up to a whole
    vector. Lines are written by whole vectors, as in ``broadcast``.
    """
    read = arguments(kernel)
    index_bytes = I32.itemsize
    lanes, runs = kernel.lanes, kernel.parameter("runs") == 1
    tile = Tile(kernel.element, lanes)
    item = tile.item
    load, store, gather = tile.load, tile.store, tile.gather_numbers(I32.itemsize)

    def take(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, rank = given.x, given.rank
        shape, tables, out = given.shape, given.tables, given.out
        inner, lines, last = load_i32(shape, rank - 1), 1, tables
        for axis in range(rank - 1):
            lines *= load_i32(shape, axis)
            last += load_i32(shape, axis) * index_bytes
        for line in range(lines):
            rest, source, table = line, x, last
            for axis in range(rank - 2, -1, -1):
                extent = load_i32(shape, axis)
                table -= extent * index_bytes
                source += load_i32(table, rest % extent) * item
                rest //= extent
            if runs:
                source += load_i32(last, 0) * item
            for k in range(0, inner, lanes):
                if runs:
                    store(out + (line * inner + k) * item, 0, load(source + k * item, 0))
                else:
                    store(out + (line * inner + k) * item, 0, gather(source, last + k * index_bytes))

    return kernel_entry(take)
