"""Convolutions: depthwise, dense or sparse over rows; a map of one pixel is a matrix-vector product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder, Halo
from sparsenet.plan.choice import choose
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.plan.lowering.weights import as_matrix, nonzeros
from sparsenet.plan.window import open_window
from sparsenet.targets.cpu.lower.conv_candidates import candidates
from sparsenet.targets.cpu.lower.depthwise import IN_PLACE_STRIDE, lower_depthwise
from sparsenet.targets.cpu.lower.epilogues import epilogue_of
from sparsenet.targets.cpu.lower.linear import lower_matrix
from sparsenet.targets.cpu.lower.row_convolution import RowConvolution

Number = TypeVar("Number", np.float32, np.int8)


def _halo(graph: Graph, shapes: Mapping[str, Shape], node: Node) -> Halo:
    """The halo of the input that windows need to read it in place."""
    conv = Convolution.of(graph, shapes, node)
    # Few channels in bytes are unfolded by a kernel that takes the same strides as that of depthwise convolutions.
    few_bytes = conv.x in graph.quantization and conv.groups == 1 and int(shapes[conv.x][1] or 0) < QUAD
    most = IN_PLACE_STRIDE if conv.depthwise or few_bytes else 1
    return conv.geometry.halo if conv.geometry.stride[1] <= most and not conv.one_pixel else (0, 0, 0)


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose the kind of convolution and add its stage."""
    conv = Convolution.of(builder.graph, builder.shapes, node)
    if conv.one_pixel:
        channels = builder.image_shape(conv.x)[0]
        matrix = builder.once(one_pixel_matrix, conv.weight, conv.geometry, channels)
        lower_matrix(builder, conv, matrix)
    elif conv.depthwise:
        lower_depthwise(builder, conv)
    else:
        _convolution(builder, conv)


def one_pixel_matrix(weight: npt.NDArray[Number], geo: Geometry, channels: int) -> npt.NDArray[Number]:
    """The (C_out, C_in * H * W) matrix of a convolution whose output is one pixel; taps in the padding drop out."""
    matrix = np.zeros((weight.shape[0], channels, *geo.size), weight.dtype)
    for ky in range(geo.kernel[0]):
        for kx in range(geo.kernel[1]):
            y, x = ky * geo.dilation[0] - geo.before[0], kx * geo.dilation[1] - geo.before[1]
            if 0 <= y < geo.size[0] and 0 <= x < geo.size[1]:
                matrix[:, :, y, x] = weight[:, :, ky, kx]
    return matrix.reshape(weight.shape[0], -1)


def _convolution(builder: Builder, conv: Convolution) -> None:
    node, geo = conv.node, conv.geometry
    window = open_window(builder, conv.x, geo, flatten=True)
    epilogue = epilogue_of(builder, node, True)
    as_line = window.flattens_with(geo, builder.pitches.get(geo.out, 0))
    out = builder.new_rows(node.output, row_by_row=not as_line)
    matrix = builder.once(as_matrix, conv.weight)
    nnz = builder.once(nonzeros, matrix)
    layer = RowConvolution(
        node.name, out, window, epilogue, matrix, nnz, conv.bias, geo, conv.groups, as_line
    )
    chosen, reason = choose(
        builder, candidates(builder.target, layer, builder.options.race is not None), layer.density, layer.key
    )
    builder.decide(node, chosen.format, chosen.kernel, reason, **conv.counts(nnz))
    builder.add(chosen.make(builder))


LOWER = {"conv2d": lower_conv2d}
HALOS = {"conv2d": _halo}
