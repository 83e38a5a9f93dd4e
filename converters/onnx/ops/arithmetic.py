"""Rules for ONNX arithmetic: activations, elementwise operations, comparisons, casts."""

from __future__ import annotations

import numpy as np

from converters.activations import ACTIVATION_NAMES
from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose.activations import gelu_tanh, mish, prelu
from converters.decompose.elementwise import LARGEST, choose, clip, divide, negate, scalar, truncate
from converters.decompose.remainder import remainder
from converters.decompose.shapes import reshape
from converters.decompose.trigonometry import sine
from converters.onnx.call import Call, Rule, floats_only
from converters.symbolic.sizes import Sizes

#: onnx.TensorProto.DataType: float32, float16, float64, bfloat16; bool; integers of at least 8 bits.
_FLOATS, _BOOL, _INTEGERS = (1, 10, 11, 16), 9, (2, 3, 4, 5, 6, 7, 12, 13)
_SCALAR = scalar


def _activation(op: str) -> Rule:
    return lambda c: c.unary(op)


def _clip(c: Call) -> Act:
    if c.opset < 11:
        return clip(c.b, c.site, c.x, c.attrs.get("min"), c.attrs.get("max"))
    bounds = [c.get(i) for i in (1, 2)]
    if any(isinstance(v, Act | Sizes) for v in bounds):
        return _clip_computed(c)
    low, high = (float(v.array.item()) if isinstance(v, Const) else None for v in bounds)
    if low is not None and high is not None and low > high:
        low = high  # as the operator's specification says: the upper bound wins
    return clip(c.b, c.site, c.x, low, high)


def _clip_computed(c: Call) -> Act:
    """Rule of Clip with computed bounds, which are single numbers: each image has bounds of its own."""
    x = c.x
    for i, op, part in ((1, "maximum", "low" if c.get(2) is not None else ""), (2, "minimum", "")):
        if c.get(i) is None:
            continue
        bound = c.operand(i)
        if isinstance(bound, Act):
            ones = [1] * (len(c.b.shapes[x.tensor]) - 1)
            bound = reshape(c.b, c.at(f"bound{i}"), bound, ones)
        x = c.binary(op, x, bound, part)
    return x


def _extreme(op: str) -> Rule:
    def rule(c: Call) -> Value | Sizes:
        values = [c.operand(i) for i in range(len(c.inputs))]
        numbers = [v for v in values if isinstance(v, Const)]
        if len(values) == 2 and len(numbers) == 1 and numbers[0].array.size == 1:
            x = values[0] if isinstance(values[0], Act) else values[1]
            bound = float(numbers[0].array.item())
            fits = numbers[0].array.ndim <= len(c.shape_of(x)) and not np.isnan(bound)
            if fits and isinstance(x, Act) and bound != (np.inf if op == "maximum" else -np.inf):
                bounds = (bound, None) if op == "maximum" else (None, bound)
                return clip(c.b, c.site, x, *bounds)
        return _chain(c, op)

    return rule


def _chain(c: Call, op: str) -> Value:
    """The inputs joined by an operation, from the first to the last."""
    result = c.operand(0)
    for i in range(1, len(c.inputs)):
        last = i == len(c.inputs) - 1
        result = c.binary(op, result, c.operand(i), "" if last else str(i))
    return result


def _mean(c: Call) -> Value:
    floats_only(c)
    if len(c.inputs) == 1:
        return c.x
    total = c.operand(0)
    for i in range(1, len(c.inputs)):
        total = c.binary("add", total, c.operand(i), f"sum{i}")
    return c.binary("mul", total, _SCALAR(1 / len(c.inputs)))


def _hard_sigmoid(c: Call) -> Act:
    alpha, beta = c.attrs.get("alpha", 0.2), c.attrs.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return c.unary("hard_sigmoid")
    scaled = c.binary("mul", c.x, _SCALAR(alpha), "alpha")
    shifted = c.binary("add", scaled, _SCALAR(beta), "beta")
    return clip(c.b, c.site, shifted, 0.0, 1.0)


def _prelu(c: Call) -> Act:
    slope = c.const(1, "slope")
    assert slope is not None
    if slope.array.ndim > len(c.shape):
        raise Unsupported("its slope has more dimensions than its input")
    return prelu(c.b, c.site, c.x, slope, c.lead)


