"""A choice between two plain tensors, number by number, with any NumPy broadcasting."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, load_i32, store_f32


def build(kernel: Kernel) -> Any:
    """``x`` where ``condition`` is not 0 (NaN is not), else ``y``; strides are in floats, 0 along a broadcast axis."""

    def where(args, bases):  # type: ignore[no-untyped-def]
        condition, x, y = pointer(args, bases, 0), pointer(args, bases, 1), pointer(args, bases, 2)
        rank, shape = integer(args, 3), pointer(args, bases, 4)
        c_strides, x_strides, y_strides = (
            pointer(args, bases, 5),
            pointer(args, bases, 6),
            pointer(args, bases, 7),
        )
        out = pointer(args, bases, 8)
        size = 1
        for axis in range(rank):
            size *= load_i32(shape, axis)
        for index in range(size):
            rest, c, i, j = index, 0, 0, 0
            for axis in range(rank - 1, -1, -1):
                extent = load_i32(shape, axis)
                place = rest % extent
                c += place * load_i32(c_strides, axis)
                i += place * load_i32(x_strides, axis)
                j += place * load_i32(y_strides, axis)
                rest //= extent
            if load_f32(condition, c) != 0:
                store_f32(out, index, load_f32(x, i))
            else:
                store_f32(out, index, load_f32(y, j))

    return kernel_entry(where)
