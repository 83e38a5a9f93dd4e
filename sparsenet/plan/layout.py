"""Layouts: where the elements of a tensor are stored in memory (one image; the batch is an outer loop)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.targets.lane_masks import lane_masks
from sparsenet.targets.registry import Kernel
from sparsenet.targets.target import Vector

#: Elements readable before and after every buffer: vector loads of shifted taps may run over the ends.
GUARD = 64
#: Bytes of a cache line, the longest vector.
CACHE_LINE = 64


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple of ``multiple`` that is at least ``value``."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class _Elements:
    """The base of every layout: ``vector`` is the target's longest vector of the layout's element type."""

    vector: Vector

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.vector.element.itemsize

    def _whole_lines(self, elements: int) -> int:
        """The number of ``elements`` rounded up to whole cache lines."""
        return round_up(elements, CACHE_LINE // self.itemsize)

    def _spread(self, elements: int) -> int:
        """The ``elements`` from channel to channel, or a cache line more if channels would crowd in the cache.

        A stride of a multiple of 512 bytes maps all channels onto few sets of L1: 3x slower, measured.
        """
        return elements + (CACHE_LINE // self.itemsize if elements * self.itemsize % 512 == 0 else 0)


@dataclass(frozen=True)
class Rows(_Elements):
    """A map as rows ``[C][line]`` of elements, line = W + halo columns rounded up to whole vectors.

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

    @cached_property
    def lanes(self) -> int:
        """The vector length, in elements, with which kernels compute the lines."""
        return self.vector.fitting(self.width).lanes

    def kernel(self, algorithm: str, tile: Sequence[int] = (), epilogue: tuple[str, ...] = ()) -> Kernel:
        """The kernel that makes lines of this layout; see ``Vector.kernel``."""
        return self.vector.fitting(self.width).kernel(algorithm, tile, epilogue)

    @cached_property
    def line(self) -> int:
        """Elements from one channel's line to the next."""
        return self._spread(round_up(self.width + self.side, self.lanes))

    @cached_property
    def line_vectors(self) -> int:
        """Vectors of a line that hold data."""
        return -(-self.width // self.lanes)

    @cached_property
    def halo_vectors(self) -> int:
        """Whole vectors of a line, behind those that hold data, that must be zero."""
        return self.line // self.lanes - self.line_vectors

    @cached_property
    def full_vectors(self) -> int:
        """Vectors of a line that hold nothing but pixels."""
        return self.width // self.lanes

    def lane_bits(self) -> npt.NDArray[Any]:
        """One mask per vector of a line, bit i set where lane i is a pixel."""
        pixels = np.arange(round_up(self.width, self.lanes)).reshape(-1, self.lanes) < self.width
        return lane_masks(pixels)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes from one image row to the next."""
        return self.channels * self.line * self.itemsize

    @cached_property
    def channel_bytes(self) -> int:
        """Bytes from one channel's line to the next."""
        return self.line * self.itemsize

    @cached_property
    def front_bytes(self) -> int:
        """Bytes of a buffer before its first row; they are the left halo of that row's first line."""
        return (GUARD + self._whole_lines(self.side)) * self.itemsize

    def buffer_bytes(self, rows: int) -> int:
        """Bytes of a buffer for ``rows`` rows, guards included."""
        return 2 * self.front_bytes + rows * self.row_bytes


@dataclass(frozen=True)
class Flattened(Rows):
    """A small map as ``[C][line]``, a line holding all its rows, ``pitch`` elements apart, and a gap of zeros.

    Lines of 7, 10 or 19 pixels would leave half of every other vector empty. Where input and output are
    flattened alike, a kernel takes the whole map for one line of pixels (``as_line``); others see rows, by their
    strides. The side halo separates two rows; a gap as large as the halo rows follows the last one.
    """

    pitch: int = 0

    @cached_property
    def line(self) -> int:
        """Elements from one channel to the next."""
        reach = self.line_vectors * self.lanes - self.pitch  # of the last row's last vector
        gap = max(max(self.top, self.bottom) * self.pitch + self.side, reach)
        return self._spread(round_up(self.height * self.pitch + gap, self.vector.lanes))

    @cached_property
    def halo_vectors(self) -> int:
        """Always 0: what a row's last vector reaches over belongs to the next row, written later, or to the gap."""
        return 0

    @cached_property
    def row_bytes(self) -> int:
        """Bytes from one image row to the next."""
        return self.pitch * self.itemsize

    @cached_property
    def front_bytes(self) -> int:
        """Bytes of a buffer before its first pixel, the gap before channel 0 among them."""
        before = GUARD + max(self.top, self.bottom) * self.pitch + self.side
        return self._whole_lines(before) * self.itemsize

    def buffer_bytes(self, rows: int) -> int:
        """Bytes of the buffer, guards included; always for all rows."""
        return 2 * self.front_bytes + self.channels * self.channel_bytes

    def as_line(self) -> FlattenedLine:
        """The map as one line of pixels."""
        return FlattenedLine(self.vector, self.channels, 1, self.height * self.pitch, flattened=self)


@dataclass(frozen=True)
class FlattenedLine(Rows):
    """A flattened map seen as one row; its lanes between the rows of the image are kept zero."""

    flattened: Flattened = None  # type: ignore[assignment]

    @cached_property
    def line(self) -> int:
        """Elements from one channel to the next."""
        return self.flattened.line

    @cached_property
    def full_vectors(self) -> int:
        """All vectors if no halo separates the rows, else 0."""
        return self.width // self.lanes if self.flattened.pitch == self.flattened.width else 0

    def lane_bits(self) -> npt.NDArray[Any]:
        """One mask per vector of the line, bit i set where lane i is a pixel."""
        lanes = np.arange(round_up(self.width, self.lanes)).reshape(-1, self.lanes)
        pixels = (lanes < self.width) & (lanes % self.flattened.pitch < self.flattened.width)
        return lane_masks(pixels)


def flattened_pitch(vector: Vector, height: int, width: int, side: int) -> int:
    """The pitch, in pixels from row to row, if a map of this size is better flattened, else 0."""
    pitch = width + side
    line = -(-height * pitch // vector.lanes)
    rows = height * -(-width // vector.fitting(width).lanes)
    return pitch if height > 1 and rows > 1.15 * line else 0


@dataclass(frozen=True)
class StrideToDepth(_Elements):
    """A padded copy of a map for strided windows, columns split by their remainder: rows ``[C][phases][line]``."""

    channels: int
    height: int
    phases: int
    columns: int
    top: int = 0
    bottom: int = 0
    side: int = 0

    @cached_property
    def line(self) -> int:
        """Elements from the line of one remainder to the next."""
        return round_up(self.columns, self.vector.fitting(self.columns).lanes)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes from one row to the next."""
        return self.channels * self.channel_bytes

    @cached_property
    def channel_bytes(self) -> int:
        """Bytes from one channel to the next."""
        return self.phases * self.line * self.itemsize

    @cached_property
    def front_bytes(self) -> int:
        """Bytes of a buffer before its first row."""
        return GUARD * self.itemsize

    def buffer_bytes(self, rows: int) -> int:
        """Bytes of a buffer for ``rows`` rows, guards included."""
        return 2 * self.front_bytes + rows * self.row_bytes


@dataclass(frozen=True)
class FlattenedStrideToDepth(_Elements):
    """A padded copy of a map for strided windows of flattened output: ``[C][row phase][column phase][line]``.

    A line holds every row of one pair of remainders, ``pitch`` elements apart, as the flattened output has them.
    """

    channels: int
    height: int
    row_phases: int
    column_phases: int
    pitch: int
    columns: int

    @cached_property
    def line(self) -> int:
        """Elements from the line of one remainder to the next."""
        return round_up(self.height * self.pitch + self.columns, self.vector.lanes)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes from one row of a remainder's line to the next."""
        return self.pitch * self.itemsize

    @cached_property
    def channel_bytes(self) -> int:
        """Bytes from one channel to the next."""
        return self.row_phases * self.column_phases * self.line * self.itemsize

    @cached_property
    def front_bytes(self) -> int:
        """Bytes of a buffer before its first pixel."""
        return GUARD * self.itemsize

    def buffer_bytes(self, rows: int) -> int:
        """Bytes of the buffer, guards included; always for all rows."""
        return 2 * self.front_bytes + self.channels * self.channel_bytes


@dataclass(frozen=True)
class Plain(_Elements):
    """A tensor in C order, padded at its end to whole vectors; a (C, 1, 1) map is plain too."""

    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @cached_property
    def front_bytes(self) -> int:
        """Bytes of a buffer before element 0."""
        return GUARD * self.itemsize

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the buffer, guards included."""
        return (2 * GUARD + self._whole_lines(self.size)) * self.itemsize


Layout = Rows | StrideToDepth | FlattenedStrideToDepth | Plain
