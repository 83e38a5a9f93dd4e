"""Arithmetic and comparison of two tensors, with any broadcasting: an axis that is repeated has stride 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32

from sparsenet.targets.cuda.simt.epilogue import epilogue
from sparsenet.targets.cuda.simt.machine import device, load, store
from sparsenet.targets.cuda.simt.pixels import pixel_at
from sparsenet.targets.registry import BROADCAST_OPERATIONS, Kernel

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_INFINITY, _NAN = np.float32(math.inf), np.float32(math.nan)


@device
def _add(a: Any, b: Any) -> Any:
    return a + b


@device
def _sub(a: Any, b: Any) -> Any:
    return a - b


@device
def _mul(a: Any, b: Any) -> Any:
    return a * b


@device
def _div(a: Any, b: Any) -> Any:
    if b == _ZERO:  # in the simulator a division by zero is a warning
        sign = np.float32(math.copysign(_ONE, a)) * np.float32(math.copysign(_ONE, b))
        return sign * _INFINITY if abs(a) > _ZERO else _NAN
    return a / b


@device
def _pow(a: Any, b: Any) -> Any:
    if a == _ZERO and b < _ZERO:  # in the simulator an error
        return np.float32(math.copysign(_INFINITY, a)) if abs(math.fmod(b, _TWO)) == _ONE else _INFINITY
    if a < _ZERO and math.floor(b) != b:
        return _NAN
    return np.float32(math.pow(a, b))


@device
def _maximum(a: Any, b: Any) -> Any:
    return a if a > b or a != a else b


@device
def _minimum(a: Any, b: Any) -> Any:
    return a if a < b or a != a else b


@device
def _greater(a: Any, b: Any) -> Any:
    return _ONE if a > b else _ZERO


@device
def _less(a: Any, b: Any) -> Any:
    return _ONE if a < b else _ZERO


@device
def _equal(a: Any, b: Any) -> Any:
    return _ONE if a == b else _ZERO


_FUNCTIONS = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "maximum": _maximum,
    "minimum": _minimum,
    "greater": _greater,
    "less": _less,
    "equal": _equal,
}


def build(kernel: Kernel) -> Any:
    """One thread for each position of a channel; ``operation`` numbers ``BROADCAST_OPERATIONS``."""
    function = _FUNCTIONS[BROADCAST_OPERATIONS[kernel.parameter("operation")]]
    finish = epilogue(kernel.epilogue, 1)

    def broadcast(  # type: ignore[no-untyped-def]
        memory, weights, tables, x, x_image, x_channel, x_row, x_column,
        y, y_image, y_channel, y_row, y_column,
        channels, width, height, line, image, images, out, pitch, tensors, numbers,
    ):  # fmt: skip
        position = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if position >= pitch:
            return
        n, row, column, inside = pixel_at(position, width, height, line, image, images)
        value = cuda.local.array(1, float32)
        scratch = cuda.local.array(1, float32)
        for channel in range(cuda.blockIdx.y, channels, cuda.gridDim.y):
            value[0] = _ZERO
            if inside:
                a = load(memory, x + n * x_image + channel * x_channel + row * x_row + column * x_column)
                b = load(memory, y + n * y_image + channel * y_channel + row * y_row + column * y_column)
                value[0] = function(a, b)
                finish(value, 0, scratch, memory, weights, tensors, numbers, channel, position)
            store(memory, out + channel * pitch + position, value[0])

    return broadcast
