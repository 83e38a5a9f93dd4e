"""Two plain tensors combined number by number, with any NumPy broadcasting; the general case, not the fast one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparsenet.kernels.device import device, integer, kernel_entry, pointer
from sparsenet.kernels.registry import BROADCAST_OPERATIONS, Kernel
from sparsenet.kernels.vector_ir import load_f32, load_i32, store_f32

_ONE, _ZERO = np.float32(1), np.float32(0)

#: Written so that NaN in is NaN out, but for comparisons, which are false of it.
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: np.float32(math.pow(a, b)),
    "maximum": lambda a, b: a if a > b or a != a else b,
    "minimum": lambda a, b: a if a < b or a != a else b,
    "greater": lambda a, b: _ONE if a > b else _ZERO,
    "less": lambda a, b: _ONE if a < b else _ZERO,
    "equal": lambda a, b: _ONE if a == b else _ZERO,
}


def build(kernel: Kernel) -> Any:
    """``operation`` numbers ``BROADCAST_OPERATIONS``; strides are in floats, 0 along a broadcast axis."""
    combine = device(_OPERATIONS[BROADCAST_OPERATIONS[kernel.parameter("operation")]])

    def broadcast(args, bases):  # type: ignore[no-untyped-def]
        x, y, rank = pointer(args, bases, 0), pointer(args, bases, 1), integer(args, 2)
        shape = pointer(args, bases, 3)
        x_strides, y_strides = pointer(args, bases, 4), pointer(args, bases, 5)
        out = pointer(args, bases, 6)
        inner, lines = load_i32(shape, rank - 1), 1
        x_step, y_step = load_i32(x_strides, rank - 1), load_i32(y_strides, rank - 1)
        for axis in range(rank - 1):
            lines *= load_i32(shape, axis)
        for line in range(lines):
            rest, i, j = line, 0, 0
            for axis in range(rank - 2, -1, -1):
                extent = load_i32(shape, axis)
                i += rest % extent * load_i32(x_strides, axis)
                j += rest % extent * load_i32(y_strides, axis)
                rest //= extent
            for k in range(inner):
                value = combine(load_f32(x, i + k * x_step), load_f32(y, j + k * y_step))
                store_f32(out, line * inner + k, value)

    return kernel_entry(broadcast)
