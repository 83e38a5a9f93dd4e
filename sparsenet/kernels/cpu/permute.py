"""Any transposition of a plain tensor: an output index is taken apart, its source address put together."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, load_i32, store_f32


def build(kernel: Kernel) -> Any:
    """``shape`` and ``strides`` (of the source, in floats) are int32 tables over the output's axes."""

    def permute(args, bases):  # type: ignore[no-untyped-def]
        x, rank = pointer(args, bases, 0), integer(args, 1)
        shape, strides, out = pointer(args, bases, 2), pointer(args, bases, 3), pointer(args, bases, 4)
        size = 1
        for axis in range(rank):
            size *= load_i32(shape, axis)
        for index in range(size):
            rest, source = index, 0
            for axis in range(rank - 1, -1, -1):
                extent = load_i32(shape, axis)
                source += rest % extent * load_i32(strides, axis)
                rest //= extent
            store_f32(out, index, load_f32(x, source))

    return kernel_entry(permute)
