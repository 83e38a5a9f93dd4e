"""Convolutions in integers, over maps in quads of bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.integer import Product
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.choice import choose
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.window import open_window
from sparsenet.targets.cpu.lower.conv2d import one_pixel_matrix
from sparsenet.targets.cpu.lower.integer_linear import lower_matrix
from sparsenet.targets.cpu.lower.pack_quads import bias_at, weight_quads, whole_quads, without_groups
from sparsenet.targets.cpu.lower.quad_convolution import QuadConvolution, quad_candidates
from sparsenet.targets.cpu.lower.quad_depthwise import lower_depthwise
from sparsenet.targets.cpu.lower.quad_epilogue import bounds, fused
from sparsenet.targets.cpu.lower.unfold import open_unfolded, unfolded_weight, unfolds


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose a kernel over quads and add its stage."""
    conv = Convolution.of(builder.graph, builder.shapes, node)
    product = Product.of(builder.graph, node)
    assert product is not None
    one_to_one = conv.depthwise and conv.shape[0] == conv.groups
    if one_to_one and product.other is None and not conv.one_pixel:
        lower_depthwise(builder, conv, product)
    elif conv.one_pixel:
        weight = product.weights.astype(np.int8, copy=False)
        matrix = one_pixel_matrix(weight, conv.geometry, builder.image_shape(conv.x)[0])
        lower_matrix(builder, conv, product, matrix)
    else:
        _convolution(builder, conv, product)


def _convolution(builder: Builder, conv: Convolution, product: Product) -> None:
    node, geo, groups = conv.node, conv.geometry, conv.groups
    weight = product.weights.astype(np.int8, copy=False)
    c_out, group_in = weight.shape[:2]
    if c_out // groups % QUAD or group_in % QUAD:  # a quad would belong to two groups
        weight, groups = without_groups(weight, groups), 1
    if groups == 1 and unfolds(weight, geo) and not builder.pitches.get(geo.out, 0):
        window, weight = open_unfolded(builder, conv.x, geo), unfolded_weight(weight)
        geo = replace(geo, kernel=(1, 1), stride=(1, 1), before=(0, 0), dilation=(1, 1), size=geo.out)
    else:
        window = open_window(builder, conv.x, geo, flatten=True)
    epilogue = fused(builder, product, over_rows=True)
    as_line = window.flattens_with(geo, builder.pitches.get(geo.out, 0))
    out = builder.new_rows(node.output, row_by_row=not as_line)
    matrix = weight_quads(weight)
    layer = QuadConvolution(
        node.name, out, window, epilogue, matrix, int(np.count_nonzero(matrix)),
        whole_quads(bias_at(product.bias, weight, product.x.zero_point, builder.target.dot)), geo, groups, as_line,
        product.rounding.zero_point, {"scale": product.multiplier} | bounds(product, c_out), product,
    )  # fmt: skip
    candidates = quad_candidates(builder.target, layer, builder.options.race is not None)
    chosen, reason = choose(builder, candidates, layer.density, layer.key, "quads of zeros")
    builder.decide(
        node, chosen.format, chosen.kernel, reason, **conv.counts(int(np.count_nonzero(product.weights)))
    )
    builder.add(chosen.make(builder))


LOWER = {"conv2d": lower_conv2d}
