"""Convolutions and fully connected layers: depthwise, or rows of a sparse or dense matrix over pixels in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes, split_inputs
from sparsenet.plan.cuda.builder import THREADS, Builder, NoKernelError, Value
from sparsenet.plan.cuda.choice import choose, conv_candidates
from sparsenet.plan.cuda.layout import Maps, round_up
from sparsenet.plan.cuda.lower.epilogues import epilogue_of
from sparsenet.plan.cuda.lower.movement import padded_copy
from sparsenet.plan.cuda.pack import dense_groups, sparse_groups

#: Output rows that a thread of the depthwise kernel computes, by the stride of rows.
DEPTHWISE_ROWS = {1: 4, 2: 2}


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose the kind of convolution."""
    own, _ = split_inputs(node)
    weight = builder.graph.constants[own[1]]
    bias = builder.graph.constants[own[2]] if own[2] else np.zeros(weight.shape[0], np.float32)
    attrs = attributes(node)
    x = with_padding(builder, builder.get(own[0]), attrs["padding"])
    if weight.shape[1] == 1 and attrs["groups"] > 1:
        _depthwise(builder, node, x, weight, bias, attrs)
    else:
        _matrix(builder, node, x, weight, bias, attrs)


def lower_linear(builder: Builder, node: Node) -> None:
    """A 1x1 convolution of images of one pixel."""
    own, _ = split_inputs(node)
    weight = builder.graph.constants[own[1]]
    bias = builder.graph.constants[own[2]] if own[2] else np.zeros(weight.shape[0], np.float32)
    _matrix(builder, node, builder.get(own[0]), weight[:, :, None, None], bias, attributes_of_1x1())


def attributes_of_1x1() -> dict[str, Any]:
    """What a convolution without attributes has."""
    return {"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}


def with_padding(builder: Builder, x: Value, padding: list[int]) -> Value:
    """``x``, or a copy of it, with as many zeros around it as ``padding`` (top, left, bottom, right) asks for."""
    rows, columns = max(padding[0], padding[2]), max(padding[1], padding[3])
    if x.maps.rows >= rows and x.maps.columns >= columns:
        return x
    old = x.maps
    layout = Maps(old.channels, old.height, old.width, old.images, rows, columns)
    return padded_copy(builder, x, layout)


def tap_offsets(
    weight: FloatArray, layout: Maps, attrs: dict[str, Any]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(groups, taps): where each tap of the window of output pixel (0, 0) stands in channel 0's plane and on."""
    _, c_in, k_h, k_w = weight.shape
    top, left = attrs["padding"][:2]
    channel = np.arange(attrs["groups"] * c_in).reshape(attrs["groups"], c_in, 1, 1) * layout.pitch
    row = (np.arange(k_h) * attrs["dilation"][0] - top) * layout.line
    column = np.arange(k_w) * attrs["dilation"][1] - left
    offsets = channel + row[None, None, :, None] + column[None, None, None, :]
    return np.asarray(offsets.reshape(attrs["groups"], -1), np.int64)


def _matrix(
    builder: Builder, node: Node, x: Value, weight: FloatArray, bias: FloatArray, attrs: dict[str, Any]
) -> None:
    out = builder.new(node.output)
    epilogue = epilogue_of(builder, node, out)
    matrix = np.ascontiguousarray(weight.reshape(weight.shape[0], -1))
    nnz = int(np.count_nonzero(matrix))
    groups, stride = attrs["groups"], attrs["stride"]
    offsets = tap_offsets(weight, x.maps, attrs)
    if offsets.max(initial=0) > np.iinfo(np.int32).max:
        raise NoKernelError(f"its input has {x.size} numbers, more than 32 bits can count")
    in_place = stride == [1, 1] and x.maps.lies_like(out.maps) and not (offsets % 4).any()

    size = (out.maps.pitch, matrix.shape[0], matrix.shape[1])
    candidates = conv_candidates(size, nnz / matrix.size, in_place, builder.options)
    (kind, tile), reason = choose(builder.options, node.name, candidates, nnz / matrix.size)
    pack = sparse_groups if kind == "csr" else dense_groups
    packed = pack(matrix, offsets, tile.rows, groups)

    kernel = Kernel(f"f32_conv_{kind}_maps", tile.lanes, tile.parameters, tuple(epilogue.words))
    pixels = int(np.prod(out.shape[2:]))
    builder.decide(node, kind, kernel, reason, macs=matrix.size * pixels, nnz=nnz, weights=matrix.size)
    count = len(packed.channels)
    if in_place:
        builder.overread = max(builder.overread, tile.pixels)
    builder.call(
        kernel,
        tile.blocks(out.maps.pitch, count, builder.options.processors),
        tile.threads,
        epilogue,
        x=x,
        spans=builder.tables.add(packed.spans),
        columns=builder.tables.add(packed.columns),
        values=builder.weights.add(packed.values),
        channels=builder.tables.add(packed.channels),
        bias=builder.weights.add(bias),
        groups=count,
        x_image=x.maps.image,
        x_row=stride[0] * x.maps.line,
        x_column=stride[1],
        **out.maps.geometry(),
        out=out,
        pitch=out.maps.pitch,
    )


def _depthwise(
    builder: Builder, node: Node, x: Value, weight: FloatArray, bias: FloatArray, attrs: dict[str, Any]
) -> None:
    out = builder.new(node.output)
    epilogue = epilogue_of(builder, node, out)
    (stride_h, stride_w), (top, left) = attrs["stride"], attrs["padding"][:2]
    rows = min(DEPTHWISE_ROWS.get(stride_h, 1), out.maps.height)
    tile = (*weight.shape[2:], stride_h, stride_w, *attrs["dilation"], rows)
    kernel = Kernel("f32_depthwise_dense_maps", 1, tile, tuple(epilogue.words))
    pixels = out.maps.height * out.maps.width
    builder.decide(
        node, "dense", kernel, "depthwise", macs=weight.size * pixels, nnz=int(np.count_nonzero(weight)),
        weights=weight.size,
    )  # fmt: skip
    maps = out.maps
    bands = -(-(maps.height + maps.rows) // rows)
    work = maps.images * bands * maps.line + maps.pitch - maps.images * maps.image
    threads = min(THREADS, round_up(work, 32))
    along = -(-work // threads)
    # The rows that make up the last band of the last image are computed, though not written.
    last_row = (bands * rows - 1) * stride_h + (weight.shape[2] - 1) * attrs["dilation"][0] - top
    last_column = (maps.width - 1) * stride_w + (weight.shape[3] - 1) * attrs["dilation"][1] - left
    end = (maps.images - 1) * x.maps.image + last_row * x.maps.line + last_column + 1
    builder.overread = max(builder.overread, end - x.maps.pitch)
    builder.call(
        kernel,
        (along, builder.across(along, maps.channels)),
        threads,
        epilogue,
        x=x + (-top * x.maps.line - left),
        values=builder.weights.add(weight),
        bias=builder.weights.add(bias),
        multiplier=weight.shape[0] // attrs["groups"],
        x_image=x.maps.image,
        x_line=x.maps.line,
        x_pitch=x.maps.pitch,
        channels=maps.channels,
        bands=bands,
        **maps.geometry(),
        out=out,
        pitch=maps.pitch,
    )


LOWER = {"conv2d": lower_conv2d, "linear": lower_linear}
