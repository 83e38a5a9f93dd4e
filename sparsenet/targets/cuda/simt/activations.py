"""Activations of one number, as ``sparsenet.graph.ops.ACTIVATIONS`` lists them. NaN stays NaN: comparisons with it
are false.

Each activation is a function ``f(x, a, b)``; a and b are its parameters, 0 where it has none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparsenet.targets.cuda.simt.machine import device

_F = np.float32
_HALF, _ONE, _ZERO, _SIXTH = _F(0.5), _F(1), _F(0), _F(1 / 6)
_ROOT_HALF = _F(math.sqrt(0.5))
#: exp() overflows from 88.7 on, which in the simulator is a warning.
_LARGEST_EXPONENT = _F(88.0)
_INFINITY = _F(math.inf)
_NAN = _F(math.nan)


@device
def relu(x: Any, a: Any, b: Any) -> Any:
    """max(x, 0)."""
    return _ZERO if x < _ZERO else x


@device
def leaky_relu(x: Any, a: Any, b: Any) -> Any:
    """x where x >= 0, a · x elsewhere."""
    return a * x if x < _ZERO else x


@device
def clip(x: Any, a: Any, b: Any) -> Any:
    """min(max(x, a), b)."""
    low = a if x < a else x
    return b if low > b else low


@device
def exp(x: Any, a: Any, b: Any) -> Any:
    """e^x; infinity instead of an overflow."""
    if x > _LARGEST_EXPONENT:
        half = _F(math.exp(x * _HALF)) if x < _LARGEST_EXPONENT + _LARGEST_EXPONENT else _INFINITY
        return _INFINITY if half > _F(1.8446742e19) else half * half
    return _F(math.exp(x))


@device
def sigmoid(x: Any, a: Any, b: Any) -> Any:
    """1 / (1 + e^-x), with the exponent on the side where it cannot overflow."""
    small = _F(math.exp(-abs(x)))
    return (small if x < _ZERO else _ONE) / (_ONE + small)


@device
def tanh(x: Any, a: Any, b: Any) -> Any:
    """Hyperbolic tangent."""
    return _F(math.tanh(x))


@device
def silu(x: Any, a: Any, b: Any) -> Any:
    """x · sigmoid(x)."""
    small = _F(math.exp(-abs(x)))
    return x * ((small if x < _ZERO else _ONE) / (_ONE + small))


@device
def hard_sigmoid(x: Any, a: Any, b: Any) -> Any:
    """clip(x / 6 + 1/2, 0, 1)."""
    y = x * _SIXTH + _HALF
    return _ZERO if y < _ZERO else _ONE if y > _ONE else y


@device
def hard_swish(x: Any, a: Any, b: Any) -> Any:
    """x · hard_sigmoid(x)."""
    y = x * _SIXTH + _HALF
    return x * (_ZERO if y < _ZERO else _ONE if y > _ONE else y)


@device
def elu(x: Any, a: Any, b: Any) -> Any:
    """x where x >= 0, a · (e^x - 1) elsewhere."""
    return a * _F(math.expm1(x)) if x < _ZERO else x


@device
def erf(x: Any, a: Any, b: Any) -> Any:
    """Error function."""
    return _F(math.erf(x))


@device
def gelu(x: Any, a: Any, b: Any) -> Any:
    """x · (1 + erf(x / √2)) / 2."""
    return x * _HALF * (_ONE + _F(math.erf(x * _ROOT_HALF)))


@device
def softplus(x: Any, a: Any, b: Any) -> Any:
    """log(1 + e^x), from the side where it cannot overflow."""
    return (_ZERO if x < _ZERO else x) + _F(math.log1p(math.exp(-abs(x))))


@device
def log(x: Any, a: Any, b: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""
    if x > _ZERO:
        return _F(math.log(x))
    return -_INFINITY if x == _ZERO else _NAN


@device
def sqrt(x: Any, a: Any, b: Any) -> Any:
    """Square root; NaN below 0."""
    return _NAN if x < _ZERO else _F(math.sqrt(x))


@device
def absolute(x: Any, a: Any, b: Any) -> Any:
    """|x|."""
    return abs(x)


@device
def floor(x: Any, a: Any, b: Any) -> Any:
    """The next whole number below; beyond 2^23 every float32 is whole."""
    return _F(math.floor(x)) if abs(x) < _F(8388608) else x


@device
def rounded(x: Any, a: Any, b: Any) -> Any:
    """The nearest whole number, halves to the even neighbour: beside 2^23 there is no place for a fraction."""
    if abs(x) < _F(8388608):
        return _F(math.copysign((abs(x) + _F(8388608)) - _F(8388608), x))
    return x


@device
def reciprocal(x: Any, a: Any, b: Any) -> Any:
    """1 / x; infinity of x's sign at 0."""
    if x == _ZERO:
        return _F(math.copysign(math.inf, x))
    return _ONE / x


FUNCTIONS: dict[str, Any] = {
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
    "exp": exp,
    "log": log,
    "sqrt": sqrt,
    "abs": absolute,
    "floor": floor,
    "round": rounded,
    "reciprocal": reciprocal,
}
