"""ATen arithmetic → graph nodes: activations, elementwise operations, comparisons, reductions. No torch import."""

from __future__ import annotations

import math

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose import layers
from converters.decompose import operations as lowering
from converters.decompose.tensors import choose, reduce, truncate
from converters.hints import RANDOM
from converters.torch.call import Call, Rule, constant, operand


def _activation(op: str) -> Rule:
    return lambda c: c.unary(op)


def _clip(c: Call) -> Act:
    low = c.args.get("min", c.args.get("min_val"))
    high = c.args.get("max", c.args.get("max_val"))
    if not isinstance(low, Act | Const) and not isinstance(high, Act | Const):
        return lowering.clip(c.b, c.site, c.x, low, high)
    y = c.x
    if low is not None:
        y = c.binary("maximum", y, operand(low), "" if high is None else "low")
    return y if high is None else c.binary("minimum", y, operand(high))


def _prelu(c: Call) -> Act:
    slope = constant(c["weight"], "slopes")
    assert slope is not None
    array = slope.array.reshape(-1)
    if array.size > 1:
        array = array.reshape(-1, *[1] * (c.rank - 2))
    return layers.prelu(c.b, c.site, c.x, Const(array, ""))


def _binary(op: str) -> Rule:
    def rule(c: Call) -> Act:
        left, right = operand(c["self"]), operand(c["other"])
        alpha = c.args.get("alpha", 1)
        if alpha != 1 and isinstance(right, Const):
            right = Const(right.array * np.float32(alpha))
        elif alpha != 1:
            right = lowering.binary(c.b, c.site.sub("alpha"), "mul", right, operand(alpha))
        return lowering.binary(c.b, c.site, op, left, right)

    return rule


def _rsub(c: Call) -> Act:
    scaled: Value = c.x
    if c.args.get("alpha", 1) != 1:
        scaled = c.binary("mul", c.x, operand(c["alpha"]), "alpha")
    return c.binary("sub", operand(c["other"]), scaled)


def _div(c: Call) -> Act:
    if c.args.get("rounding_mode") is None:
        return lowering.divide(c.b, c.site, operand(c["self"]), operand(c["other"]))
    quotient = c.binary("div", operand(c["self"]), operand(c["other"]), "quotient")
    if c["rounding_mode"] == "floor":
        return c.b.node("floor", c.site, [quotient.tensor])
    return truncate(c.b, c.site, quotient)


def _neg(c: Call) -> Act:
    return lowering.binary(c.b, c.site, "mul", c.x, operand(-1.0))


def _reduce(kind: str) -> Rule:
    def rule(c: Call) -> Act:
        dtype = c.args.get("dtype")
        if dtype is not None and str(dtype) != "torch.float32":
            raise Unsupported("a reduction in another dtype is not supported")
        keep = bool(c.args.get("keepdim", False))
        return reduce(c.b, c.site, c.x, kind, c.axes(c.args.get("dim")), keep)

    return rule


def _first_and_place(kind: str) -> Rule:
    """Reductions along one axis that give the number and where it stands."""

    def rule(c: Call) -> list[Value]:
        axis, keep = c.axis(c["dim"]), bool(c["keepdim"])
        x = c.x if kind == "max" else lowering.negate(c.b, c.at("negative"), c.x)
        value = reduce(c.b, c.site, c.x, kind, [axis], keep)
        return [value, _place(c, x, axis, keep, "place")]

    return rule


def _place(c: Call, x: Act, axis: int, keep: bool, part: str) -> Act:
    found = c.b.node("argmax", c.at(part if keep else f"{part}kept"), [x.tensor], {"axis": axis})
    sizes = c.sizes
    return found if keep else lowering.reshape(c.b, c.at(part), found, sizes[: axis - 1] + sizes[axis:])


def _argmax(sign: float) -> Rule:
    def rule(c: Call) -> Act:
        if c["dim"] is None:
            raise Unsupported(lowering.BATCH_HINT)
        x = c.x if sign > 0 else lowering.negate(c.b, c.at("negative"), c.x)
        return _place(c, x, c.axis(c["dim"]), bool(c["keepdim"]), "")

    return rule


def _norm(c: Call) -> Act:
    """The p-norm, for any p above 0."""
    order, axes, keep = c.args.get("ord", c.args.get("p", 2)), c.axes(c["dim"]), bool(c["keepdim"])
    if order == 2:
        squares = c.binary("mul", c.x, c.x, "squares")
        total = reduce(c.b, c.at("sum"), squares, "sum", axes, keep)
        return c.b.node("sqrt", c.site, [total.tensor])
    if not order > 0:
        raise Unsupported(f"the {order}-norm is not supported; only those above 0")
    size = c.b.node("abs", c.at("abs"), [c.x.tensor])
    if order in (1, math.inf):
        return reduce(c.b, c.site, size, "sum" if order == 1 else "max", axes, keep)
    powers = c.binary("pow", size, operand(float(order)), "powers")
    total = reduce(c.b, c.at("sum"), powers, "sum", axes, keep)
    return c.binary("pow", total, operand(1 / order))


def _variance_and_mean(c: Call) -> list[Value]:
    return [_variance(c), reduce(c.b, c.at("mean_of"), c.x, "mean", c.axes(c["dim"]), bool(c["keepdim"]))]


def _variance(c: Call) -> Act:
    axes, keep = c.axes(c["dim"]), bool(c["keepdim"])
    correction = c.args.get("correction")
    correction = (1 if c.args.get("unbiased", True) else 0) if correction is None else correction
    count = math.prod(c.sizes[a - 1] for a in axes)
    centred = c.binary("sub", c.x, reduce(c.b, c.at("mean"), c.x, "mean", axes, True), "centred")
    total = reduce(c.b, c.at("sum"), c.binary("mul", centred, centred, "squares"), "sum", axes, keep)
    return c.binary("mul", total, operand(1 / (count - correction)))


