"""Convolutions: depthwise, dense or sparse over rows; a map of one pixel is a matrix-vector product."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.graph.ops import attributes, split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.choice import choose
from sparsenet.plan.window import Geometry, geometry, open_window
from sparsenet.targets.cpu.lower.conv_candidates import candidates
from sparsenet.targets.cpu.lower.convolution import Convolution
from sparsenet.targets.cpu.lower.depthwise import lower_depthwise
from sparsenet.targets.cpu.lower.epilogues import epilogue_of
from sparsenet.targets.cpu.lower.linear import lower_matrix
from sparsenet.targets.cpu.lower.pack import as_matrix, nonzeros


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose the kind of convolution and add its stage."""
    own, _ = split_inputs(node)
    weight = builder.graph.constants[own[1]]
    channels, *size = builder.shape(own[0])
    groups = attributes(node)["groups"]
    geo = geometry(node, weight.shape[2:], size, builder.shape(node.output)[1:])
    bias = builder.graph.constants[own[2]] if own[2] else np.zeros(weight.shape[0], np.float32)
    if geo.out == (1, 1) and groups == 1:
        lower_matrix(builder, node, builder.once(_one_pixel_matrix, weight, geo, channels), bias, own[0])
    elif weight.shape[1] == 1 and groups > 1:
        lower_depthwise(builder, node, weight, bias, geo)
    else:
        _convolution(builder, node, weight, bias, geo, groups)


def _one_pixel_matrix(weight: FloatArray, geo: Geometry, channels: int) -> FloatArray:
    """The (C_out, C_in * H * W) matrix of a convolution whose output is one pixel; taps in the padding drop out."""
    matrix = np.zeros((weight.shape[0], channels, *geo.size), np.float32)
    for ky in range(geo.kernel[0]):
        for kx in range(geo.kernel[1]):
            y, x = ky * geo.dilation[0] - geo.before[0], kx * geo.dilation[1] - geo.before[1]
            if 0 <= y < geo.size[0] and 0 <= x < geo.size[1]:
                matrix[:, :, y, x] = weight[:, :, ky, kx]
    return matrix.reshape(weight.shape[0], -1)


def _convolution(
    builder: Builder, node: Node, weight: FloatArray, bias: FloatArray, geo: Geometry, groups: int
) -> None:
    window = open_window(builder, node.inputs[0], geo, fold=True)
    epilogue = epilogue_of(builder, node, True)
    as_line = window.folds_with(geo, builder.folds.get(geo.out, 0))
    out = builder.new_rows(node.output, row_by_row=not as_line)
    matrix = builder.once(as_matrix, weight)
    nnz = builder.once(nonzeros, matrix)
    layer = Convolution(node.name, out, window, epilogue, matrix, nnz, bias, geo, groups, as_line)
    chosen, reason = choose(
        builder, candidates(builder.target, layer, builder.options.tune), layer.density, layer.key
    )
    counts = {"macs": matrix.size * geo.out[0] * geo.out[1], "nnz": layer.nnz, "weights": matrix.size}
    builder.decide(node, chosen.format, chosen.kernel, reason, **counts)
    builder.add(chosen.make(builder))


LOWER = {"conv2d": lower_conv2d}
