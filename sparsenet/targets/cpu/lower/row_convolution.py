"""A convolution to choose a kernel for: everything its candidates have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.plan.layout import Flattened, Rows
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.plan.stage import Value
from sparsenet.plan.window import Window
from sparsenet.targets.cpu.lower.epilogues import Epilogue


@dataclass(frozen=True)
class RowConvolution:
    """A convolution over rows to choose a kernel for.

    ``matrix`` is (C_out, C_in / groups * K_h * K_w), ``nnz`` its nonzeros; ``as_line``: input and output
    are flattened alike, so that the whole map is one line of pixels.
    """

    layer: str
    out: Value
    window: Window
    epilogue: Epilogue
    matrix: npt.NDArray[Any]
    nnz: int
    bias: npt.NDArray[Any]
    geo: Geometry
    groups: int
    as_line: bool

    @property
    def c_out(self) -> int:
        """The number of output channels."""
        return len(self.matrix)

    @property
    def group_in(self) -> int:
        """The number of input channels of a group."""
        return int(self.matrix.shape[1]) // (self.geo.kernel[0] * self.geo.kernel[1])

    @property
    def density(self) -> float:
        """The share of weights that are not zero."""
        return self.nnz / self.matrix.size

    @cached_property
    def lines(self) -> Rows:
        """The layout of the output as kernels see it: rows, or one line of a flattened map."""
        layout = self.out.rows
        return layout.as_line() if self.as_line and isinstance(layout, Flattened) else layout

    @property
    def units(self) -> int:
        """Rows of the output as kernels see it."""
        return self.lines.height

    def taps(self) -> npt.NDArray[np.int64]:
        """Byte offset of every tap of the first group."""
        return self.window.taps(self.group_in).reshape(-1)

    def key(self) -> str:
        """Everything that the speed of a candidate depends on, but for the machine."""
        layouts = [self.out.layout, self.window.value.layout]
        layouts += [value.layout for value in self.epilogue.residuals.values()]
        shape = (layouts, self.epilogue.ops, self.window.columns, self.geo, self.groups, self.matrix.shape)
        zeros = hashlib.sha256(np.packbits(self.matrix != 0).tobytes()).hexdigest()
        return f"{shape!r} {zeros}"

    def row_taps(self) -> npt.NDArray[np.int64]:
        """Byte offset of every tap: shape (taps,), or (C_out, taps) where groups differ."""
        taps = self.taps()
        if self.groups == 1:
            return taps
        group_of_row = np.arange(self.c_out) // (self.c_out // self.groups)
        return taps[None, :] + (group_of_row * self.group_in * self.window.channel)[:, None]
