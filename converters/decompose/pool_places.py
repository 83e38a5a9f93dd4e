"""Lowering of the place of the largest number of a pooling window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported
from converters.decompose.elementwise import LARGEST, binary, clip, scalar
from converters.decompose.shapes import reshape, sizes_of
from converters.decompose.tensors import join, pad, slice_axis
from converters.decompose.window import Windows

#: The largest number up to which float32 holds every integer.
LARGEST_INTEGER = 1 << 24
_SECOND_LOWEST = float(np.nextafter(np.float32(-LARGEST), np.float32(0)))


def places_of_largest(
    b: GraphBuilder, site: Site, x: Act, windows: Windows, by_columns: bool, through_channels: bool = True
) -> Act:
    """The place of the largest number of each window: (N, C, H_out, W_out), counted through all channels of an image.

    Without ``through_channels`` each channel counts for itself. Of equal numbers the first counts. Rows come one after
    the other, or columns if ``by_columns``.
    """
    channels, height, width = sizes_of(b, x)
    if (channels if through_channels else 1) * height * width > LARGEST_INTEGER:
        raise Unsupported(
            f"its second output counts further than {LARGEST_INTEGER}, where float32 skips integers"
        )
    after = []
    for i, size in enumerate((height, width)):
        inside = windows.first(i)[:, None] + windows.taps(i)
        if not ((inside >= 0) & (inside < size)).any(1).all():
            raise Unsupported("a window lies in the padding alone, where nothing is largest")
        after.append(max(0, int(inside.max()) + 1 - size))
    # Padding must compare below every number, -inf too.
    bounded = clip(b, site.sub("bounded"), x, _SECOND_LOWEST, None)
    before = [windows.padding[0], windows.padding[1]]
    padded = pad(b, site.sub("padded"), bounded, [0, 0, *before], [0, 0, *after], -LARGEST)
    names, rows, columns = [], *windows.count
    for i, row in enumerate(windows.taps(0)):
        band = slice_axis(
            b, site.sub(f"row{i}"), padded, 2, int(row), rows, windows.stride[0] if rows > 1 else 1
        )
        for j, column in enumerate(windows.taps(1)):
            part = site.sub(f"tap{i}_{j}")
            step = windows.stride[1] if columns > 1 else 1
            tap = slice_axis(b, part, band, 3, int(column), columns, step)
            names.append(reshape(b, part.sub("flat"), tap, [1, channels * rows * columns]))
    taps = join(b, site.sub("taps"), names, 1)
    best = b.node("argmax", site.sub("best"), [taps.tensor], {"axis": 1})
    best = reshape(b, site.sub("map"), best, [channels, rows, columns])
    return _places_of_taps(
        b, site, best, windows, [height * width * through_channels, height, width], by_columns
    )


def _places_of_taps(
    b: GraphBuilder, site: Site, taps: Act, windows: Windows, size: Sequence[int], by_columns: bool
) -> Act:
    """The place of each window's tap, by its number."""
    per_channel, height, width = size
    steps = (1, height) if by_columns else (width, 1)
    channels = sizes_of(b, taps)[0]
    starts = np.arange(channels).reshape(-1, 1, 1) * per_channel
    starts = starts + windows.first(0).reshape(-1, 1) * steps[0] + windows.first(1) * steps[1]
    # tap = row · K_w + column; taken half a column further on, so that rounding loses no row
    across = windows.kernel[1]
    scaled = binary(b, site.sub("scaled"), "mul", taps, scalar(1 / across))
    halved = binary(b, site.sub("halved"), "add", scaled, scalar(0.5 / across))
    row = b.node("floor", site.sub("row"), [halved.tensor])
    whole = binary(b, site.sub("rows"), "mul", row, scalar(across))
    column = binary(b, site.sub("column"), "sub", taps, whole)
    by = [windows.dilation[i] * steps[i] for i in range(2)]
    down = binary(b, site.sub("down"), "mul", row, scalar(by[0]))
    along = binary(b, site.sub("along"), "mul", column, scalar(by[1]))
    offset = binary(b, site.sub("offset"), "add", down, along)
    return binary(b, site, "add", offset, Const(starts))
