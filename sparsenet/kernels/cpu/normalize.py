"""Every run of a plain tensor brought to mean 0 and variance 1 (layer and instance normalization)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparsenet.kernels.device import integer, kernel_entry, number, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, store_f32


def build(kernel: Kernel) -> Any:
    """``runs`` runs of ``size`` numbers each; mean and variance in float64, in two passes."""

    def normalize(args, bases):  # type: ignore[no-untyped-def]
        x, runs, size = pointer(args, bases, 0), integer(args, 1), integer(args, 2)
        eps, out = number(args, 3), pointer(args, bases, 4)
        for run in range(runs):
            first, total, squares = run * size, 0.0, 0.0
            for i in range(first, first + size):
                total += load_f32(x, i)
            mean = total / size
            for i in range(first, first + size):
                difference = load_f32(x, i) - mean
                squares += difference * difference
            factor = 1 / math.sqrt(squares / size + eps)
            for i in range(first, first + size):
                store_f32(out, i, np.float32((load_f32(x, i) - mean) * factor))

    return kernel_entry(normalize)
