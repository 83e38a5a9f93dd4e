"""Where the largest number stands on one axis of a plain tensor viewed as (outer, axis, inner)."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import load_f32, store_f32


def build(kernel: Kernel) -> Any:
    """The index as a float; of equal numbers the first, or the ``last`` if that is not 0; NaN counts as the largest."""

    def argmax(args, bases):  # type: ignore[no-untyped-def]
        x, outer, axis, inner = pointer(args, bases, 0), integer(args, 1), integer(args, 2), integer(args, 3)
        last, out = integer(args, 4), pointer(args, bases, 5)
        for item in range(outer * inner):
            first = item // inner * axis * inner + item % inner
            best, largest = 0, load_f32(x, first)
            for i in range(1, axis):
                value = load_f32(x, first + i * inner)
                same = value == largest or (value != value and largest != largest)
                above = value > largest or (value != value and largest == largest)
                if above or (same and last != 0):
                    best, largest = i, value
            store_f32(out, item, best)

    return kernel_entry(argmax)
