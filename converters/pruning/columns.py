"""A layer as a matrix product: weights in rows and columns, and what the layer reads as one column of each window.

Columns are ordered by tap, then by input channel, so that consecutive ones are consecutive input channels of a tap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.graph.ops import attributes

#: Bytes of windows that are laid out at once.
MOST_BYTES = 2**25


@dataclass(frozen=True)
class Columns:
    """How a conv2d or linear layer is laid out.

    Attributes:
        shape: of the weight, (C_out, C_in of a group, taps down, taps across).
        groups: how many there are; outputs of a group read its inputs alone.
        stride, padding, dilation: as of conv2d.
    """

    shape: tuple[int, int, int, int]
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, node: Node, weight: FloatArray) -> Columns:
        """The layout of a layer with this weight."""
        if node.op != "conv2d":
            return cls((*weight.shape, 1, 1))
        attrs = attributes(node)
        places = (tuple(attrs[name]) for name in ("stride", "padding", "dilation"))
        return cls(weight.shape, attrs["groups"], *places)

    @property
    def channels(self) -> int:
        """Input channels of a group."""
        return self.shape[1]

    @property
    def count(self) -> int:
        """Columns of a group."""
        return math.prod(self.shape[1:])

    def rows(self, weight: FloatArray) -> FloatArray:
        """The weight as (groups, outputs of a group, columns), float32."""
        moved = weight.reshape(self.shape).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(moved).reshape(self.groups, -1, self.count)

    def weight(self, rows: FloatArray) -> FloatArray:
        """The weight, (C_out, C_in of a group, taps down, taps across), that ``rows`` were made of."""
        c_out, c_in, down, across = self.shape
        return np.ascontiguousarray(rows.reshape(c_out, down, across, c_in).transpose(0, 3, 1, 2))

    def windows_of(self, x: FloatArray) -> tuple[int, int]:
        """How many windows there are down and across one sample of ``x``, (N, C_in, H, W) or (N, F)."""
        height, width = x.shape[2:] if x.ndim == 4 else (1, 1)
        (top, left, bottom, right), (d_h, d_w) = self.padding, self.dilation
        return (
            (height + top + bottom - d_h * (self.shape[2] - 1) - 1) // self.stride[0] + 1,
            (width + left + right - d_w * (self.shape[3] - 1) - 1) // self.stride[1] + 1,
        )

    def windows(self, x: FloatArray, every: int = 1, turn: int = 0) -> Iterator[FloatArray]:
        """What the layer reads of ``x`` (N, C_in, H, W) or (N, F): (groups, columns, windows), a few samples at once.

        Args:
            x: of any number of samples.
            every: of so many windows down and across take one.
            turn: which of them.
        """
        x = x.reshape(*x.shape, *[1] * (4 - x.ndim))
        out_h, out_w = self.windows_of(x)
        first_h, first_w = min(turn % every, out_h - 1), min(turn // every % every, out_w - 1)
        out_h, out_w = (out_h - first_h - 1) // every + 1, (out_w - first_w - 1) // every + 1
        (top, left, bottom, right), (d_h, d_w) = self.padding, self.dilation
        s_h, s_w = self.stride[0] * every, self.stride[1] * every
        step = max(1, MOST_BYTES // (4 * self.groups * self.count * out_h * out_w))
        for start in range(0, len(x), step):
            chunk = x[start : start + step].transpose(1, 0, 2, 3)
            padded = np.pad(chunk, ((0, 0), (0, 0), (top, bottom), (left, right)))
            laid = np.empty(
                (self.groups, *self.shape[2:], self.channels, chunk.shape[1], out_h, out_w), np.float32
            )
            for i, j in np.ndindex(self.shape[2:]):
                top_row, left_column = first_h * self.stride[0] + i * d_h, first_w * self.stride[1] + j * d_w
                rows = slice(top_row, top_row + s_h * (out_h - 1) + 1, s_h)
                columns = slice(left_column, left_column + s_w * (out_w - 1) + 1, s_w)
                laid[:, i, j] = padded[:, :, rows, columns].reshape(laid[:, i, j].shape)
            yield laid.reshape(self.groups, self.count, -1)
