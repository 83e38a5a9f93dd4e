"""Pooling."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.graph.ops import attributes
from sparsenet.targets.cuda.builder import Argument, Builder, Value
from sparsenet.targets.registry import Kernel

_ONLY = "the only kernel for this op"
#: Threads that add up one image of one channel, up to a size of it, and beyond; and threads of a block.
SMALL_IMAGE, FEW, MANY, BLOCK = 256, 8, 32, 128


def _window(x: Value, node: Node) -> dict[str, Argument]:
    attrs = attributes(node)
    maps = x.maps
    return {
        "x": x,
        "x_width": maps.width,
        "x_height": maps.height,
        "x_line": maps.line,
        "x_image": maps.image,
        "x_pitch": maps.pitch,
        "k_h": attrs["kernel"][0],
        "k_w": attrs["kernel"][1],
        "stride_h": attrs["stride"][0],
        "stride_w": attrs["stride"][1],
        "top": attrs["padding"][0],
        "left": attrs["padding"][1],
    }


def _over_output(builder: Builder, node: Node, kernel: Kernel, out: Value, **arguments: Argument) -> None:
    builder.decide(node, "none", kernel, _ONLY)
    builder.over_pixels(
        kernel, out.maps.pitch, out.maps.channels, channels=out.maps.channels, **out.maps.geometry(),
        out=out, pitch=out.maps.pitch, **arguments,
    )  # fmt: skip


def lower_max_pool(builder: Builder, node: Node) -> None:
    """Any window; what it sees beside the map is left out."""
    x, out = builder.get(node.inputs[0]), builder.new(node.output)
    dilation_h, dilation_w = attributes(node)["dilation"]
    window = _window(x, node) | {"dilation_h": dilation_h, "dilation_w": dilation_w}
    _over_output(builder, node, Kernel("f32_maxpool_none_maps", 1), out, **window)


def lower_avg_pool(builder: Builder, node: Node) -> None:
    """Any window; what it counts is known row by row and column by column."""
    x, out = builder.get(node.inputs[0]), builder.new(node.output)
    scales = {
        name: builder.weights.add(_reciprocals(node, axis, x.shape[2 + axis], out.shape[2 + axis]))
        for axis, name in enumerate(("scale_y", "scale_x"))
    }
    _over_output(builder, node, Kernel("f32_avgpool_none_maps", 1), out, **_window(x, node), **scales)


def _reciprocals(node: Node, axis: int, size: int, outputs: int) -> FloatArray:
    """1 / how many of its rows (or columns) a window counts, for each output row (or column)."""
    attrs = attributes(node)
    before, after = attrs["padding"][axis], attrs["padding"][axis + 2]
    first = np.arange(outputs) * attrs["stride"][axis] - before
    last = np.minimum(first + attrs["kernel"][axis], size + after)
    if not attrs["count_include_pad"]:
        first, last = np.maximum(first, 0), np.minimum(last, size)
    return np.asarray(1.0 / (last - first), np.float32)


def lower_global_avg_pool(builder: Builder, node: Node) -> None:
    """Some threads for each image of each channel."""
    x, out = builder.get(node.inputs[0]), builder.new(node.output)
    maps = x.maps
    threads = FEW if maps.image <= SMALL_IMAGE else MANY
    together = min(BLOCK // threads, maps.channels)
    kernel = Kernel("f32_globalavgpool_none_maps", 1, (threads, together))
    builder.decide(node, "none", kernel, _ONLY)
    builder.call(
        kernel, (maps.images, builder.across(maps.images, -(-maps.channels // together))), threads * together,
        x=x, x_image=maps.image, x_pitch=maps.pitch, pixels=maps.height * maps.width,
        channels=maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip


LOWER = {
    "max_pool2d": lower_max_pool,
    "avg_pool2d": lower_avg_pool,
    "global_avg_pool2d": lower_global_avg_pool,
}
