"""Numbers of a plain tensor picked by one table per axis: transposition, slice, gather, expansion, mirrored padding."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, load_i32, store_f32


def build(kernel: Kernel) -> Any:
    """``shape``: the output's sizes; ``tables``: axis after axis, what each index adds to the place in the source."""

    def take(args, bases):  # type: ignore[no-untyped-def]
        x, rank = pointer(args, bases, 0), integer(args, 1)
        shape, tables, out = pointer(args, bases, 2), pointer(args, bases, 3), pointer(args, bases, 4)
        inner, lines, last = load_i32(shape, rank - 1), 1, tables
        for axis in range(rank - 1):
            lines *= load_i32(shape, axis)
            last += load_i32(shape, axis) * 4
        for line in range(lines):
            rest, source, table = line, x, last
            for axis in range(rank - 2, -1, -1):
                extent = load_i32(shape, axis)
                table -= extent * 4
                source += load_i32(table, rest % extent) * 4
                rest //= extent
            for k in range(inner):
                store_f32(out, line * inner + k, load_f32(source, load_i32(last, k)))

    return kernel_entry(take)
