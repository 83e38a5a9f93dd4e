"""Sliding windows over a map: where each tap reads, whatever the stride, padding and dilation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth, Plain, Rows, StrideToDepth
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.plan.ref import Ref
from sparsenet.plan.relayout import FlattenedStrideToDepthCopy, StrideToDepthCopy
from sparsenet.plan.stage import Emitter, Need, Value


@dataclass(frozen=True)
class Window:
    """A map as windows read it. All strides are bytes.

    Attributes:
        value: the map, or its stride-to-depth copy.
        row_step, first_row: the window of output row y begins at row ``y * row_step + first_row`` of ``value``.
        rows, row_dilation: rows of a window, and how far apart they are.
        start: offset of the first tap of output column 0 from the beginning of its line.
        columns: offset of each column of the window from there.
        column_step: floats from one output column to the next.
        row_offsets: bytes to each row of the window where they are not ``row_dilation`` rows apart.
    """

    value: Value
    row_step: int
    first_row: int
    rows: int
    row_dilation: int
    start: int
    columns: tuple[int, ...]
    column_step: int = 1
    row_offsets: tuple[int, ...] | None = None

    @property
    def row(self) -> int:
        """Bytes from one row of the map to the next."""
        return self._layout.row_bytes

    @property
    def channel(self) -> int:
        """Bytes from one channel to the next."""
        return self._layout.channel_bytes

    @property
    def out_row(self) -> int:
        """Bytes from the window of one output row to that of the next."""
        return self.row_step * self.row

    @property
    def _layout(self) -> Rows | StrideToDepth | FlattenedStrideToDepth:
        assert not isinstance(self.value.layout, Plain)
        return self.value.layout

    def flattens_with(self, geo: Geometry, pitch: int) -> bool:
        """Whether the whole map, flattened to this pitch, is one line of windows."""
        layout = self.value.layout
        if isinstance(layout, FlattenedStrideToDepth):
            return layout.pitch == pitch
        if not isinstance(layout, Flattened) or geo.stride != (1, 1) or geo.size != geo.out:
            return False
        return layout.pitch == pitch

    def taps(self, channels: int) -> npt.NDArray[np.int64]:
        """Byte offset of every tap, shape (channels, rows, columns of the window)."""
        channel = np.arange(channels, dtype=np.int64)[:, None, None] * self.channel
        rows = self.row_offsets or [k * self.row_dilation * self.row for k in range(self.rows)]
        return (
            channel
            + np.asarray(rows, np.int64)[None, :, None]
            + np.asarray(self.columns, np.int64)[None, None, :]
        )

    def needs(self, first: int, last: int) -> Need:
        """Rows that the windows of output rows ``first`` to ``last`` read."""
        end = (last - 1) * self.row_step + self.first_row + (self.rows - 1) * self.row_dilation + 1
        return self.value, first * self.row_step + self.first_row, end

    def at(self, to: Emitter, y: int) -> Ref:
        """Address of the first tap of output pixel (y, 0)."""
        return to.row(self.value, y * self.row_step + self.first_row) + self.start


def open_window(
    builder: Builder, tensor: str, geo: Geometry, in_place_stride: int = 1, flatten: bool = False
) -> Window:
    """How windows of this geometry read ``tensor``.

    Column strides up to ``in_place_stride`` read the rows in place, through their halo. Any other stride first splits
    the columns by remainder into a padded copy (cost: one pass over the input, against a shuffle per load saved),
    shared by all readers of the same geometry. ``flatten``: the reader makes a flattened map as one line if it can.
    """
    if geo.stride[1] <= in_place_stride:
        rows = builder.rows(tensor)
        item = rows.layout.itemsize
        columns = tuple(k * geo.dilation[1] * item for k in range(geo.kernel[1]))
        return Window(
            rows, geo.stride[0], -geo.before[0], geo.kernel[0], geo.dilation[0], -geo.before[1] * item, columns,
            geo.stride[1],
        )  # fmt: skip
    pitch = builder.pitches.get(geo.out, 0) if flatten else 0
    if pitch >= geo.out[1] + (geo.kernel[1] - 1) * geo.dilation[1] // geo.stride[1]:
        return _flattened_window(builder, tensor, geo, pitch)
    key: tuple[Any, ...] = (tensor, builder.in_bytes, geo)
    if key not in builder.windows:
        builder.windows[key] = _space_to_depth(builder, tensor, geo)
    value = builder.windows[key]
    assert isinstance(value.layout, StrideToDepth)
    taps = [k * geo.dilation[1] for k in range(geo.kernel[1])]
    elements = (tap % geo.stride[1] * value.layout.line + tap // geo.stride[1] for tap in taps)
    offsets = tuple(element * value.layout.itemsize for element in elements)
    row_step = 1 if geo.kernel[0] == 1 else geo.stride[0]
    return Window(value, row_step, 0, geo.kernel[0], geo.dilation[0], 0, offsets)


def _flattened_window(builder: Builder, tensor: str, geo: Geometry, pitch: int) -> Window:
    """Windows that read a stride-to-depth copy of rows and columns, flattened as the output is."""
    key: tuple[Any, ...] = (tensor, builder.in_bytes, geo)
    extent = [(geo.kernel[i] - 1) * geo.dilation[i] for i in (0, 1)]
    if key not in builder.windows:
        channels, height, width = builder.map_shape(tensor)
        row_phases, column_phases = (min(geo.stride[i], extent[i] + 1) for i in (0, 1))
        rows, columns = geo.out[0] + extent[0] // geo.stride[0], extent[1] // geo.stride[1]
        value = builder.new_map(
            tensor,
            FlattenedStrideToDepth(builder.vector, channels, rows, row_phases, column_phases, pitch, columns),
        )
        builder.add(
            FlattenedStrideToDepthCopy(
                builder.layer, value, 1, builder.any(tensor), (channels, height, width),
                (-geo.before[0], -geo.before[1]), geo.stride, channel_blocks=channels,
            )
        )  # fmt: skip
        builder.windows[key] = value
    value = builder.windows[key]
    layout = value.layout
    assert isinstance(layout, FlattenedStrideToDepth)
    item = layout.itemsize
    taps = [[k * geo.dilation[i] for k in range(geo.kernel[i])] for i in (0, 1)]
    rows_at = tuple(
        (t % geo.stride[0] * layout.column_phases * layout.line + t // geo.stride[0] * pitch) * item
        for t in taps[0]
    )
    columns_at = tuple((t % geo.stride[1] * layout.line + t // geo.stride[1]) * item for t in taps[1])
    return Window(value, 1, 0, geo.kernel[0], 1, 0, columns_at, row_offsets=rows_at)


def _space_to_depth(builder: Builder, tensor: str, geo: Geometry) -> Value:
    channels, height, width = builder.map_shape(tensor)
    stride_y, stride_x = geo.stride
    extent_x = (geo.kernel[1] - 1) * geo.dilation[1]
    if geo.kernel[0] == 1:  # rows between two window rows are never read: leave them out
        rows, row_step = geo.out[0], stride_y
    else:
        rows, row_step = (geo.out[0] - 1) * stride_y + (geo.kernel[0] - 1) * geo.dilation[0] + 1, 1
    columns = geo.out[1] + extent_x // stride_x
    layout = StrideToDepth(builder.vector, channels, rows, min(stride_x, extent_x + 1), columns)
    value = builder.new_map(tensor, layout)
    builder.add(
        StrideToDepthCopy(
            builder.layer, value, rows, builder.any(tensor), (channels, height, width),
            -geo.before[0], row_step, -geo.before[1], stride_x,
        )
    )  # fmt: skip
    return value
