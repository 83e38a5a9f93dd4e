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


def exp_everywhere(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """As ``exp``, with infinity and 0 beyond the ends of float32."""
    lanes = x.type.count
    near = b.select(b.fcmp_ordered("<", x, constant(-87.3, lanes)), constant(0.0, lanes), exp(b, x))
    return b.select(b.fcmp_ordered(">", x, constant(88.72, lanes)), constant(math.inf, lanes), near)


def log(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Natural logarithm per lane, 2e-7 of its value off at most; numbers below the normal range count as 0.

    x = m · 2**e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s) with s = (m - 1) / (m + 1), an odd series in s.
    """
    lanes = x.type.count
    k = lambda v: constant(v, lanes)  # noqa: E731
    integers = ir.VectorType(I32, lanes)
    whole = lambda v: ir.Constant(integers, [v] * lanes)  # noqa: E731
    # Subtracting the bits of sqrt(1/2) first makes the exponent field count from there.
    shifted = b.sub(b.bitcast(x, integers), whole(0x3F3504F3))
    exponent = b.sitofp(b.ashr(shifted, whole(23)), x.type)
    mantissa = b.bitcast(b.add(b.and_(shifted, whole(0x007FFFFF)), whole(0x3F3504F3)), x.type)
    s = b.fdiv(b.fsub(mantissa, k(1.0)), b.fadd(mantissa, k(1.0)))
    square = b.fmul(s, s)
    p = k(2 / 11)
    for coefficient in (2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0):
        p = fma(b, p, square, k(coefficient))
    result = fma(b, exponent, k(math.log(2)), b.fmul(p, s))
    result = b.select(b.fcmp_ordered("<", x, k(1.1754944e-38)), k(-math.inf), result)
    result = b.select(b.fcmp_ordered("<", x, k(0.0)), k(math.nan), result)
    usual = b.fcmp_ordered("<", x, k(math.inf))
    below = b.fcmp_ordered("<=", x, k(0.0))
    return b.select(b.or_(usual, below), result, x)  # infinity and NaN are their own


def softplus(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """log(1 + e**x) per lane, as max(x, 0) + log(1 + t) with t = e**-|x|."""
    lanes = x.type.count
    k = lambda v: constant(v, lanes)  # noqa: E731
    size = absolute(b, x)
    t = exp(b, b.fsub(k(-0.0), size))
    u = b.fadd(k(1.0), t)
    # log(u) · t / (u - 1) undoes the rounding of u; where u is 1, t is the result (Goldberg 1991, theorem 4).
    lost = b.fcmp_ordered("==", u, k(1.0))
    rest = b.fdiv(b.fmul(log(b, u), t), b.select(lost, k(1.0), b.fsub(u, k(1.0))))
    return b.fadd(b.select(b.fcmp_ordered("<", x, k(0.0)), k(0.0), x), b.select(lost, t, rest))


def erf(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Error function per lane, 2e-7 off at most.

    Its Taylor series below 0.5; above, Abramowitz & Stegun (1964), formula 7.1.26.
    """
    lanes = x.type.count
    k = lambda v: constant(v, lanes)  # noqa: E731
    square = b.fmul(x, x)
    p = k(1 / 9360)
    for coefficient in (-1 / 1320, 1 / 216, -1 / 42, 1 / 10, -1 / 3, 1.0):
        p = fma(b, p, square, k(coefficient))
    near = b.fmul(b.fmul(p, x), k(2 / math.sqrt(math.pi)))
    t = b.fdiv(k(1.0), fma(b, absolute(b, x), k(0.3275911), k(1.0)))
    p = k(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p = fma(b, p, t, k(coefficient))
    far = b.fsub(k(1.0), b.fmul(b.fmul(p, t), exp(b, b.fsub(k(-0.0), square))))
    far = call_intrinsic(b, f"llvm.copysign.v{lanes}f32", x.type, [far, x])
    return b.select(b.fcmp_ordered(">", square, k(0.25)), far, near)


def gelu(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """x (1 + erf(x / sqrt(2))) / 2 per lane."""
    lanes = x.type.count
    half = b.fmul(x, constant(0.5, lanes))
    return fma(b, half, erf(b, b.fmul(x, constant(math.sqrt(0.5), lanes))), half)


def elu(b: ir.IRBuilder, x: ir.Value, alpha: ir.Value) -> ir.Value:
    """x, or alpha (e**x - 1) where x is negative, per lane; near zero by the Taylor series of e**x - 1."""
    lanes = x.type.count
    k = lambda v: constant(v, lanes)  # noqa: E731
    p = k(1 / 120)
    for coefficient in (1 / 24, 1 / 6, 1 / 2, 1.0):
        p = fma(b, p, x, k(coefficient))
    far = b.fsub(exp(b, x), k(1.0))
    grown = b.select(b.fcmp_ordered(">", x, k(-0.1)), b.fmul(p, x), far)
    return b.select(b.fcmp_ordered("<", x, k(0.0)), b.fmul(alpha, grown), x)


def absolute(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """|x| per lane."""
    return call_intrinsic(b, f"llvm.fabs.v{x.type.count}f32", x.type, [x])


def _intrinsic(name: str) -> Callable[..., ir.Value]:
    return lambda b, x: call_intrinsic(b, f"llvm.{name}.v{x.type.count}f32", x.type, [x])


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
    "elu": elu,
    "gelu": gelu,
    "softplus": softplus,
    "erf": erf,
    "exp": exp_everywhere,
    "log": log,
    "sqrt": _intrinsic("sqrt"),
    "abs": absolute,
    "floor": _intrinsic("floor"),
    "round": _intrinsic("rint"),
    "reciprocal": lambda b, x: b.fdiv(constant(1.0, x.type.count), x),
}
