"""ATen arithmetic, comparisons, choices and casts → graph nodes. No torch import."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose.elementwise import binary, choose, divide, negate, truncate
from converters.torch.call import Call, Rule, operand


def _binary(op: str) -> Rule:
    def rule(c: Call) -> Act:
        left, right = operand(c["self"]), operand(c["other"])
        alpha = c.args.get("alpha", 1)
        if alpha != 1 and isinstance(right, Const):
            right = Const(right.array * np.float32(alpha))
        elif alpha != 1:
            right = binary(c.b, c.site.sub("alpha"), "mul", right, operand(alpha))
        return binary(c.b, c.site, op, left, right)

    return rule


def _rsub(c: Call) -> Act:
    scaled: Value = c.x
    if c.args.get("alpha", 1) != 1:
        scaled = c.binary("mul", c.x, operand(c["alpha"]), "alpha")
    return c.binary("sub", operand(c["other"]), scaled)


def _div(c: Call) -> Act:
    if c.args.get("rounding_mode") is None:
        return divide(c.b, c.site, operand(c["self"]), operand(c["other"]))
    quotient = c.binary("div", operand(c["self"]), operand(c["other"]), "quotient")
    if c["rounding_mode"] == "floor":
        return c.b.node("floor", c.site, [quotient.tensor])
    return truncate(c.b, c.site, quotient)


def _neg(c: Call) -> Act:
    return binary(c.b, c.site, "mul", c.x, operand(-1.0))


def _ceil(c: Call) -> Act:
    below = negate(c.b, c.at("negative"), c.x)
    return negate(c.b, c.site, c.b.node("floor", c.at("floor"), [below.tensor]))


def _rsqrt(c: Call) -> Act:
    root = c.b.node("sqrt", c.at("root"), [c.x.tensor])
    return c.b.node("reciprocal", c.site, [root.tensor])


def _power(c: Call) -> Act:
    exponent = c["exponent"]
    if exponent == 2:
        return c.binary("mul", c.x, c.x)
    if exponent in (0.5, -1, 1):
        return c.x if exponent == 1 else c.unary("sqrt" if exponent == 0.5 else "reciprocal")
    return c.binary("pow", operand(c["self"]), operand(exponent))


def _compare(op: str) -> Rule:
    return lambda c: c.binary(op, operand(c["self"]), operand(c["other"]))


def _or_equal(op: str) -> Rule:
    def rule(c: Call) -> Act:
        pair = operand(c["self"]), operand(c["other"])
        return c.binary("maximum", c.binary(op, *pair, "strictly"), c.binary("equal", *pair, "equal"))

    return rule


def _unequal(c: Call, left: Value, right: Value) -> Act:
    return c.binary("equal", c.binary("equal", left, right, "same"), operand(0.0))


def _not_equal(c: Call) -> Act:
    return _unequal(c, operand(c["self"]), operand(c["other"]))


def _where(c: Call) -> Act:
    return choose(c.b, c.site, operand(c["condition"]), operand(c["self"]), operand(c["other"]))


def _masked_fill(c: Call) -> Act:
    return choose(c.b, c.site, operand(c["mask"]), operand(c["value"]), operand(c["self"]))


def _cast(c: Call) -> Act:
    dtype = c["result_dtype"]
    if dtype == "torch.float32":
        return c.x
    if dtype in ("torch.int64", "torch.int32"):
        return truncate(c.b, c.site, c.x)
    if dtype == "torch.bool":
        return _unequal(c, c.x, operand(0.0))
    raise Unsupported(f"a cast to {dtype} is not supported; everything is computed in float32")


def _same(c: Call) -> Act:
    return c.x


_COMPARISONS = {"gt": _compare("greater"), "lt": _compare("less"), "eq": _compare("equal"), "ne": _not_equal}

RULES: dict[str, Rule] = {
    "ceil.default": _ceil,
    "rsqrt.default": _rsqrt,
    "square.default": lambda c: c.binary("mul", c.x, c.x),
    "pow.Tensor_Scalar": _power,
    "pow.Tensor_Tensor": _power,
    "maximum.default": _compare("maximum"),
    "minimum.default": _compare("minimum"),
    **{f"{name}.{kind}": rule for name, rule in _COMPARISONS.items() for kind in ("Scalar", "Tensor")},
    **{f"ge.{kind}": _or_equal("greater") for kind in ("Scalar", "Tensor")},
    **{f"le.{kind}": _or_equal("less") for kind in ("Scalar", "Tensor")},
    **dict.fromkeys(("masked_fill.Scalar", "masked_fill.Tensor"), _masked_fill),
    "where.self": _where,
    "where.ScalarSelf": _where,
    "where.ScalarOther": _where,
    "where.Scalar": _where,
    "add.Tensor": _binary("add"),
    "add.Scalar": _binary("add"),
    "sub.Tensor": _binary("sub"),
    "sub.Scalar": _binary("sub"),
    "rsub.Scalar": _rsub,
    "rsub.Tensor": _rsub,
    "mul.Tensor": _binary("mul"),
    "mul.Scalar": _binary("mul"),
    "div.Tensor": _div,
    "div.Scalar": _div,
    "div.Tensor_mode": _div,
    "neg.default": _neg,
    "_to_copy.default": _cast,
    "to.dtype": _cast,
    "type_as.default": _cast,
    "to.dtype_layout": _cast,
    "clone.default": _same,
    "contiguous.default": _same,
    "alias.default": _same,
    "detach.default": _same,
    "lift_fresh_copy.default": _same,
}
