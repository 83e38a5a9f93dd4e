"""Functions of a vector, lane by lane: the activations and what they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from sparsenet.kernels.vector_ir.llvm import I32, call_intrinsic, constant, fma


def clip(b: ir.IRBuilder, x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """min(max(x, low), high); an unordered comparison is false and returns x, so NaN stays NaN."""
    x = b.select(b.fcmp_ordered("<", x, low), low, x)
    return b.select(b.fcmp_ordered(">", x, high), high, x)


def exp(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e**x per lane: range reduction by ln 2 in two parts, degree-6 polynomial, 2**n by exponent bits.

    Relative error below 3e-7 for results in the normal range; saturates at the ends of float32.
    """
    lanes = x.type.count
    k = lambda v: constant(v, lanes)  # noqa: E731
    x = clip(b, x, k(-87.3), k(88.3))
    n = call_intrinsic(b, f"llvm.rint.v{lanes}f32", x.type, [b.fmul(x, k(math.log2(math.e)))])
    r = fma(b, n, k(-0.693359375), x)
    r = fma(b, n, k(2.12194440e-4), r)
    p = k(1 / 720)
    for coefficient in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = fma(b, p, r, k(coefficient))
    integers = ir.VectorType(I32, lanes)
    # A NaN would be poison to fptosi; its lane of n is replaced and p carries the NaN through the product.
    n = b.select(b.fcmp_unordered("uno", n, n), k(0.0), n)
    bits = b.add(b.fptosi(n, integers), ir.Constant(integers, [127] * lanes))
    return b.fmul(p, b.bitcast(b.shl(bits, ir.Constant(integers, [23] * lanes)), x.type))


def sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """1 / (1 + e**-x) per lane."""
    one = constant(1.0, x.type.count)
    return b.fdiv(one, b.fadd(one, exp(b, b.fsub(constant(-0.0, x.type.count), x))))


def tanh(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Hyperbolic tangent per lane."""
    lanes = x.type.count
    k = lambda v: constant(v, lanes)  # noqa: E731
    large = b.fsub(k(1.0), b.fdiv(k(2.0), b.fadd(k(1.0), exp(b, b.fadd(x, x)))))
    # 1 - 2/(1+e^2x) cancels near zero: below 0.25 the odd Taylor series is exact to float32.
    square = b.fmul(x, x)
    p = k(-1382 / 155925)
    for coefficient in (62 / 2835, -17 / 315, 2 / 15, -1 / 3, 1.0):
        p = fma(b, p, square, k(coefficient))
    small = b.fcmp_ordered("<", square, k(0.0625))
    return b.select(small, b.fmul(x, p), large)


def hard_sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """clip(x / 6 + 1/2, 0, 1) per lane."""
    lanes = x.type.count
    return clip(
        b,
        fma(b, x, constant(1 / 6, lanes), constant(0.5, lanes)),
        constant(0.0, lanes),
        constant(1.0, lanes),
    )


#: Activation word → (builder, vector, *parameter vectors) -> vector.
ACTIVATION_IR: dict[str, Callable[..., ir.Value]] = {
    "relu": lambda b, x: b.select(
        b.fcmp_ordered("<", x, constant(0.0, x.type.count)), constant(0.0, x.type.count), x
    ),
    "leaky_relu": lambda b, x, slope: b.select(
        b.fcmp_ordered("<", x, constant(0.0, x.type.count)), b.fmul(x, slope), x
    ),
    "clip": clip,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": lambda b, x: b.fmul(x, sigmoid(b, x)),
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": lambda b, x: b.fmul(x, hard_sigmoid(b, x)),
}
