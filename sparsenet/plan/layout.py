"""Where the floats of a tensor stand in memory (one image; the batch is an outer loop)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from sparsenet.kernels.jit import max_lanes

#: Floats readable before and after every buffer: vector loads of shifted taps may run over the ends.
GUARD = 64


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple of ``multiple`` that is at least ``value``."""
    return -(-value // multiple) * multiple


def lanes_for(width: int) -> int:
    """Vector length for lines of ``width`` pixels: the longest of this CPU that is not more than half empty."""
    lanes = max_lanes()
    while lanes > 4 and width <= lanes // 2:
        lanes //= 2
    return lanes


@dataclass(frozen=True)
class Rows:
    """A map as rows ``[C][line]`` of floats, line = W + halo columns rounded up to whole vectors.

    Rows from ``-top`` to ``height + bottom`` exist; those outside the image, and the halo columns, are zero. One run of
    zeros between two lines is the right halo of the first and the left halo of the second. Between row and line there
    is no gap, so a kernel reaches any tap of a window by one constant offset.
    """

    channels: int
    height: int
    width: int
    top: int = 0
    bottom: int = 0
    side: int = 0

    @property
    def lanes(self) -> int:
        """Vector length its lines are computed with."""
        return lanes_for(self.width)

    @property
    def line(self) -> int:
        """Floats from one channel's line to the next."""
        floats = round_up(self.width + self.side, self.lanes)
        # A stride of a multiple of 512 bytes maps all channels onto few L1 sets: 3x slower, measured.
        return floats + 16 if floats % 128 == 0 else floats

    @property
    def line_vectors(self) -> int:
        """Vectors that hold data."""
        return -(-self.width // self.lanes)

    @property
    def halo_vectors(self) -> int:
        """Whole vectors behind them that must be zero."""
        return self.line // self.lanes - self.line_vectors

    @property
    def full_vectors(self) -> int:
        """Vectors of a line that hold nothing but pixels."""
        return self.width // self.lanes

    def lane_bits(self) -> npt.NDArray[np.uint16]:
        """One word per vector of a line, bit i set where lane i is a pixel."""
        pixels = np.arange(round_up(self.width, self.lanes)).reshape(-1, self.lanes) < self.width
        return (pixels @ (1 << np.arange(self.lanes))).astype(np.uint16)

    @property
    def row_bytes(self) -> int:
        """From one image row to the next."""
        return self.channels * self.line * 4

    @property
    def channel_bytes(self) -> int:
        """From one channel's line to the next."""
        return self.line * 4

    @property
    def front_bytes(self) -> int:
        """Bytes of a buffer before its first row; they are the left halo of that row's first line."""
        return (GUARD + round_up(self.side, 16)) * 4

    def buffer_bytes(self, rows: int) -> int:
        """Bytes of a buffer for ``rows`` rows, guards included."""
        return 2 * self.front_bytes + rows * self.row_bytes


@dataclass(frozen=True)
class Phases:
    """A padded copy of a map with columns split by phase, rows ``[C][phases][line]``; for strided windows."""

    channels: int
    height: int
    phases: int
    columns: int
    top: int = 0
    bottom: int = 0
    side: int = 0

    @property
    def line(self) -> int:
        """Floats from one phase's line to the next."""
        return round_up(self.columns, lanes_for(self.columns))

    @property
    def row_bytes(self) -> int:
        """From one row to the next."""
        return self.channels * self.channel_bytes

    @property
    def channel_bytes(self) -> int:
        """From one channel to the next."""
        return self.phases * self.line * 4

    @property
    def front_bytes(self) -> int:
        """Bytes of a buffer before its first row."""
        return GUARD * 4

    def buffer_bytes(self, rows: int) -> int:
        """Bytes of a buffer for ``rows`` rows, guards included."""
        return 2 * self.front_bytes + rows * self.row_bytes


@dataclass(frozen=True)
class Plain:
    """A tensor in C order, padded at its end to whole vectors; a (C, 1, 1) map is plain too."""

    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def front_bytes(self) -> int:
        """Bytes of a buffer before element 0."""
        return GUARD * 4

    @property
    def size_bytes(self) -> int:
        """Bytes of the buffer, guards included."""
        return (2 * GUARD + round_up(self.size, 16)) * 4


Layout = Rows | Phases | Plain
