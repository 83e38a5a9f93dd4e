"""Copies between layouts that other ops need, along strides or by tables of places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.plan.lowering.places import Places, joined
from sparsenet.targets.cuda.builder import Builder, Epilogue, NoKernelError, Value
from sparsenet.targets.cuda.layout import Maps, map_sizes
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides

RELAYOUT, TAKE = "relayout_none_maps", "take_none_maps"
_NOWHERE = np.zeros(1, np.int64)


def copy_into(
    builder: Builder, source: Value, strides: tuple[int, int, int, int], out: Value, *, start: int = 0,
    out_start: int = 0, shape: tuple[int, ...] | None = None, first: tuple[int, int] = (0, 0),
    size: tuple[int, int] | None = None, fill: float = 0.0,
) -> None:  # fmt: skip
    """Fill ``out``, or of a plain one the part ``shape`` from ``out_start`` on, from ``source`` along ``strides``.

    Args:
        start: floats from ``source``'s beginning to its pixel (0, 0).
        first, size: row and column of the source that output pixel (0, 0) is, and how many there are of each.
        fill: the number written around them.
    """
    image, channel, row, column = strides
    shape = shape or out.shape
    channels, height, width = map_sizes(shape[1:])
    if out.layout is not None:
        lies = Maps(channels, height, width, shape[0], out.layout.rows, out.layout.columns)
        to, positions = [lies.image, lies.pitch, lies.line], lies.pitch
    else:
        lies = Maps(channels, height, width, shape[0])
        to, positions = list(four_strides(out.shape, axis_strides(out))[:3]), lies.images * lies.image
    builder.over_pixels(
        builder.kernel(RELAYOUT), positions, channels, Epilogue(numbers=[fill]),
        x=source + start, x_image=image, x_channel=channel, x_row=row, x_column=column,
        first_row=first[0], first_column=first[1],
        x_height=size[0] if size else height, x_width=size[1] if size else width,
        positions=positions, channels=channels, **lies.geometry(),
        out=out + out_start, out_image=to[0], out_channel=to[1], out_row=to[2],
    )  # fmt: skip


def padded_copy(builder: Builder, x: Value, layout: Maps) -> Value:
    """``x`` in ``layout``, which has more zeros between rows and images."""
    out = builder.temporary(x.shape, layout)
    copy_into(builder, x, four_strides(x.shape, axis_strides(x)), out)
    return out


def clear_gaps(builder: Builder, out: Value) -> None:
    """Make the zeros between rows and images of ``out``, if it has any, for kernels that write pixels alone."""
    if out.layout is not None and out.layout.guard:
        copy_into(builder, out, (0, 0, 0, 0), out, size=(0, 0))


def plain(builder: Builder, x: Value) -> Value:
    """``x`` in C order."""
    if x.layout is None:
        return x
    out = builder.temporary(x.shape, None)
    copy_into(builder, x, four_strides(x.shape, axis_strides(x)), out)
    return out


def to_maps(builder: Builder, tensor: str, source: Value) -> None:
    """Make ``tensor`` from ``source``, which holds its elements in C order."""
    out = builder.new_maps(tensor)
    seen = Value(source.name, out.shape, None)
    copy_into(builder, source, four_strides(out.shape, axis_strides(seen)), out)


def seen_as(x: Value, shape: tuple[int, ...]) -> Value:
    """The same memory viewed in another shape."""
    return Value(x.name, shape, x.layout, same_as=x)


def take(builder: Builder, x: Value, places: Sequence[Places], out: Value) -> None:
    """Fill ``out`` from the ``places`` of ``x``, by tables."""
    images, channels, *rest = places
    rows, columns = (rest[0], rest[1:]) if len(rest) > 1 else (_NOWHERE, rest)
    if x.size > np.iinfo(np.int32).max:
        raise NoKernelError(f"its input has {x.size} numbers, more than 32 bits can count")
    builder.over_output(
        builder.kernel(TAKE), out, x=x, x_image=int(images[1]) if len(images) > 1 else 0,
        x_channels=builder.table(channels), x_rows=builder.table(rows), x_columns=builder.table(joined(columns)),
    )  # fmt: skip
