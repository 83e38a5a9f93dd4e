"""Rules for ONNX operators on bytes: each is its counterpart on floats between a dequantization and a quantization.

``QLinear…`` are ONNX's own and ONNX Runtime's (domain com.microsoft), which its static quantization writes as
"QOperator". ``ConvInteger`` and ``MatMulInteger`` give sums, which the model scales itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.onnx.call import Call, Rule
from converters.onnx.ops import arithmetic, layers, quantize, reduce, shapes, windows
from converters.onnx.ops.quantize import dequantize, quantize_result
from converters.quantized import Quantized, as_integers
from converters.symbolic.sizes import Sizes

_FLOAT_RULES = {**arithmetic.RULES, **layers.RULES, **reduce.RULES, **shapes.RULES, **windows.RULES}


def _given(c: Call, index: int) -> Value | None:
    value = c.get(index)
    if isinstance(value, Sizes):
        raise Unsupported("it reads a size as bytes")
    return value


def _floats(c: Call, index: int, name: str) -> Value:
    """The tensor at ``index`` as floats, by the scale and the zero point behind it."""
    return dequantize(c, c.at(name), _given(c, index), _given(c, index + 1), _given(c, index + 2))


def _finished(c: Call, result: Any, scale: int) -> Value:
    """The result as bytes, by the scale and the zero point at ``scale``."""
    return quantize_result(c, result, _given(c, scale), _given(c, scale + 1))


def _between(c: Call, op: str, inputs: Sequence[Value | None], scale: int, part: str = "floats") -> Value:
    """The rule of ``op`` on floats, its result as bytes."""
    inner = replace(c, inputs=list(inputs), site=c.site.sub(part), outputs=[f"{c.site.tensor}.{part}"])
    return _finished(c, _FLOAT_RULES[op](inner), scale)


def _conv(c: Call) -> Value:
    """x, scale, zero, w, scale, zero, y scale, y zero, bias in units of the sums."""
    x_scale, w_scale, bias = c.const(1, "scale"), c.const(4, "scale of the weight"), c.const(8, "bias")
    weight = dequantize(c, c.at("w"), _given(c, 3), w_scale, _given(c, 5), axis=0)
    extra = None
    if bias is not None and x_scale is not None and w_scale is not None:
        unit = x_scale.array.astype(np.float64) * w_scale.array.astype(np.float64)
        extra = Const((bias.array * unit.reshape(-1)).astype(np.float32))
    return _between(c, "Conv", [_floats(c, 0, "x"), weight, extra], 6)


def _matmul(c: Call) -> Value:
    """a, scale, zero, b, scale, zero, y scale, y zero."""
    right = dequantize(c, c.at("b"), _given(c, 3), _given(c, 4), _given(c, 5), axis=-1)
    return _between(c, "MatMul", [_floats(c, 0, "a"), right], 6)


def _gemm(c: Call) -> Value:
    """A, scale, zero, B, scale, zero, C in units of the sums, y scale, y zero: B is (K, N), or (N, K) if transB."""
    a_scale, b_scale, bias = c.const(1, "scale"), c.const(4, "scale of the weight"), c.const(6, "bias")
    axis = 0 if c.attrs.get("transB", 0) else 1
    weight = dequantize(c, c.at("b"), _given(c, 3), b_scale, _given(c, 5), axis=axis)
    extra = None
    if bias is not None and a_scale is not None and b_scale is not None:
        unit = a_scale.array.astype(np.float64) * b_scale.array.astype(np.float64)
        extra = Const((bias.array * unit.reshape(-1) * c.attrs.get("alpha", 1.0)).astype(np.float32))
    return _between(c, "Gemm", [_floats(c, 0, "a"), weight, extra], 7)


def _two(op: str) -> Callable[[Call], Value]:
    """a, scale, zero, b, scale, zero, y scale, y zero."""
    return lambda c: _between(c, op, [_floats(c, 0, "a"), _floats(c, 3, "b")], 6)


def _one(op: str) -> Callable[[Call], Value]:
    """x, scale, zero, y scale, y zero."""

    def rule(c: Call) -> Value:
        if c.attrs.get("channels_last", 0):
            raise Unsupported("channels behind the pixels are not supported here", "channels_last")
        return _between(c, op, [_floats(c, 0, "x")], 3)

    return rule


def _concat(c: Call) -> Value:
    """y scale, y zero, then for each tensor: itself, scale, zero."""
    parts = [_floats(c, index, f"x{index}") for index in range(2, len(c.inputs), 3)]
    return _between(c, "Concat", parts, 0)


def _sums(op: str) -> Callable[[Call], Any]:
    """x, w, zero point of x, zero points of w: the rule of ``op`` on what lies between bytes and zero points."""

    def rule(c: Call) -> Any:
        x, w = c.operand(0), c.operand(1)
        if isinstance(x, Quantized):
            x = as_integers(c.b, c.at("integers"), x)
        operands: list[Value] = []
        for index, value in enumerate((x, w)):
            point = c.const(index + 2, "zero point")
            if point is None or not point.array.any():
                operands.append(value)
            elif isinstance(value, Act):
                operands.append(
                    c.binary("sub", value, Const(point.array.astype(np.float32)), f"centred{index}")
                )
            else:
                zero = point.array.astype(np.float32)
                if zero.size > 1:  # one for each output: rows of a convolution's weight, columns of a matrix
                    first = op == "Conv"
                    zero = zero.reshape(-1, *[1] * (value.array.ndim - 1)) if first else zero.reshape(-1)
                operands.append(Const(value.array.astype(np.float32) - zero))
        return _FLOAT_RULES[op](replace(c, inputs=[_as_float(value) for value in operands]))

    return rule


def _as_float(value: Value) -> Value:
    return Const(value.array.astype(np.float32), value.name) if isinstance(value, Const) else value


_MICROSOFT: dict[str, Rule] = {
    "QLinearAdd": _two("Add"),
    "QLinearMul": _two("Mul"),
    "QLinearConcat": _concat,
    "QLinearAveragePool": _one("AveragePool"),
    "QLinearGlobalAveragePool": _one("GlobalAveragePool"),
    "QLinearSigmoid": _one("Sigmoid"),
    "QLinearLeakyRelu": _one("LeakyRelu"),
    "QLinearSoftmax": _one("Softmax"),
    "QGemm": _gemm,
    "QuantizeLinear": quantize.RULES["QuantizeLinear"],
    "DequantizeLinear": quantize.RULES["DequantizeLinear"],
}

RULES: dict[str, Rule] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "ConvInteger": _sums("Conv"),
    "MatMulInteger": _sums("MatMul"),
    **{f"com.microsoft::{name}": rule for name, rule in _MICROSOFT.items()},
}
