"""Add, subtract or multiply with any NumPy broadcasting, on plain tensors; the general case, not the fast one."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, load_i32, store_f32


def build(kernel: Kernel) -> Any:
    """``operation`` is 0 add, 1 sub, 2 mul; strides are in floats, 0 along a broadcast axis."""

    def broadcast(args, bases):  # type: ignore[no-untyped-def]
        x, y, rank = pointer(args, bases, 0), pointer(args, bases, 1), integer(args, 2)
        shape = pointer(args, bases, 3)
        x_strides, y_strides = pointer(args, bases, 4), pointer(args, bases, 5)
        operation, out = integer(args, 6), pointer(args, bases, 7)
        size = 1
        for axis in range(rank):
            size *= load_i32(shape, axis)
        for index in range(size):
            rest, i, j = index, 0, 0
            for axis in range(rank - 1, -1, -1):
                extent = load_i32(shape, axis)
                i += rest % extent * load_i32(x_strides, axis)
                j += rest % extent * load_i32(y_strides, axis)
                rest //= extent
            a, b = load_f32(x, i), load_f32(y, j)
            if operation == 0:
                store_f32(out, index, a + b)
            elif operation == 1:
                store_f32(out, index, a - b)
            else:
                store_f32(out, index, a * b)

    return kernel_entry(broadcast)
