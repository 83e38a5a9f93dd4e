"""Elementwise activations. NaN in is NaN out for every one of them (``np.maximum`` and its like keep NaN)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.reference.operation import Array, Attrs, Operation


def relu(x: Array) -> Array:
    """Rectifier, max(x, 0)."""
    return np.maximum(x, 0.0)


def leaky_relu(x: Array, slope: float) -> Array:
    """Keep x where x >= 0, slope · x elsewhere."""
    return np.where(x >= 0, x, slope * x)


def clip(x: Array, low: float, high: float) -> Array:
    """Clamp, min(max(x, low), high)."""
    return np.minimum(np.maximum(x, low), high)


def sigmoid(x: Array) -> Array:
    """Logistic function 1 / (1 + exp(-x)), written so that neither tail overflows."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.tanh(x)


def silu(x: Array) -> Array:
    """Swish, x · sigmoid(x) (Elfwing et al. 2018)."""
    return x * sigmoid(x)


def hard_sigmoid(x: Array) -> Array:
    """Piecewise linear sigmoid, clip(x / 6 + 1/2, 0, 1) (Howard et al. 2019, section 5.2)."""
    return clip(x / 6 + 0.5, 0.0, 1.0)


def hard_swish(x: Array) -> Array:
    """Swish without exp, x · hard_sigmoid(x) (Howard et al. 2019, section 5.2)."""
    return x * hard_sigmoid(x)


def elu(x: Array, alpha: float) -> Array:
    """Exponential linear unit: x where x >= 0, alpha (exp(x) - 1) elsewhere (Clevert et al. 2016, eq. 15)."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def erf(x: Array) -> Array:
    """Error function, number by number from the C library."""
    return np.vectorize(math.erf, otypes=[np.float64])(x) if x.size else x


def gelu(x: Array) -> Array:
    """Gaussian error linear unit, x · Φ(x) (Hendrycks & Gimpel 2016, eq. 1)."""
    return x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


def softplus(x: Array) -> Array:
    """Smooth rectifier, log(1 + exp(x)), without overflow."""
    return np.logaddexp(0.0, x)


#: Activation name → function of x and the parameters that ``ops.ACTIVATIONS`` lists.
FUNCTIONS: dict[str, Callable[..., Array]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "clip": clip,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": silu,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "elu": elu,
    "gelu": gelu,
    "softplus": softplus,
    "erf": erf,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "floor": np.floor,
    "round": np.rint,
    "reciprocal": lambda x: 1.0 / x,
}


def as_operation(op: str) -> Operation:
    """The activation ``op`` as an op of its own, its parameters read from the node's attributes."""
    function, parameters = FUNCTIONS[op], ACTIVATIONS[op].parameters

    def operation(inputs: list[Array], attrs: Attrs) -> Array:
        return function(inputs[0], *(attrs[name] for name in parameters))

    return operation


OPERATIONS: dict[str, Operation] = {op: as_operation(op) for op in FUNCTIONS}