def _scaled(c: Call, before: float, op: str, after: float, **attrs: float) -> Act:
    """A rule that gives after · op(before · x)."""
    x = c.x if before == 1.0 else c.binary("mul", c.x, _SCALAR(before), "before")
    y = c.b.node(op, c.at("" if after == 1.0 else "inner"), [x.tensor], dict(attrs))
    return y if after == 1.0 else c.binary("mul", y, _SCALAR(after))


def _selu(c: Call) -> Act:
    alpha, gamma = (
        c.attrs.get("alpha", 1.67326319217681884765625),
        c.attrs.get("gamma", 1.05070102214813232421875),
    )
    return _scaled(c, 1.0, "elu", gamma, alpha=alpha)


def _celu(c: Call) -> Act:
    alpha = c.attrs.get("alpha", 1.0)
    return _scaled(c, 1 / alpha, "elu", alpha, alpha=1.0)


def _thresholded_relu(c: Call) -> Act:
    above = c.binary("greater", c.x, _SCALAR(c.attrs.get("alpha", 1.0)), "above")
    return choose(c.b, c.site, above, c.x, _SCALAR(0.0), c.lead)


def _shrink(c: Call) -> Act:
    bias, limit = c.attrs.get("bias", 0.0), c.attrs.get("lambd", 0.5)
    below = c.binary("less", c.x, _SCALAR(-limit), "below")
    above = c.binary("greater", c.x, _SCALAR(limit), "above")
    down = choose(c.b, c.at("down"), above, c.binary("sub", c.x, _SCALAR(bias), "less"), _SCALAR(0.0), c.lead)
    return choose(c.b, c.site, below, c.binary("add", c.x, _SCALAR(bias), "more"), down, c.lead)


def _softsign(c: Call) -> Act:
    size = c.unary_at("abs", "abs")
    return c.binary("div", c.x, c.binary("add", size, _SCALAR(1.0), "size"))


def _tangent(c: Call) -> Act:
    below = sine(c.b, c.at("cos"), c.x, c.lead, cosine=True)
    return c.binary("div", sine(c.b, c.at("sin"), c.x, c.lead), below)


def _swish(c: Call) -> Act:
    alpha = c.attrs.get("alpha", 1.0)
    if alpha == 1.0:
        return c.unary("silu")
    scaled = c.binary("mul", c.x, _SCALAR(alpha), "alpha")
    gate = c.b.node("sigmoid", c.at("gate"), [scaled.tensor])
    return c.binary("mul", c.x, gate)


def _gelu(c: Call) -> Act:
    if c.attrs.get("approximate", "none") == "tanh":
        return gelu_tanh(c.b, c.site, c.x)
    return c.unary("gelu")


def _divide(c: Call) -> Act:
    if c.integer:
        return truncate(c.b, c.site, c.binary("div", c.operand(0), c.operand(1), "quotient"), c.lead)
    return divide(c.b, c.site, c.operand(0), c.operand(1), c.lead)


def _mod(c: Call) -> Act:
    """Rule of Mod: the remainder with the sign of the divisor, or, ``fmod``, of the dividend."""
    kind = "fmod" if c.attrs.get("fmod", 0) else "floor"
    return remainder(c.b, c.site, c.operand(0), c.operand(1), kind, c.integer, c.lead)


def _ceil(c: Call) -> Act:
    below = negate(c.b, c.at("negative"), c.x)
    return negate(c.b, c.site, c.b.node("floor", c.at("floor"), [below.tensor]))


def _sign(c: Call) -> Act:
    above = c.binary("greater", c.x, _SCALAR(0.0), "above")
    return c.binary("sub", above, c.binary("less", c.x, _SCALAR(0.0), "below"))


def _is_nan(c: Call) -> Act:
    return c.binary("equal", c.binary("equal", c.x, c.x, "number"), _SCALAR(0.0))


def _is_inf(c: Call) -> Act:
    """Rule of IsInf: beyond the largest number, of either sign or, by attributes, of one."""
    above, below = c.attrs.get("detect_positive", 1), c.attrs.get("detect_negative", 1)
    if above and below:
        return c.binary("greater", c.unary_at("abs", "abs"), _SCALAR(LARGEST))
    if not above and not below:
        raise Unsupported("it looks for infinity of neither sign", "detect_positive")
    return c.binary("greater" if above else "less", c.x, _SCALAR(LARGEST if above else -LARGEST))


def _binary(op: str) -> Rule:
    return lambda c: c.binary(op, c.operand(0), c.operand(1))