def _rrelu(c: Call) -> Act:
    if c["training"]:
        raise Unsupported(RANDOM)
    return c.unary("leaky_relu", slope=(float(c["lower"]) + float(c["upper"])) / 2)


def _elu(c: Call) -> Act:
    alpha, scale, inner = (
        float(c["alpha"]),
        float(c.args.get("scale", 1)),
        float(c.args.get("input_scale", 1)),
    )
    x = c.x if inner == 1 else c.binary("mul", c.x, operand(inner), "inner")
    y = c.b.node("elu", c.at("" if scale == 1 else "elu"), [x.tensor], {"alpha": alpha})
    if inner != 1:
        raise Unsupported("elu with input_scale is not supported")
    return y if scale == 1 else c.binary("mul", y, operand(scale))


def _selu(c: Call) -> Act:
    y = c.b.node("elu", c.at("elu"), [c.x.tensor], {"alpha": 1.6732632423543772})
    return c.binary("mul", y, operand(1.0507009873554805))


def _celu(c: Call) -> Act:
    alpha = float(c["alpha"])
    scaled = c.binary("mul", c.x, operand(1 / alpha), "scaled")
    y = c.b.node("elu", c.at("elu"), [scaled.tensor], {"alpha": 1.0})
    return c.binary("mul", y, operand(alpha))


def _gelu(c: Call) -> Act:
    if c.args.get("approximate", "none") == "tanh":
        return layers.gelu_tanh(c.b, c.site, c.x)
    return c.unary("gelu")


def _softplus(c: Call) -> Act:
    beta = float(c["beta"])
    if beta == 1:
        return c.unary("softplus")
    scaled = c.binary("mul", c.x, operand(beta), "scaled")
    y = c.b.node("softplus", c.at("softplus"), [scaled.tensor])
    return c.binary("mul", y, operand(1 / beta))


def _log_sigmoid(c: Call) -> Act:
    y = c.b.node("softplus", c.at("softplus"), [lowering.negate(c.b, c.at("negative"), c.x).tensor])
    return lowering.negate(c.b, c.site, y)


def _ceil(c: Call) -> Act:
    below = lowering.negate(c.b, c.at("negative"), c.x)
    return lowering.negate(c.b, c.site, c.b.node("floor", c.at("floor"), [below.tensor]))


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


def _log_softmax(c: Call) -> Act:
    return layers.log_softmax(c.b, c.site, c.x, c.axis(c["dim"]))


def _softmax(c: Call) -> Act:
    return lowering.softmax(c.b, c.site, c.x, c["dim"])


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


def _dropout(c: Call) -> Act:
    if c.args.get("train"):
        raise Unsupported("dropout is active at inference; use nn.Dropout, or pass training=self.training")
    return c.x


_COMPARISONS = {"gt": _compare("greater"), "lt": _compare("less"), "eq": _compare("equal"), "ne": _not_equal}

RULES: dict[str, Rule] = {
    **{
        f"{name}.default": _activation(op)
        for name, op in {
            "relu": "relu",
            "sigmoid": "sigmoid",
            "tanh": "tanh",
            "silu": "silu",
            "hardswish": "hard_swish",
            "hardsigmoid": "hard_sigmoid",
            "erf": "erf",
            "exp": "exp",
            "log": "log",
            "sqrt": "sqrt",
            "abs": "abs",
            "floor": "floor",
            "round": "round",
            "reciprocal": "reciprocal",
        }.items()
    },
    "leaky_relu.default": lambda c: c.unary("leaky_relu", slope=float(c["negative_slope"])),
    "rrelu.default": _rrelu,
    "prelu.default": _prelu,
    "_prelu_kernel.default": _prelu,
    "relu6.default": lambda c: lowering.clip(c.b, c.site, c.x, 0.0, 6.0),
    "hardtanh.default": _clip,
    "clamp.default": _clip,
    "clamp.Tensor": _clip,
    "clamp_min.default": _clip,
    "clamp_max.default": _clip,
    "elu.default": _elu,
    "selu.default": _selu,
    "celu.default": _celu,
    "gelu.default": _gelu,
    "mish.default": lambda c: layers.mish(c.b, c.site, c.x),
    "softplus.default": _softplus,
    "log_sigmoid.default": _log_sigmoid,
    "ceil.default": _ceil,
    "rsqrt.default": _rsqrt,
    "square.default": lambda c: c.binary("mul", c.x, c.x),
    "pow.Tensor_Scalar": _power,
    "pow.Tensor_Tensor": _power,
    "softmax.int": _softmax,
    "_softmax.default": _softmax,
    "log_softmax.int": _log_softmax,
    "_log_softmax.default": _log_softmax,
    **{f"{kind}.default": _reduce(kind) for kind in ("mean", "sum", "max", "min", "prod")},
    "mean.dim": _reduce("mean"),
    "sum.dim_IntList": _reduce("sum"),
    "amax.default": _reduce("max"),
    "amin.default": _reduce("min"),
    "prod.dim_int": _reduce("prod"),
    "max.dim": _first_and_place("max"),
    "min.dim": _first_and_place("min"),
    "argmax.default": _argmax(1.0),
    "argmin.default": _argmax(-1.0),
    "linalg_vector_norm.default": _norm,
    "norm.ScalarOpt_dim": _norm,
    "var.correction": _variance,
    "var.dim": _variance,
    "var_mean.correction": _variance_and_mean,
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
    "dropout.default": _dropout,
    "feature_dropout.default": _dropout,
}
