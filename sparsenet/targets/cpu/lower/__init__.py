"""Lowering: for each op, the function that writes its steps into the plan.

``LOWER`` maps op → ``f(builder, node)``; ``DEMANDS`` maps op → the geometry whose halo its input must have.
"""

from __future__ import annotations

from collections.abc import Callable

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.targets.cpu.lower import (
    blocks,
    choose,
    conv2d,
    elementwise,
    linear,
    movement,
    pooling,
    tensors,
    transposes,
)

LOWER: dict[str, Callable[[Builder, Node], None]] = {
    **conv2d.LOWER,
    **linear.LOWER,
    **pooling.LOWER,
    **elementwise.LOWER,
    **movement.LOWER,
    **tensors.LOWER,
    **blocks.LOWER,
    **transposes.LOWER,
    **choose.LOWER,
}

__all__ = ["LOWER"]
