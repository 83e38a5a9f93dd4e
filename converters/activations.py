"""Frameworks' names of the activations that mean the same there and take no parameters."""

from __future__ import annotations

from typing import NamedTuple


class Names(NamedTuple):
    """Names of an activation: its ONNX operator and its ATen operation, "" where there is none of that meaning."""

    onnx: str = ""
    aten: str = ""


#: Activation of the op table → its names; those with parameters or other defaults have rules of their own.
ACTIVATION_NAMES: dict[str, Names] = {
    "relu": Names("Relu", "relu"),
    "sigmoid": Names("Sigmoid", "sigmoid"),
    "tanh": Names("Tanh", "tanh"),
    "silu": Names(aten="silu"),
    "hard_sigmoid": Names(aten="hardsigmoid"),
    "hard_swish": Names("HardSwish", "hardswish"),
    "softplus": Names("Softplus"),
    "erf": Names("Erf", "erf"),
    "exp": Names("Exp", "exp"),
    "log": Names("Log", "log"),
    "sqrt": Names("Sqrt", "sqrt"),
    "abs": Names("Abs", "abs"),
    "floor": Names("Floor", "floor"),
    "round": Names("Round", "round"),
    "reciprocal": Names("Reciprocal", "reciprocal"),
}
