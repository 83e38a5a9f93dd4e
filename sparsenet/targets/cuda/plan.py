"""A network ready for a GPU, as plain values: launches in order, and what device memory holds before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.plan.plan import Decision
from sparsenet.targets.registry import Kernel


@dataclass(frozen=True)
class Launch:
    """One kernel launch: ``kernel[(blocks), threads](memory, weights, tables, *integers, tensors, numbers)``."""

    layer: str
    kernel: Kernel
    blocks: tuple[int, int]
    threads: int
    integers: tuple[int, ...]
    tensors: tuple[int, ...]
    numbers: tuple[np.float32, ...]


@dataclass(frozen=True)
class Port:
    """Place of an input or output in ``memory``, in C order: its offset in floats and its shape, batch included."""

    name: str
    offset: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class CudaPlan:
    """A plan for one batch size.

    Attributes:
        launches: in order.
        weights: packed float32 weights; tables: int32 tables.
        memory_floats: size of the activations' memory, which is zero at first.
        constants: (offset, array) of what that memory holds permanently.
        inputs, outputs: where they are stored.
    """

    batch: int
    launches: list[Launch]
    weights: FloatArray
    tables: npt.NDArray[np.int32]
    memory_floats: int
    constants: list[tuple[int, FloatArray]]
    inputs: list[Port]
    outputs: list[Port]
    decisions: list[Decision]
