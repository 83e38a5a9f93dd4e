"""What lowering a convolution or fully connected layer in integers works on, and the ways that it chooses from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from sparsenet.graph.integer import Product
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.value import Value

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Layer:
    """A product on its way; ``weights``: int64 (C_out, C_in / groups, K_h, K_w)."""

    builder: Builder
    conv: Convolution
    product: Product
    weights: Numbers
    x: Value

    @property
    def columns(self) -> int:
        """Columns from one tap to the next."""
        return self.conv.geometry.dilation[1]


@dataclass(frozen=True, eq=False)
class Way:
    """One way to compute it: how many instructions a row takes, the kernel's family and first tile parameters, the
    arguments that other ways do not have, the words of scratch memory that it needs, what it takes from the bytes of
    pixels before it multiplies them, and whether the last tile of a line may make pixels again that others made.
    """

    instructions: int
    family: str
    tile: tuple[int, ...]
    packed: dict[str, Any]
    scratch: int = 0
    middle: int = 0
    overlaps: bool = True

    @property
    def width(self) -> int:
        """Pixels of a tile."""
        return self.tile[1 if self.family == "conv_csr" else 0]