def _or_equal(op: str) -> Rule:
    def rule(c: Call) -> Act:
        strictly = c.binary(op, c.operand(0), c.operand(1), "strictly")
        return c.binary("maximum", strictly, c.binary("equal", c.operand(0), c.operand(1), "equal"))

    return rule


def _not(c: Call) -> Act:
    return c.binary("equal", c.x, _SCALAR(0.0))


def _xor(c: Call) -> Act:
    difference = c.binary("sub", c.operand(0), c.operand(1), "difference")
    return c.binary("mul", difference, difference)


def _power(c: Call) -> Act:
    exponent = c.operand(1)
    if isinstance(exponent, Const) and exponent.array.size == 1 and isinstance(c.get(0), Act):
        value = float(exponent.array.item())
        if exponent.array.ndim <= len(c.shape) and value in (2.0, 0.5, 1.0, -1.0):
            if value == 2.0:
                return c.binary("mul", c.x, c.x)
            return c.x if value == 1.0 else c.unary("sqrt" if value == 0.5 else "reciprocal")
    return c.binary("pow", c.operand(0), exponent)


def _where(c: Call) -> Act:
    return choose(c.b, c.site, c.operand(0), c.operand(1), c.operand(2), c.lead)


def _cast(c: Call) -> Act:
    kind = c.attrs.get("to")
    if kind in _FLOATS or (kind in _INTEGERS and c.integer):
        return c.x
    if kind == _BOOL:
        return c.binary("equal", c.binary("equal", c.x, _SCALAR(0.0), "zero"), _SCALAR(0.0))
    if kind in _INTEGERS:
        return truncate(c.b, c.site, c.x, c.lead)
    raise Unsupported(
        "casts are supported to floats of 16 to 64 bits, bool and integers of 8 bits or more", "to"
    )


def _same(c: Call) -> Act:
    return c.x


def _dropout(c: Call) -> Act | list[Act]:
    """Rule of Dropout: the identity, and the mask of what is kept: everything."""
    ratio, training = c.const(1, "ratio"), c.const(2, "training mode")
    drops = ratio is None or ratio.array.any()
    if drops and training is not None and training.array.any():
        raise Unsupported("dropout is active; export the model in evaluation mode", "training_mode")
    if len(c.outputs) < 2 or not c.outputs[1]:
        return c.x
    mask = Site(f"{c.site.name}.mask", c.outputs[1])
    return [c.x, choose(c.b, mask, _SCALAR(0.0), c.x, _SCALAR(1.0), c.lead)]


RULES: dict[str, Rule] = {
    **{names.onnx: _activation(op) for op, names in ACTIVATION_NAMES.items() if names.onnx},
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda c: c.unary("leaky_relu", slope=c.attrs.get("alpha", 0.01)),
    "PRelu": _prelu,
    "Elu": lambda c: c.unary("elu", alpha=c.attrs.get("alpha", 1.0)),
    "Selu": _selu,
    "Celu": _celu,
    "ThresholdedRelu": _thresholded_relu,
    "Shrink": _shrink,
    "Softsign": _softsign,
    "Swish": _swish,
    "Gelu": _gelu,
    "Mish": lambda c: mish(c.b, c.site, c.x),
    "Clip": _clip,
    "Max": _extreme("maximum"),
    "Min": _extreme("minimum"),
    "Add": _binary("add"),
    "Sub": _binary("sub"),
    "Mul": _binary("mul"),
    "Div": _divide,
    "Mod": _mod,
    "Pow": _power,
    "IsNaN": _is_nan,
    "IsInf": _is_inf,
    "Neg": lambda c: negate(c.b, c.site, c.x),
    "Ceil": _ceil,
    "Sign": _sign,
    "Sin": lambda c: sine(c.b, c.site, c.x, c.lead),
    "Cos": lambda c: sine(c.b, c.site, c.x, c.lead, cosine=True),
    "Tan": _tangent,
    "Sum": lambda c: _chain(c, "add"),
    "Mean": _mean,
    "Equal": _binary("equal"),
    "Greater": _binary("greater"),
    "Less": _binary("less"),
    "GreaterOrEqual": _or_equal("greater"),
    "LessOrEqual": _or_equal("less"),
    "And": _binary("mul"),
    "Or": _binary("maximum"),
    "Xor": _xor,
    "Not": _not,
    "Where": _where,
    "Cast": _cast,
    "CastLike": lambda c: c.operand(0),
    "Identity": _same,
    "Dropout": _dropout,
}
