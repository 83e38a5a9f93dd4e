"""What networks are fed."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet import TensorInfo
from sparsenet.graph import FloatArray
from sparsenet.graph.feeds import random_inputs


def example(inputs: Sequence[TensorInfo], batch: int = 1, seed: int = 0) -> FloatArray:
    """Standard-normal values (batch, ...) for the first of ``inputs``; MemoryLimitError if it is too large."""
    return random_inputs(inputs[:1], batch, seed)[inputs[0].name]
