"""Rules for ONNX operations along axes: reductions, softmax, the largest number's place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converters.builder import Act, Const
from converters.decompose.activations import log_softmax
from converters.decompose.elementwise import binary, negate
from converters.decompose.shapes import reshape
from converters.decompose.tensors import cumulative_sum, reduce
from converters.onnx.call import Call, Rule, floats_only


def _flat(c: Call, axis: int) -> tuple[Act, list[int]]:
    """``x`` with everything from the graph's ``axis`` on as one dimension, as softmax took it before opset 13."""
    sizes = c.sizes
    joined = [*sizes[: axis - 1], int(np.prod(sizes[axis - 1 :]))]
    return reshape(c.b, c.at("flat"), c.x, joined), sizes


def _over_axis(make: Callable[[Call, Act, int, str], Act]) -> Rule:
    """An operation along one axis; before opset 13 everything from it on was one dimension."""

    def rule(c: Call) -> Act:
        axis = c.axis(c.attrs.get("axis", -1 if c.opset >= 13 else 1))
        if c.opset >= 13 or all(d == 1 for d in c.sizes[axis:]):
            return make(c, c.x, axis, "")
        flat, sizes = _flat(c, axis)
        return reshape(c.b, c.site, make(c, flat, axis, "along"), sizes)

    return rule


def _softmax(c: Call, x: Act, axis: int, part: str) -> Act:
    return c.b.node("softmax", c.at(part), [x.tensor], {"axis": axis})


def _log_softmax(c: Call, x: Act, axis: int, part: str) -> Act:
    return log_softmax(c.b, c.at(part), x, axis)


def _hardmax(c: Call, x: Act, axis: int, part: str) -> Act:
    """Rule of Hardmax: 1 at the first place of the largest number, else 0."""
    shape = c.b.shapes[x.tensor]
    size = int(shape[axis] or 0)
    best = c.b.node("argmax", c.at("best"), [x.tensor], {"axis": axis})
    places = Const(np.arange(size, dtype=np.float32).reshape(size, *[1] * (len(shape) - axis - 1)))
    return binary(c.b, c.at(part), "equal", best, places)


def _argmax(sign: float) -> Rule:
    def rule(c: Call) -> Act:
        axis, keep = c.axis(c.attrs.get("axis", 0)), c.attrs.get("keepdims", 1)
        x = c.x if sign > 0 else negate(c.b, c.at("negative"), c.x)
        attrs = {"axis": axis, "last": bool(c.attrs.get("select_last_index", 0))}
        found = c.b.node("argmax", c.at("" if keep else "kept"), [x.tensor], attrs)
        sizes = c.sizes
        return found if keep else reshape(c.b, c.site, found, sizes[: axis - 1] + sizes[axis:])

    return rule


def _axes(c: Call, since: int) -> list[int]:
    """Axes to reduce, as the graph counts them; none given means every one, unless the operator says "none"."""
    axes = c.numbers(1, "axes", since, "axes")
    if not axes and c.attrs.get("noop_with_empty_axes", 0):
        return []
    return sorted({c.axis(a) for a in (axes or range(len(c.shape)))})


def _reduce(kind: str, before: str = "", after: str = "", since: int = 18) -> Rule:
    """A reduction; ``before`` and ``after`` are what is done to each number first and to the result last.

    ``since``: the opset from which on axes are an input.
    """

    def rule(c: Call) -> Act:
        if kind == "mean":
            floats_only(c)
        chosen, keep, x = _axes(c, since), bool(c.attrs.get("keepdims", 1)), c.x
        if before == "square":
            x = c.binary("mul", x, x, "squares")
        elif before:
            x = c.unary_at(before, before)
        if not chosen and not before and not after:
            return x
        result = reduce(c.b, c.at("reduced" if after else ""), x, kind, chosen, keep)
        return c.b.node(after, c.site, [result.tensor]) if after else result

    return rule


def _reduce_log_sum_exp(c: Call) -> Act:
    """Logarithm of a sum of exponentials; the largest number is subtracted first, so that nothing overflows."""
    chosen, keep = _axes(c, 18), bool(c.attrs.get("keepdims", 1))
    if not chosen:
        return c.x
    largest = reduce(c.b, c.at("largest"), c.x, "max", chosen, True)
    centred = binary(c.b, c.at("centred"), "sub", c.x, largest)
    powers = c.b.node("exp", c.at("exp"), [centred.tensor])
    total = c.b.node("log", c.at("log"), [reduce(c.b, c.at("sum"), powers, "sum", chosen, True).tensor])
    if keep:
        return binary(c.b, c.site, "add", total, largest)
    summed = binary(c.b, c.at("kept"), "add", total, largest)
    sizes = [d for i, d in enumerate(c.sizes, 1) if i not in chosen]
    return reshape(c.b, c.site, summed, sizes)


def _cumulative_sum(c: Call) -> Act:
    number = c.const(1, "axis")
    assert number is not None
    axis = c.axis(int(number.array.item()))
    exclusive, reverse = (bool(c.attrs.get(word, 0)) for word in ("exclusive", "reverse"))
    return cumulative_sum(c.b, c.site, c.x, axis, exclusive=exclusive, reverse=reverse)


RULES: dict[str, Rule] = {
    "CumSum": _cumulative_sum,
    "Softmax": _over_axis(_softmax),
    "LogSoftmax": _over_axis(_log_softmax),
    "Hardmax": _over_axis(_hardmax),
    "ArgMax": _argmax(1.0),
    "ArgMin": _argmax(-1.0),
    "ReduceMean": _reduce("mean"),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"),
    "ReduceSum": _reduce("sum", since=13),
    "ReduceL1": _reduce("sum", before="abs"),
    "ReduceL2": _reduce("sum", before="square", after="sqrt"),
    "ReduceSumSquare": _reduce("sum", before="square"),
    "ReduceLogSum": _reduce("sum", after="log"),
    "ReduceLogSumExp": _reduce_log_sum_exp,
}
