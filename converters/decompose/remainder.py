"""Lowering of the remainder of a division, shared by both importers."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Value
from converters.decompose.elementwise import binary, choose, negate, scalar, truncate


def remainder(
    b: GraphBuilder,
    site: Site,
    dividend: Value,
    divisor: Value,
    kind: str,
    integer: bool = False,
    lead: int = 0,
) -> Act:
    """Remainder, signed as the divisor (``kind`` "floor") or the dividend ("fmod"); ``integer``: both are integers."""

    def apply(op: str, left: Value, right: Value, part: str) -> Act:
        return binary(b, site.sub(part) if part else site, op, left, right, lead)

    quotient = apply("div", dividend, divisor, "quotient")
    if kind == "fmod":
        whole = truncate(b, site.sub("whole"), quotient, lead)
    else:
        whole = b.node("floor", site.sub("whole"), [quotient.tensor])
    rest = apply("sub", dividend, apply("mul", whole, divisor, "taken"), "" if integer else "rest")
    if integer:
        return rest
    # 0 · infinity is no number; nothing is taken there
    none = apply("equal", whole, scalar(0.0), "none")
    rest = choose(b, site.sub("left"), none, dividend, rest, lead)
    # a quotient just below an integer may have been rounded up to it, one just below 0 to -0
    sign = dividend if kind == "fmod" else divisor
    wrong = apply("less", apply("mul", rest, sign, "sign"), scalar(0.0), "wrong")
    step = divisor
    if kind == "fmod":
        down = apply("less", rest, scalar(0.0), "down")
        step = choose(b, site.sub("step"), down, *_size_and_negative(b, site, divisor), lead)
    return choose(b, site, wrong, apply("add", rest, step, "back"), rest, lead)


def _size_and_negative(b: GraphBuilder, site: Site, x: Value) -> tuple[Value, Value]:
    if isinstance(x, Const):
        return Const(np.abs(x.array)), Const(-np.abs(x.array))
    size = b.node("abs", site.sub("size"), [x.tensor])
    return size, negate(b, site.sub("minus"), size)
