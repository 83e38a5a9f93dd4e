"""The epilogue of a node: its fused ops, one by one on the op's result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparsenet.reference.activations import FUNCTIONS
from sparsenet.reference.normalization import affine
from sparsenet.reference.operation import Array


def apply_epilogue(x: Array, steps: Sequence[Sequence[Any]], tensors: Sequence[Array]) -> Array:
    """Run the fused ops ``[name, *numbers]`` in order; ``affine`` takes two of ``tensors``, ``add`` one."""
    waiting = iter(tensors)
    for op, *numbers in steps:
        if op == "affine":
            x = affine([x, next(waiting), next(waiting)], {})
        elif op == "add":
            x = x + next(waiting)
        else:
            x = FUNCTIONS[op](x, *numbers)
    return x
