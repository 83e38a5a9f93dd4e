"""Waiting for the other threads: every tape holds the same barriers in the same order."""

from __future__ import annotations

from typing import Any

from sparsenet.kernels.device import integer, kernel_entry, pointer
from sparsenet.kernels.registry import Kernel
from sparsenet.kernels.vector_ir import atomic_add, atomic_load, yield_processor

#: Spins before a waiting thread offers its core: about 20 µs, longer than the skew of balanced shares.
SPINS = 4000


def build(kernel: Kernel) -> Any:
    """Arrive at ``counter`` and wait until ``target`` arrivals have happened since the inference began."""

    def barrier(args, bases):  # type: ignore[no-untyped-def]
        counter, target = pointer(args, bases, 0), integer(args, 1)
        atomic_add(counter, 1)
        spins = 0
        while atomic_load(counter) < target:
            spins += 1
            if spins > SPINS:
                yield_processor()

    return kernel_entry(barrier)
