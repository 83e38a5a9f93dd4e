"""Activations and softmax."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site
from converters.decompose.elementwise import binary, negate, scalar
from converters.decompose.shapes import axis_of


def softmax(b: GraphBuilder, site: Site, x: Act, axis: int) -> Act:
    """Softmax along one axis, which may count from the back."""
    return b.node("softmax", site, [x.tensor], {"axis": axis_of(axis, len(b.shapes[x.tensor]))})


def log_softmax(b: GraphBuilder, site: Site, x: Act, axis: int) -> Act:
    """Logarithm of the softmax, x - max - log Σ exp(x - max), along an axis of the graph's tensor."""

    def over(part: str, kind: str, value: Act) -> Act:
        return b.node(
            "reduce", site.sub(part), [value.tensor], {"kind": kind, "axes": [axis], "keepdims": True}
        )

    centred = binary(b, site.sub("centred"), "sub", x, over("max", "max", x))
    powers = b.node("exp", site.sub("exp"), [centred.tensor])
    total = b.node("log", site.sub("log"), [over("sum", "sum", powers).tensor])
    return binary(b, site, "sub", centred, total)


def prelu(b: GraphBuilder, site: Site, x: Act, slope: Const, lead: int = 0) -> Act:
    """Parametric ReLU, max(x, 0) - slope · max(-x, 0), the slope broadcast (He et al. 2015, eq. 1)."""
    if np.unique(slope.array).size == 1:
        return b.node("leaky_relu", site, [x.tensor], {"slope": float(slope.array.flat[0])})
    above = b.node("relu", site.sub("above"), [x.tensor])
    below = b.node("relu", site.sub("below"), [negate(b, site.sub("negative"), x).tensor])
    scaled = binary(b, site.sub("scaled"), "mul", below, Const(-slope.array), lead)
    return binary(b, site, "add", above, scaled)


def mish(b: GraphBuilder, site: Site, x: Act) -> Act:
    """Mish, x · tanh(softplus(x)) (Misra 2019)."""
    gate = b.node("softplus", site.sub("softplus"), [x.tensor])
    gate = b.node("tanh", site.sub("tanh"), [gate.tensor])
    return binary(b, site, "mul", x, gate)


def gelu_tanh(b: GraphBuilder, site: Site, x: Act) -> Act:
    """GELU by tanh, x · (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))) / 2 = x · sigmoid(2 sqrt(2/pi) (x + 0.044715 x³))."""
    factor = 2 * float(np.sqrt(2 / np.pi))
    square = binary(b, site.sub("square"), "mul", x, x)
    inner = binary(b, site.sub("cubic"), "mul", square, scalar(0.044715 * factor))
    inner = binary(b, site.sub("linear"), "add", inner, scalar(factor))
    inner = binary(b, site.sub("inner"), "mul", x, inner)
    gate = b.node("sigmoid", site.sub("gate"), [inner.tensor])
    return binary(b, site, "mul", x, gate)
