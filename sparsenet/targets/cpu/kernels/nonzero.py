"""Indices of the elements of a plain tensor that are not zero."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import load_f32, load_i32, store_f32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A line for each axis, a column for each number that is not 0, in C order; -1 in the columns left over."""
    read = arguments(kernel)

    def nonzero(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, rank, shape = given.x, given.rank, given.shape
        size, out = given.size, given.out
        found = 0
        for i in range(size):
            if load_f32(x, i) != 0:
                rest = i
                for axis in range(rank - 1, -1, -1):
                    extent = load_i32(shape, axis)
                    store_f32(out, axis * size + found, rest % extent)
                    rest //= extent
                found += 1
        for axis in range(rank):
            for column in range(found, size):
                store_f32(out, axis * size + column, -1)

    return kernel_entry(nonzero)
