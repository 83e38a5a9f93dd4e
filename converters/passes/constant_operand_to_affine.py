"""Arithmetic with a number, or with one number per channel, is an affine map."""

from __future__ import annotations

import numpy as np

from converters.passes.rewiring import Float64Array, set_constant
from sparsenet.graph import FloatArray, Graph, Shape
from sparsenet.ops import split_inputs


def constant_operand_to_affine(graph: Graph) -> Graph:
    """Replace ``add``, ``sub`` and ``mul`` with a scalar or per-channel constant by ``affine``.

    Exact: x + c = 1·x + c, x - c = 1·x + (-c), c - x = (-1)·x + c, x·c = c·x + 0.
    """
    graph = graph.copy()
    shapes = graph.shapes()
    for node in graph.nodes:
        if node.op not in ("add", "sub", "mul"):
            continue
        own, extra = split_inputs(node)
        places = [i for i in (0, 1) if own[i] in graph.constants]
        if len(places) != 1:
            continue
        place = places[0]
        x = own[1 - place]
        vector = _per_channel(graph.constants[own[place]], shapes[x])
        if vector is None:
            continue
        ones = np.ones_like(vector)
        if node.op == "mul":
            scale, shift = vector, 0 * ones
        elif node.op == "add":
            scale, shift = ones, vector
        else:
            scale, shift = (ones, -vector) if place == 1 else (-ones, vector)
        node.op, node.inputs = "affine", [x, "", "", *extra]
        set_constant(graph, node, 1, scale, f"{node.name}.scale")
        set_constant(graph, node, 2, shift, f"{node.name}.shift")
    graph.drop_unused_constants()
    return graph


def _per_channel(constant: FloatArray, shape: Shape) -> Float64Array | None:
    """The constant as a (C,) vector if broadcasting it to (N, C) or (N, C, H, W) varies only along C."""
    if len(shape) not in (2, 4) or constant.ndim > len(shape):
        return None
    channels = int(shape[1] or 0)
    full = (1,) * (len(shape) - constant.ndim) + constant.shape
    if full[1] not in (1, channels) or any(size != 1 for axis, size in enumerate(full) if axis != 1):
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (channels,))
