"""Index of the largest number on one axis of a plain tensor viewed as (outer, axis, inner)."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import load_f32, store_f32
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """Build the kernel: indices as floats; of equal numbers the first, or the ``last`` if not 0; NaN is the largest."""
    read = arguments(kernel)

    def argmax(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, outer, axis, inner = given.x, given.outer, given.axis, given.inner
        last, out = given.last, given.out
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
