"""Lowering of sine and cosine, shared by both importers."""

from __future__ import annotations

import math

from converters.builder import Act, GraphBuilder, Site, Value
from converters.decompose.elementwise import binary, clip, scalar

#: π in parts whose products with numbers below 2**15 are exact in float32, and the rest.
_PI = (3.140625, 9.670257568359375e-4, math.pi - 3.140625 - 9.670257568359375e-4)
#: Coefficients of r⁰, r², ... in sin(r) / r, up to r¹²; what is left out is below 1e-9 for |r| ≤ π / 2.
_SERIES = [(-1) ** i / math.factorial(2 * i + 1) for i in range(7)]


def sine(b: GraphBuilder, site: Site, x: Act, lead: int = 0, cosine: bool = False) -> Act:
    """sin(x) or cos(x), within 2e-7 for |x| ≤ 1e4; beyond 1e5 digits are lost, as x itself has few behind the point.

    As (-1)ⁿ · sin(r) with x = n·π + r, |r| ≤ π / 2; for the cosine as -(-1)ⁿ · sin(r) with x = (n + 1/2)·π + r.
    """

    def apply(op: str, left: Value, right: float | Value, part: str) -> Act:
        other = scalar(right) if isinstance(right, float) else right
        return binary(b, site.sub(part) if part else site, op, left, other, lead)

    turns = apply("mul", x, 1 / math.pi, "turns")
    whole = b.node("floor" if cosine else "round", site.sub("whole"), [turns.tensor])
    taken = apply("add", whole, 0.5, "middle") if cosine else whole
    rest = x
    for i, part in enumerate(_PI):
        rest = apply("sub", rest, apply("mul", taken, part, f"taken{i}"), f"rest{i}")
    rest = clip(b, site.sub("rest"), rest, -1.6, 1.6)
    square = apply("mul", rest, rest, "square")
    series = apply("mul", square, _SERIES[-1], "series0")
    for i, factor in enumerate(reversed(_SERIES[1:-1])):
        series = apply("mul", apply("add", series, factor, f"sum{i}"), square, f"series{i + 1}")
    half = b.node("floor", site.sub("half"), [apply("mul", whole, 0.5, "halved").tensor])
    odd = apply("sub", whole, apply("mul", half, 2.0, "even"), "odd")
    factor = 2.0 if cosine else -2.0
    sign = apply("add", apply("mul", odd, factor, "step"), -1.0 if cosine else 1.0, "sign")
    signed = apply("mul", rest, sign, "signed")
    return apply("add", signed, apply("mul", signed, series, "curve"), "")
