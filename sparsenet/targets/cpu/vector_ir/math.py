"""Functions of a vector, lane by lane: the activations and what they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from sparsenet.targets.cpu.vector_ir.llvm import (
    F32,
    I32,
    call_intrinsic,
    constant,
    extreme,
    fma,
    has_extremes,
    mangled,
)


def _at_least(b: ir.IRBuilder, x: ir.Value, low: ir.Value) -> ir.Value:
    """max(x, low) per lane; an unordered comparison is false and returns x, so NaN stays NaN."""
    return extreme(b, ">", x, low) if has_extremes() else b.select(b.fcmp_ordered("<", x, low), low, x)


def _at_most(b: ir.IRBuilder, x: ir.Value, high: ir.Value) -> ir.Value:
    """min(x, high) per lane; NaN stays NaN."""
    return extreme(b, "<", x, high) if has_extremes() else b.select(b.fcmp_ordered(">", x, high), high, x)


def clip(b: ir.IRBuilder, x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """min(max(x, low), high) per lane; NaN stays NaN."""
    return _at_most(b, _at_least(b, x, low), high)


#: Added to a small number, leaves the nearest integer in the last bits; a whole number is added besides by adding both.
_ROUNDER = 1.5 * 2**23
#: Exponent field of 1.
_BIAS = 127


def _reduced(b: ir.IRBuilder, x: ir.Value, offset: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """(q, r, bits) per lane: e**x = (1 + q · r) · 2**n with q · r = e**r - 1, |r| <= ln(2) / 2; bits end in n + offset.

    Range reduction by ln 2 in two parts, then a degree-6 polynomial. Where x is NaN, q and r are too.
    """
    lanes = x.type.count
    k = lambda v: constant(v, x.type)  # noqa: E731
    rounded = fma(b, x, k(math.log2(math.e)), k(_ROUNDER + offset))
    n = b.fsub(rounded, k(_ROUNDER + offset))
    r = fma(b, n, k(-0.693359375), x)
    r = fma(b, n, k(2.12194440e-4), r)
    q = k(1 / 720)
    for coefficient in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0):
        q = fma(b, q, r, k(coefficient))
    return q, r, b.bitcast(rounded, ir.VectorType(I32, lanes))


def _power(b: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """2**(bits - 127) per lane for the last eight bits of ``bits``; 0 where they are 0."""
    return b.bitcast(
        b.shl(bits, ir.Constant(bits.type, [23] * bits.type.count)), ir.VectorType(F32, bits.type.count)
    )


def _exp_below(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e**x per lane as ``exp``, for x up to 88.8.

    2**n is the product of two powers, so that the last product rounds a denormal once and overflows where it must.
    Below -176 the first power is 0: products of 0 are as swift as any, products that underflow may not be.
    """
    lanes = x.type.count
    q, r, bits = _reduced(b, _at_least(b, x, constant(-176.0, x.type)), 2 * _BIAS)
    half = b.lshr(bits, ir.Constant(bits.type, [1] * lanes))
    p = fma(b, q, r, constant(1.0, x.type))
    return b.fmul(b.fmul(p, _power(b, half)), _power(b, b.sub(bits, half)))


