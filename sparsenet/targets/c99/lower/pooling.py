"""Pooling."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.lowering.geometry import Geometry, reciprocals
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.machine import max_pool_instructions
from sparsenet.targets.c99.stage import Read

#: Numbers that a tile of max pooling may keep, and pixels that it makes.
_MOST_TAPS, _WIDTHS = 12, range(8, 0, -1)


def _window(builder: Builder, node: Node) -> tuple[Geometry, Read, dict[str, Word]]:
    geometry = Geometry.of(node, builder.shapes)
    x = builder.any(node.inputs[0])
    read = Read(x, geometry.kernel[0], geometry.stride[0], -geometry.before[0], geometry.dilation[0])
    known: dict[str, Word] = {
        "kernel_rows": geometry.kernel[0],
        "before": geometry.before[1],
        "x_width": x.width,
        "channels": x.shape[0],
        "width": geometry.out[1],
        "x_channel": x.channel,
    }
    return geometry, read, known


def inside(geometry: Geometry) -> tuple[int, int]:
    """The first of the pixels whose windows are inside of the line, and the one behind the last."""
    extent, before, stride = (
        (geometry.kernel[1] - 1) * geometry.dilation[1],
        geometry.before[1],
        geometry.stride[1],
    )
    begin = -(-before // stride)
    end = min(geometry.out[1], (geometry.size[1] - 1 - extent + before) // stride + 1)
    return begin, max(begin, end)


def lower_max(builder: Builder, node: Node) -> None:
    """A tile of windows inside of the line at a time, and those at the edges one by one."""
    geometry, read, known = _window(builder, node)
    out = builder.new(node.output)
    stride, columns, dilation = geometry.stride[1], geometry.kernel[1], geometry.dilation[1]
    extent = (columns - 1) * dilation
    begin, end = inside(geometry)
    fits = [w for w in _WIDTHS if w <= end - begin and (w - 1) * stride + extent + 1 <= _MOST_TAPS]
    instructions = {
        Kernel("f32_maxpool_none_rows", (tile, stride, columns, dilation)): max_pool_instructions(
            out.shape[0], geometry.kernel[0], columns, end - begin, tile, stride, dilation
        )
        for tile in fits or (0,)
    }

    def settle(kernel: Kernel) -> dict[str, Word]:
        builder.choose(node, "none", kernel)
        return known | {"out_channel": out.channel, "begin": begin, "end": end}

    builder.add_best(out, instructions, settle, [read], units=out.height)


def lower_average(builder: Builder, node: Node) -> None:
    """Pixel by pixel."""
    geometry, read, known = _window(builder, node)
    out = builder.new(node.output)
    kernel = Kernel("f32_avgpool_none_rows", (geometry.stride[1], geometry.kernel[1], geometry.dilation[1]))
    rows, columns = (builder.constant(reciprocals(node, geometry, axis)) for axis in (0, 1))
    builder.add(
        out, kernel, [read], known | {"out_channel": out.channel, "row_share": rows, "column_share": columns}
    )
    builder.choose(node, "none", kernel)


def lower_global_average(builder: Builder, node: Node) -> None:
    """A row of the map at a time, unless the layer before has made the mean itself."""
    if any(node is pooled for pooled in builder.pooled.values()):
        return
    x, out = builder.any(node.inputs[0]), builder.new(node.output)
    channels, height, width = x.shape
    kernel = Kernel("f32_mean_none_rows")
    known: dict[str, Word] = {
        "channels": channels,
        "width": width,
        "x_channel": x.channel,
        "rows": height,
        "share": 1 / (height * width),
    }
    builder.add(out, kernel, [Read(x)], known, units=height, by_rows=False)
    builder.choose(node, "none", kernel)


LOWER = {"max_pool2d": lower_max, "avg_pool2d": lower_average, "global_avg_pool2d": lower_global_average}
