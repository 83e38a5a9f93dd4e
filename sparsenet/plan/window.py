"""Sliding windows over a map: where each tap reads, whatever the stride, padding and dilation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.ops import attributes
from sparsenet.plan.builder import Builder, Ref
from sparsenet.plan.layout import GUARD, Rows, lanes_for, round_up


@dataclass(frozen=True)
class Geometry:
    """Window geometry of a convolution or pooling node, all in (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    before: tuple[int, int]
    dilation: tuple[int, int]
    size: tuple[int, int]
    out: tuple[int, int]

    @property
    def halo(self) -> tuple[int, int, int]:
        """Halo rows above and below, and halo columns at either side, that stride-1 columns read in place."""
        reach = [
            (self.out[i] - 1) * self.stride[i] + (self.kernel[i] - 1) * self.dilation[i] + 1 for i in (0, 1)
        ]
        after = [max(0, reach[i] - self.before[i] - self.size[i]) for i in (0, 1)]
        return self.before[0], after[0], max(self.before[1], after[1])


def geometry(node: Node, kernel: Sequence[int], size: Sequence[int], out: Sequence[int]) -> Geometry:
    """Geometry of ``node``, whose input map is ``size`` and output map ``out``, both (rows, columns)."""
    attrs = attributes(node)
    dilation = attrs.get("dilation", [1, 1])
    return Geometry(
        (kernel[0], kernel[1]),
        (attrs["stride"][0], attrs["stride"][1]),
        (attrs["padding"][0], attrs["padding"][1]),
        (dilation[0], dilation[1]),
        (size[0], size[1]),
        (out[0], out[1]),
    )


@dataclass(frozen=True)
class Window:
    """A map as windows read it. All strides are bytes.

    Attributes:
        first: what the first tap of channel 0 reads for output pixel (0, 0).
        out_row: step from one output row to the next; one output column on is ``column_step`` floats on.
        row, channel: step to the next source row and channel.
        columns: offset of each column of the window.
        row_dilation: source rows between two rows of the window.
    """

    first: Ref
    out_row: int
    row: int
    channel: int
    columns: tuple[int, ...]
    row_dilation: int
    column_step: int = 1

    def taps(self, channels: int, rows: int) -> npt.NDArray[np.int64]:
        """Byte offset of every tap, shape (channels, rows, columns of the window)."""
        channel = np.arange(channels, dtype=np.int64)[:, None, None] * self.channel
        row = np.arange(rows, dtype=np.int64)[None, :, None] * (self.row_dilation * self.row)
        return channel + row + np.asarray(self.columns, np.int64)[None, None, :]


def open_window(builder: Builder, tensor: str, geo: Geometry, in_place_stride: int = 1) -> Window:
    """How windows of this geometry read ``tensor``.

    Column strides up to ``in_place_stride`` read the rows in place, through their halo. Any other stride first splits
    the columns by phase into a padded copy (cost: one pass over the input, against a shuffle per load saved); shared
    by all readers of the same geometry.
    """
    if geo.stride[1] <= in_place_stride:
        place = builder.rows(tensor)
        layout = place.layout
        assert isinstance(layout, Rows)
        return Window(
            place.first + (-geo.before[0] * layout.row_bytes - geo.before[1] * 4),
            geo.stride[0] * layout.row_bytes,
            layout.row_bytes,
            layout.channel_bytes,
            tuple(k * geo.dilation[1] * 4 for k in range(geo.kernel[1])),
            geo.dilation[0],
            geo.stride[1],
        )
    key: tuple[Any, ...] = (tensor, geo)
    if key not in builder.windows:
        builder.windows[key] = _split_phases(builder, tensor, geo)
    window: Window = builder.windows[key]
    return window


def _split_phases(builder: Builder, tensor: str, geo: Geometry) -> Window:
    channels, height, width = builder.shape(tensor)
    stride_y, stride_x = geo.stride
    extent_x = (geo.kernel[1] - 1) * geo.dilation[1]
    phases = min(stride_x, extent_x + 1)
    if geo.kernel[0] == 1:  # rows between two window rows are never read: leave them out
        rows, row_step, out_step = geo.out[0], stride_y, 1
    else:
        rows, row_step, out_step = (
            (geo.out[0] - 1) * stride_y + (geo.kernel[0] - 1) * geo.dilation[0] + 1,
            1,
            stride_y,
        )
    columns = geo.out[1] + extent_x // stride_x
    line = round_up(columns, lanes_for(columns))
    row_bytes = channels * phases * line * 4
    first = builder.scratch(rows * row_bytes + 2 * GUARD * 4) + GUARD * 4
    source, x_row, x_channel = builder.source(tensor)
    builder.relayout(
        source, x_row, x_channel, (channels, height, width), first, row_bytes, phases * line * 4,
        columns=line, rows=rows, first_row=-geo.before[0], row_step=row_step, first_column=-geo.before[1],
        column_step=stride_x, phases=phases, out_phase=line * 4,
    )  # fmt: skip
    taps = (k * geo.dilation[1] for k in range(geo.kernel[1]))
    offsets = tuple((tap % stride_x * line + tap // stride_x) * 4 for tap in taps)
    return Window(first, out_step * row_bytes, row_bytes, phases * line * 4, offsets, geo.dilation[0])
