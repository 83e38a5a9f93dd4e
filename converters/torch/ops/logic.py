"""ATen logic, signs, and sums up to each element → graph nodes. No torch import.

Truth values are the numbers 0 and 1.
"""

from __future__ import annotations

import math

from converters.builder import Act, Unsupported, Value
from converters.decompose.elementwise import LARGEST, truncate
from converters.decompose.tensors import cumulative_sum, reduce
from converters.decompose.trigonometry import sine
from converters.torch.call import Call, Rule, operand


def _truth(c: Call, name: str) -> Value:
    """An operand as 0 or 1: whether it is anything but 0."""
    value = operand(c[name])
    if name in c["logical"]:
        return value
    zero = c.binary("equal", value, operand(0.0), f"{name}_zero")
    return c.binary("equal", zero, operand(0.0), f"{name}_truth")


def _both(op: str) -> Rule:
    return lambda c: c.binary(op, _truth(c, "self"), _truth(c, "other"))


def _xor(c: Call) -> Act:
    difference = c.binary("sub", _truth(c, "self"), _truth(c, "other"), "difference")
    return c.binary("mul", difference, difference)


def _not(c: Call) -> Act:
    return c.binary("equal", c.x, operand(0.0))


def _of_truths(rule: Rule) -> Rule:
    """Rules of bitwise operations on truth values; those of integers have no counterpart."""

    def checked(c: Call) -> Value:
        if c["result_dtype"] != "torch.bool":
            raise Unsupported("bits of integers are not supported, only truth values")
        result = rule(c)
        assert isinstance(result, Act)
        return result

    return checked


def _over(kind: str) -> Rule:
    """Rule of whether any, or every, element along some axes is not 0."""

    def rule(c: Call) -> Act:
        value = _truth(c, "self")
        assert isinstance(value, Act)
        keep = bool(c.args.get("keepdim", False))
        return reduce(c.b, c.site, value, kind, c.axes(c.args.get("dim")), keep)

    return rule


def _sign(c: Call) -> Act:
    above = c.binary("greater", c.x, operand(0.0), "above")
    return c.binary("sub", above, c.binary("less", c.x, operand(0.0), "below"))


def _is_nan(c: Call) -> Act:
    return c.binary("equal", c.binary("equal", c.x, c.x, "number"), operand(0.0))


def _is_inf(c: Call) -> Act:
    return c.binary("greater", c.b.node("abs", c.at("abs"), [c.x.tensor]), operand(LARGEST))


def _logarithm(base: float) -> Rule:
    return lambda c: c.binary("mul", c.b.node("log", c.at("log"), [c.x.tensor]), operand(1 / math.log(base)))


def _exp2(c: Call) -> Act:
    return c.b.node("exp", c.site, [c.binary("mul", c.x, operand(math.log(2)), "scaled").tensor])


def _cumulative_sum(c: Call) -> Act:
    return cumulative_sum(c.b, c.site, c.x, c.axis(c["dim"]))


def _truncated(c: Call) -> Act:
    return truncate(c.b, c.site, c.x)


def _tangent(c: Call) -> Act:
    return c.binary("div", sine(c.b, c.at("sin"), c.x), sine(c.b, c.at("cos"), c.x, cosine=True))


_LOGIC: dict[str, Rule] = {
    "and": _both("mul"),
    "or": _both("maximum"),
    "xor": _xor,
}
RULES: dict[str, Rule] = {
    **{f"logical_{name}.default": rule for name, rule in _LOGIC.items()},
    **{
        f"bitwise_{name}.{kind}": _of_truths(rule)
        for name, rule in _LOGIC.items()
        for kind in ("Tensor", "Scalar")
    },
    "logical_not.default": _not,
    "bitwise_not.default": _of_truths(_not),
    **dict.fromkeys(("any.default", "any.dim", "any.dims"), _over("max")),
    **dict.fromkeys(("all.default", "all.dim", "all.dims"), _over("min")),
    "sign.default": _sign,
    "isnan.default": _is_nan,
    "isinf.default": _is_inf,
    "trunc.default": _truncated,
    "log2.default": _logarithm(2),
    "log10.default": _logarithm(10),
    "exp2.default": _exp2,
    "cumsum.default": _cumulative_sum,
    "sin.default": lambda c: sine(c.b, c.site, c.x),
    "cos.default": lambda c: sine(c.b, c.site, c.x, cosine=True),
    "tan.default": _tangent,
}
