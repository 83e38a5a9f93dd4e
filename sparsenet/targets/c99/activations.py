"""Activations in C: an expression of ``{x}``, a float32 variable, and of the parameters. NaN stays NaN."""

from __future__ import annotations

#: Activation → its expression. Functions are those of <math.h>.
EXPRESSIONS: dict[str, str] = {
    "relu": "{x} < 0.0f ? 0.0f : {x}",
    "leaky_relu": "{x} < 0.0f ? {slope} * {x} : {x}",
    "clip": "{x} < {min} ? {min} : {x} > {max} ? {max} : {x}",
    "sigmoid": "1.0f / (1.0f + expf(-{x}))",
    "tanh": "tanhf({x})",
    "silu": "{x} / (1.0f + expf(-{x}))",
    "hard_sigmoid": "{x} < -3.0f ? 0.0f : {x} > 3.0f ? 1.0f : {x} / 6.0f + 0.5f",
    "hard_swish": "{x} < -3.0f ? 0.0f : {x} > 3.0f ? {x} : {x} * ({x} / 6.0f + 0.5f)",
    "elu": "{x} < 0.0f ? {alpha} * expm1f({x}) : {x}",
    "gelu": "0.5f * {x} * (1.0f + erff({x} * 0.70710678f))",
    "softplus": "({x} > 0.0f ? {x} : 0.0f) + log1pf(expf(-fabsf({x})))",
    "erf": "erff({x})",
    "exp": "expf({x})",
    "log": "logf({x})",
    "sqrt": "sqrtf({x})",
    "abs": "fabsf({x})",
    "floor": "floorf({x})",
    "round": "rintf({x})",
    "reciprocal": "1.0f / {x}",
}
#: About how many instructions each takes, where it is not a call of a function.
INSTRUCTIONS = {
    "relu": 3,
    "leaky_relu": 4,
    "clip": 6,
    "hard_sigmoid": 9,
    "hard_swish": 10,
    "abs": 1,
    "add": 2,
    "affine": 1,
}
#: Of those that call one.
FUNCTION = 60
