"""How each op becomes launches: op name → ``f(builder, node)``; what is not here a GPU cannot run yet."""

from __future__ import annotations

from collections.abc import Callable

from sparsenet.graph import Node
from sparsenet.targets.cuda.builder import Builder
from sparsenet.targets.cuda.lower import (
    choices,
    convolution,
    elementwise,
    movement,
    normalization,
    pooling,
    products,
    rearrange,
    reductions,
)

LOWER: dict[str, Callable[[Builder, Node], None]] = {
    **choices.LOWER,
    **convolution.LOWER,
    **elementwise.LOWER,
    **movement.LOWER,
    **normalization.LOWER,
    **pooling.LOWER,
    **products.LOWER,
    **rearrange.LOWER,
    **reductions.LOWER,
}
