"""ATen reductions: sums, means, extremes and their places, norms, variances → graph nodes. No torch import."""

from __future__ import annotations

import math

from converters.builder import Act, Unsupported, Value
from converters.decompose.elementwise import negate
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.decompose.tensors import reduce
from converters.torch.call import Call, Rule, operand


def _reduce(kind: str) -> Rule:
    def rule(c: Call) -> Act:
        dtype = c.args.get("dtype")
        if dtype is not None and str(dtype) != "torch.float32":
            raise Unsupported("a reduction in another dtype is not supported")
        keep = bool(c.args.get("keepdim", False))
        return reduce(c.b, c.site, c.x, kind, c.axes(c.args.get("dim")), keep)

    return rule


def _first_and_place(kind: str) -> Rule:
    """Rule of reductions along one axis that give the number and its place."""

    def rule(c: Call) -> list[Value]:
        axis, keep = c.axis(c["dim"]), bool(c["keepdim"])
        x = c.x if kind == "max" else negate(c.b, c.at("negative"), c.x)
        value = reduce(c.b, c.site, c.x, kind, [axis], keep)
        return [value, _place(c, x, axis, keep, "place")]

    return rule


def _place(c: Call, x: Act, axis: int, keep: bool, part: str) -> Act:
    found = c.b.node("argmax", c.at(part if keep else f"{part}kept"), [x.tensor], {"axis": axis})
    sizes = c.sizes
    return found if keep else reshape(c.b, c.at(part), found, sizes[: axis - 1] + sizes[axis:])


def _argmax(sign: float) -> Rule:
    def rule(c: Call) -> Act:
        if c["dim"] is None:
            raise Unsupported(BATCH_HINT)
        x = c.x if sign > 0 else negate(c.b, c.at("negative"), c.x)
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


RULES: dict[str, Rule] = {
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
}