def _exp_of_some(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e**x per lane for x from -87 to 88."""
    q, r, bits = _reduced(b, x, _BIAS)
    return b.fmul(fma(b, q, r, constant(1.0, x.type)), _power(b, bits))


def _exp_minus_one(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e**x - 1 per lane for x from -87 to 88, without loss near 0: 2**n (e**r - 1) + (2**n - 1)."""
    q, r, bits = _reduced(b, x, _BIAS)
    scale = _power(b, bits)
    return fma(b, b.fmul(q, r), scale, b.fsub(scale, constant(1.0, x.type)))


def exp(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e**x per lane, over all of float32: denormal, 0 and infinite where the value is."""
    return _exp_below(b, _at_most(b, x, constant(88.8, x.type)))


def _log_of_normal(b: ir.IRBuilder, x: ir.Value, shift: ir.Value | None = None) -> ir.Value:
    """log(x) - shift · log(2) per lane, for positive x that are neither denormal nor infinite.

    x = m · 2**e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s) with s = (m - 1) / (m + 1), an odd series in s.
    """
    lanes = x.type.count
    k = lambda v: constant(v, x.type)  # noqa: E731
    integers = ir.VectorType(I32, lanes)
    whole = lambda v: ir.Constant(integers, [v] * lanes)  # noqa: E731
    # Subtracting the bits of sqrt(1/2) first makes the exponent field count from there.
    shifted = b.sub(b.bitcast(x, integers), whole(0x3F3504F3))
    exponent = b.sitofp(b.ashr(shifted, whole(23)), x.type)
    if shift is not None:
        exponent = b.fsub(exponent, shift)
    mantissa = b.bitcast(b.add(b.and_(shifted, whole(0x007FFFFF)), whole(0x3F3504F3)), x.type)
    s = b.fdiv(b.fsub(mantissa, k(1.0)), b.fadd(mantissa, k(1.0)))
    square = b.fmul(s, s)
    p = k(2 / 11)
    for coefficient in (2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0):
        p = fma(b, p, square, k(coefficient))
    return fma(b, exponent, k(math.log(2)), b.fmul(p, s))


def log(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Natural logarithm per lane, of denormals too; -infinity at 0, NaN below."""
    k = lambda v: constant(v, x.type)  # noqa: E731
    tiny = b.fcmp_ordered("<", x, k(2.0**-126))
    normal = b.select(tiny, b.fmul(x, k(2.0**24)), x)
    result = _log_of_normal(b, normal, b.select(tiny, k(24.0), k(0.0)))
    edge = b.select(b.fcmp_ordered("==", x, k(0.0)), k(-math.inf), k(math.nan))
    result = b.select(b.fcmp_ordered(">", x, k(0.0)), result, edge)
    return b.select(b.fcmp_ordered("==", x, k(math.inf)), x, result)


def softplus(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """log(1 + e**x) per lane, as max(x, 0) + log(1 + t) with t = e**-|x|."""
    k = lambda v: constant(v, x.type)  # noqa: E731
    t = _exp_below(b, b.fneg(absolute(b, x)))
    u = b.fadd(k(1.0), t)
    # log(u) · t / (u - 1) undoes the rounding of u; where u is 1, t is the result (Goldberg 1991, theorem 4).
    lost = b.fcmp_ordered("==", u, k(1.0))
    rest = b.fdiv(b.fmul(_log_of_normal(b, u), t), b.select(lost, k(1.0), b.fsub(u, k(1.0))))
    return b.fadd(b.select(b.fcmp_ordered("<", x, k(0.0)), k(0.0), x), b.select(lost, t, rest))


def erf(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Error function per lane, 2e-7 off at most.

    Its Taylor series below 0.5; above, Abramowitz & Stegun (1964), formula 7.1.26.
    """
    k = lambda v: constant(v, x.type)  # noqa: E731
    square = b.fmul(x, x)
    p = k(1 / 9360)
    for coefficient in (-1 / 1320, 1 / 216, -1 / 42, 1 / 10, -1 / 3, 1.0):
        p = fma(b, p, square, k(coefficient))
    near = b.fmul(b.fmul(p, x), k(2 / math.sqrt(math.pi)))
    t = b.fdiv(k(1.0), fma(b, absolute(b, x), k(0.3275911), k(1.0)))
    p = k(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p = fma(b, p, t, k(coefficient))
    far = b.fsub(k(1.0), b.fmul(b.fmul(p, t), _exp_of_some(b, _at_least(b, b.fneg(square), k(-87.0)))))
    far = call_intrinsic(b, f"llvm.copysign.{mangled(x.type)}", x.type, [far, x])
    return b.select(b.fcmp_ordered(">", square, k(0.25)), far, near)


def gelu(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """x (1 + erf(x / sqrt(2))) / 2 per lane."""
    half = b.fmul(x, constant(0.5, x.type))
    return fma(b, half, erf(b, b.fmul(x, constant(math.sqrt(0.5), x.type))), half)


def elu(b: ir.IRBuilder, x: ir.Value, alpha: ir.Value) -> ir.Value:
    """x, or alpha (e**x - 1) where x is negative, per lane."""
    grown = b.fmul(alpha, _exp_minus_one(b, _at_least(b, x, constant(-87.0, x.type))))
    return b.select(b.fcmp_ordered("<", x, constant(0.0, x.type)), grown, x)


def absolute(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """|x| per lane."""
    return call_intrinsic(b, f"llvm.fabs.{mangled(x.type)}", x.type, [x])


def _intrinsic(name: str) -> Callable[..., ir.Value]:
    return lambda b, x: call_intrinsic(b, f"llvm.{name}.{mangled(x.type)}", x.type, [x])


def sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """t / (1 + t) with t = e**x per lane: keeps the smallest results, and is 1 long before t would be infinite."""
    t = _exp_below(b, _at_most(b, x, constant(88.0, x.type)))
    return b.fdiv(t, b.fadd(constant(1.0, x.type), t))


def tanh(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Hyperbolic tangent per lane."""
    k = lambda v: constant(v, x.type)  # noqa: E731
    large = b.fsub(
        k(1.0), b.fdiv(k(2.0), b.fadd(k(1.0), _exp_of_some(b, clip(b, b.fadd(x, x), k(-87.0), k(87.0)))))
    )
    # 1 - 2/(1+e^2x) cancels near zero: below 0.25 the odd Taylor series is exact to float32.
    square = b.fmul(x, x)
    p = k(-1382 / 155925)
    for coefficient in (62 / 2835, -17 / 315, 2 / 15, -1 / 3, 1.0):
        p = fma(b, p, square, k(coefficient))
    small = b.fcmp_ordered("<", square, k(0.0625))
    return b.select(small, b.fmul(x, p), large)


def hard_sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """clip(x / 6 + 1/2, 0, 1) per lane."""
    return clip(
        b,
        fma(b, x, constant(1 / 6, x.type), constant(0.5, x.type)),
        constant(0.0, x.type),
        constant(1.0, x.type),
    )


#: Activation → (builder, vector, *parameter vectors) -> vector.
ACTIVATION_IR: dict[str, Callable[..., ir.Value]] = {
    "relu": lambda b, x: _at_least(b, x, constant(0.0, x.type)),
    "leaky_relu": lambda b, x, slope: b.select(
        b.fcmp_ordered("<", x, constant(0.0, x.type)), b.fmul(x, slope), x
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
    "exp": exp,
    "log": log,
    "sqrt": _intrinsic("sqrt"),
    "abs": absolute,
    "floor": _intrinsic("floor"),
    "round": _intrinsic("rint"),
    "reciprocal": lambda b, x: b.fdiv(constant(1.0, x.type), x),
}
