"""Arithmetic with a number, or with one number per channel, is an affine map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converters.passes.rewiring import Float64Array, Rewiring
from sparsenet.graph import FloatArray, Graph, Shape
from sparsenet.graph.ops import split_inputs

#: Op -> f(which of its operands the constant is, the constant per channel): scale and shift.
_AS_AFFINE: dict[str, Callable[[int, Float64Array], tuple[Float64Array, Float64Array]]] = {
    "add": lambda _place, c: (np.ones_like(c), c),
    "sub": lambda place, c: (np.ones_like(c), -c) if place else (-np.ones_like(c), c),
    "mul": lambda _place, c: (c, 0 * c),
}


def constant_operand_to_affine(graph: Graph) -> Graph:
    """Replace ``add``, ``sub`` and ``mul`` with a scalar or per-channel constant by ``affine``.

    Exact: x + c = 1·x + c, x - c = 1·x + (-c), c - x = (-1)·x + c, x·c = c·x + 0.
    """
    wiring, shapes = Rewiring(graph), graph.shapes()
    for node in wiring.nodes(*_AS_AFFINE):
        own, extra = split_inputs(node)
        places = [i for i in (0, 1) if own[i] in wiring.constants]
        if len(places) != 1:
            continue
        place = places[0]
        x = own[1 - place]
        vector = _per_channel(wiring.constants[own[place]], shapes[x])
        if vector is None:
            continue
        scale, shift = _AS_AFFINE[node.op](place, vector)
        node.op = "affine"
        wiring.read(node, [x, "", "", *extra])
        wiring.set_constant(node, 1, scale, f"{node.name}.scale")
        wiring.set_constant(node, 2, shift, f"{node.name}.shift")
    return wiring.done()


def _per_channel(constant: FloatArray, shape: Shape) -> Float64Array | None:
    """The constant as a (C,) vector if broadcasting it to (N, C) or (N, C, H, W) varies only along C."""
    if len(shape) not in (2, 4) or constant.ndim > len(shape):
        return None
    channels = int(shape[1] or 0)
    full = (1,) * (len(shape) - constant.ndim) + constant.shape
    if full[1] not in (1, channels) or any(size != 1 for axis, size in enumerate(full) if axis != 1):
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (channels,))
