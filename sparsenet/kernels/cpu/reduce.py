"""Sum, maximum, minimum or product over any axes of a plain tensor, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sparsenet.kernels.device import device, integer, kernel_entry, number, pointer
from sparsenet.kernels.registry import REDUCE_OPERATIONS, Kernel
from sparsenet.kernels.vector_ir import load_f32, load_i32, store_f32

#: What is begun with, and how a number joins what there is; a NaN stays.
_OPERATIONS: dict[str, tuple[float, Callable[[Any, Any], Any]]] = {
    "sum": (0.0, lambda so_far, x: so_far + x),
    "max": (-math.inf, lambda so_far, x: x if x > so_far or x != x else so_far),
    "min": (math.inf, lambda so_far, x: x if x < so_far or x != x else so_far),
    "prod": (1.0, lambda so_far, x: so_far * x),
}


def build(kernel: Kernel) -> Any:
    """``shape`` and ``strides`` are tables of the axes that stay, then of those that go; the result times ``scale``."""
    start, operation = _OPERATIONS[REDUCE_OPERATIONS[kernel.parameter("operation")]]
    join = device(operation)

    def reduce(args, bases):  # type: ignore[no-untyped-def]
        x, shape, strides = pointer(args, bases, 0), pointer(args, bases, 1), pointer(args, bases, 2)
        kept, gone, scale = integer(args, 3), integer(args, 4), number(args, 5)
        out = pointer(args, bases, 6)
        size, lines = 1, 1
        for axis in range(kept):
            size *= load_i32(shape, axis)
        for axis in range(kept, kept + gone - 1):
            lines *= load_i32(shape, axis)
        inner, step = load_i32(shape, kept + gone - 1), load_i32(strides, kept + gone - 1)
        for index in range(size):
            rest, first = index, 0
            for axis in range(kept - 1, -1, -1):
                extent = load_i32(shape, axis)
                first += rest % extent * load_i32(strides, axis)
                rest //= extent
            total = start
            for line in range(lines):
                rest, source = line, first
                for axis in range(kept + gone - 2, kept - 1, -1):
                    extent = load_i32(shape, axis)
                    source += rest % extent * load_i32(strides, axis)
                    rest //= extent
                for k in range(inner):
                    total = join(total, load_f32(x, source + k * step))
            store_f32(out, index, total * scale)

    return kernel_entry(reduce)
