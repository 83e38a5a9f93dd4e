"""ATen operations that make constants of the input's size, and that write into a part of a tensor. No torch import."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose.elementwise import materialize
from converters.decompose.remainder import remainder
from converters.decompose.shapes import BATCH_HINT, axis_of, reshape
from converters.decompose.tensors import expand, gather, join
from converters.torch.call import Call, Rule, operand


def _filled(value: float | None = None) -> Rule:
    """A tensor of one number, in the result's shape; the number is that of the call if ``value`` is None."""

    def rule(c: Call) -> Value:
        number = c.args.get("fill_value", c.args.get("value")) if value is None else value
        if isinstance(number, Const) and number.array.size == 1:
            number = number.array.item()
        if not isinstance(number, bool | int | float):
            raise Unsupported("the number that it fills with must not depend on the input")
        shape = c.out_shape
        if shape == ():
            return Const(np.full((), number, np.float32))
        if shape is None or len(shape) < 2 or shape[0] is not None:
            raise Unsupported(BATCH_HINT)
        one = Const(np.full((1,) * (len(shape) - 1), number, np.float32))
        same = materialize(c.b, c.at("value"), one, len(shape))
        return expand(c.b, c.site, same, [int(d or 0) for d in shape[1:]])

    return rule


def _three(op: str) -> Rule:
    """Rule of addcmul and addcdiv: self + value · tensor1 · tensor2, or a quotient."""

    def rule(c: Call) -> Act:
        joined = c.binary(op, operand(c["tensor1"]), operand(c["tensor2"]), "joined")
        if c["value"] != 1:
            joined = c.binary("mul", joined, operand(c["value"]), "scaled")
        return c.binary("add", operand(c["self"]), joined)

    return rule


def _remainder(kind: str) -> Rule:
    return lambda c: remainder(c.b, c.site, operand(c["self"]), operand(c["other"]), kind)


def _write(c: Call, source: Value, axis: int, places: range) -> Value:
    """The tensor with the elements at ``places`` of an axis replaced by those of ``source``."""
    shape = c.out_shape
    if shape is None:
        raise Unsupported(BATCH_HINT)
    size = int(shape[axis] or 0)
    if list(places) == list(range(size)):
        return source
    order = np.arange(size)
    order[list(places)] = size + np.arange(len(places))
    both = join(c.b, c.at("both"), [operand(c["self"]), source], axis)
    return gather(c.b, c.site, both, axis, order)


def _slice_scatter(c: Call) -> Value:
    shape = c.out_shape or ()
    start, stop, step = c["start"] or 0, c["end"], c["step"]
    stop = 2**63 - 1 if stop is None else stop
    if not all(isinstance(v, int) for v in (start, stop, step)):
        raise Unsupported("the bounds of a slice must be numbers")
    if c["dim"] % len(shape) == 0:
        if start == 0 and stop >= 2**62 and step == 1:
            return operand(c["src"])
        raise Unsupported(BATCH_HINT)
    axis = axis_of(c["dim"], len(shape))
    places = range(*slice(start, stop, step).indices(int(shape[axis] or 0)))
    return _write(c, operand(c["src"]), axis, places)


def _select_scatter(c: Call) -> Value:
    shape, index = c.out_shape or (), c["index"]
    axis = axis_of(c["dim"], len(shape))
    if not isinstance(index, int):
        raise Unsupported("the index must be a number")
    source, sizes = operand(c["src"]), [1 if i == axis else int(d or 1) for i, d in enumerate(shape)]
    if isinstance(source, Const):
        source = Const(np.broadcast_to(np.expand_dims(source.array, axis), [1, *sizes[1:]]))
    else:
        source = reshape(c.b, c.at("source"), source, sizes[1:])
    place = index % int(shape[axis] or 1)
    return _write(c, source, axis, range(place, place + 1))


def _copy(c: Call) -> Value:
    """The source of a write over a whole tensor, broadcast to it."""
    source, shape = operand(c["src"]), c.out_shape
    if isinstance(source, Act) and shape is not None and len(c.b.shapes[source.tensor]) == len(shape):
        return expand(c.b, c.site, source, [int(d or 0) for d in shape[1:]])
    if isinstance(source, Const):
        return c.binary("add", _filled(0.0)(Call(c.b, c.at("room"), c.args, shape)), source)  # type: ignore[arg-type]
    raise Unsupported(BATCH_HINT)


RULES: dict[str, Rule] = {
    **{
        f"{name}.{kind}": _filled(0.0)
        for name in ("zeros_like", "new_zeros", "zeros", "empty_like", "new_empty")
        for kind in ("default",)
    },
    **{f"{name}.{kind}": _filled(1.0) for name in ("ones_like", "new_ones", "ones") for kind in ("default",)},
    **dict.fromkeys(
        ("full_like.default", "new_full.default", "full.default", "fill.Scalar", "fill.Tensor"), _filled()
    ),
    "addcmul.default": _three("mul"),
    "addcdiv.default": _three("div"),
    "remainder.Scalar": _remainder("floor"),
    "remainder.Tensor": _remainder("floor"),
    "fmod.Scalar": _remainder("fmod"),
    "fmod.Tensor": _remainder("fmod"),
    "slice_scatter.default": _slice_scatter,
    "select_scatter.default": _select_scatter,
    "copy.default": _copy,
}
