"""Max, average and global average pooling."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.abi import encode_float
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes
from sparsenet.plan.builder import Builder, Ref
from sparsenet.plan.layout import Rows
from sparsenet.plan.lower.epilogues import rows_arguments, words
from sparsenet.plan.window import Geometry, geometry, open_window

#: Widest max-pooling window whose columns are unrolled.
MOST_COLUMNS = 5


def _geometry(builder: Builder, node: Node) -> Geometry:
    return geometry(
        node, attributes(node)["kernel"], builder.shape(node.inputs[0])[1:], builder.shape(node.output)[1:]
    )


def _vectors(line_vectors: int) -> int:
    return min(4, line_vectors)


def _in_place_stride(geo: Geometry) -> int:
    """Windows up to 17 columns wide stay within the guard that every buffer has; wider ones read a padded copy."""
    return 2 if (geo.kernel[1] - 1) * geo.dilation[1] <= 16 else 0


def lower_max_pool2d(builder: Builder, node: Node) -> None:
    """Windows clipped to the image: border rows are calls of their own, columns outside are masked by a table."""
    geo = _geometry(builder, node)
    window = open_window(builder, node.inputs[0], geo, _in_place_stride(geo))
    epilogue = rows_arguments(builder, node)
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    adjacent = window.column_step == geo.stride[1] and geo.dilation[1] == 1 and geo.kernel[1] <= MOST_COLUMNS
    columns, before = (geo.kernel[1], geo.before[1]) if adjacent else (0, 0)
    kernel = Kernel(
        "f32_maxpool_none_rows",
        layout.lanes,
        (window.column_step, columns, before, _vectors(layout.line_vectors)),
        words(node),
    )
    builder.decide(node, "none", kernel, "the only kernel for this op")
    bits = _columns_inside(geo, layout)
    whole = np.flatnonzero((bits == layout.lane_bits()).all(axis=0))
    common: dict[str, int | Ref] = {
        "taps_x": builder.constant(np.asarray(window.columns, np.int32)),
        "tap_bits": builder.constant(bits),
        "n_taps_x": geo.kernel[1], "tap_row": geo.dilation[0] * window.row,
        "inner_first": int(whole[0]) if whole.size else 0, "inner_end": int(whole[-1]) + 1 if whole.size else 0,
        "x_row": window.out_row, "x_channel": window.channel, "channels": layout.channels,
        "out_row": layout.row_bytes, "out_channel": layout.channel_bytes,
    }  # fmt: skip
    for start, end, first_tap, taps in _row_runs(geo):
        builder.emit(
            kernel,
            x=window.first + (start * window.out_row + first_tap * geo.dilation[0] * window.row),
            n_taps_y=taps,
            out=place.first + start * layout.row_bytes,
            **builder.lines(layout, end - start),
            **common,
            **_from_row(epilogue, start),
        )


def _from_row(epilogue: dict[str, int | Ref], row: int) -> dict[str, int | Ref]:
    """Epilogue arguments for a call that starts at output row ``row``: its residual starts there too."""
    moved = dict(epilogue)
    for name, value in epilogue.items():
        word, _, step = name.partition(".")
        if word == "residual":
            distance = epilogue[f"residual_row.{step}"]
            assert isinstance(value, Ref)
            assert isinstance(distance, int)
            moved[name] = value + row * distance
    return moved


def _columns_inside(geo: Geometry, layout: Rows) -> npt.NDArray[np.uint16]:
    """Per window column and vector of a line, the lanes whose pixel exists and reads inside the image."""
    lanes = np.arange(layout.line_vectors * layout.lanes)
    taps = np.arange(geo.kernel[1])[:, None] * geo.dilation[1]
    source = lanes * geo.stride[1] - geo.before[1] + taps
    inside = (source >= 0) & (source < geo.size[1]) & (lanes < layout.width)
    bits = inside.reshape(geo.kernel[1], -1, layout.lanes) @ (1 << np.arange(layout.lanes))
    return bits.astype(np.uint16)


def _row_runs(geo: Geometry) -> Iterator[tuple[int, int, int, int]]:
    """Runs of output rows whose windows have the same rows inside the image: (start, end, first tap, taps)."""
    step, dilation = geo.stride[0], geo.dilation[0]

    def inside(y: int) -> tuple[int, int]:
        top = y * step - geo.before[0]
        taps = [k for k in range(geo.kernel[0]) if 0 <= top + k * dilation < geo.size[0]]
        return (taps[0], len(taps)) if taps else (0, 0)

    for taps, rows in groupby(range(geo.out[0]), key=inside):
        run = list(rows)
        yield run[0], run[-1] + 1, *taps


def _reciprocals(node: Node, geo: Geometry, axis: int) -> FloatArray:
    """1 / values counted per window along one axis: image values, or with the padding that the node counts."""
    attrs = attributes(node)
    after = attrs["padding"][2 + axis]
    counts = []
    for i in range(geo.out[axis]):
        start = i * geo.stride[axis] - geo.before[axis]
        end = start + geo.kernel[axis]
        if attrs["count_include_pad"]:
            counts.append(min(end, geo.size[axis] + after) - start)
        else:
            counts.append(min(end, geo.size[axis]) - max(start, 0))
    return (1.0 / np.asarray(counts, np.float64)).astype(np.float32)


def lower_avg_pool2d(builder: Builder, node: Node) -> None:
    """Sums over windows, scaled by row and column."""
    geo = _geometry(builder, node)
    window = open_window(builder, node.inputs[0], geo)
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    kernel = Kernel("f32_avgpool_none_rows", layout.lanes, (_vectors(layout.line_vectors),))
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=window.first,
        tap_offsets=builder.constant(window.taps(1, geo.kernel[0]).reshape(-1).astype(np.int32)),
        taps=geo.kernel[0] * geo.kernel[1], scale_y=builder.padded_constant(_reciprocals(node, geo, 0)),
        scale_x=builder.padded_constant(_reciprocals(node, geo, 1)), x_row=window.out_row, x_channel=window.channel,
        channels=layout.channels, **builder.lines(layout, geo.out[0]), out=place.first, out_row=layout.row_bytes,
        out_channel=layout.channel_bytes,
    )  # fmt: skip


def lower_global_avg_pool2d(builder: Builder, node: Node) -> None:
    """One number per channel."""
    source = builder.rows(node.inputs[0])
    layout = source.layout
    assert isinstance(layout, Rows)
    place = builder.new_plain(node.output)
    kernel = Kernel("f32_globalavgpool_none_rows", layout.lanes, (min(8, layout.lanes),))
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=source.first, x_row=layout.row_bytes, x_channel=layout.channel_bytes, channels=layout.channels,
        height=layout.height, line_vectors=layout.line_vectors,
        scale=encode_float(1 / (layout.height * layout.width)), accumulate=0, out=place.first,
    )  # fmt: skip


LOWER = {
    "max_pool2d": lower_max_pool2d,
    "avg_pool2d": lower_avg_pool2d,
    "global_avg_pool2d": lower_global_avg_pool2d,
}
