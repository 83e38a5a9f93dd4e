"""Softmax along one axis of a plain tensor viewed as (outer, axis, inner), the largest value subtracted first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, store_f32


def build(kernel: Kernel) -> Any:
    """Scalar: classifiers have few classes."""

    def softmax(args, bases):  # type: ignore[no-untyped-def]
        x, outer, axis, inner = pointer(args, bases, 0), integer(args, 1), integer(args, 2), integer(args, 3)
        out = pointer(args, bases, 4)
        items = outer * inner
        for item in range(items):
            first = item // inner * axis * inner + item % inner
            largest = load_f32(x, first)
            for i in range(1, axis):
                value = load_f32(x, first + i * inner)
                if value > largest or value != value:
                    largest = value
            total = 0.0
            for i in range(axis):
                value = math.exp(load_f32(x, first + i * inner) - largest)
                total += value
                store_f32(out, first + i * inner, np.float32(value))
            for i in range(axis):
                store_f32(out, first + i * inner, np.float32(load_f32(out, first + i * inner) / total))

    return kernel_entry(softmax)
