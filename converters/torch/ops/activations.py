"""ATen activations, softmax and dropout → graph nodes. No torch import."""

from __future__ import annotations

from converters.activations import ACTIVATION_NAMES
from converters.builder import Act, Const, Unsupported
from converters.decompose.activations import gelu_tanh, log_softmax, mish, prelu, softmax
from converters.decompose.elementwise import clip, negate
from converters.hints import RANDOM
from converters.torch.call import Call, Rule, constant, operand


def _activation(op: str) -> Rule:
    return lambda c: c.unary(op)


def _clip(c: Call) -> Act:
    low = c.args.get("min", c.args.get("min_val"))
    high = c.args.get("max", c.args.get("max_val"))
    if not isinstance(low, Act | Const) and not isinstance(high, Act | Const):
        return clip(c.b, c.site, c.x, low, high)
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
    return prelu(c.b, c.site, c.x, Const(array, ""))


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
        return gelu_tanh(c.b, c.site, c.x)
    return c.unary("gelu")


def _softplus(c: Call) -> Act:
    beta = float(c["beta"])
    if beta == 1:
        return c.unary("softplus")
    scaled = c.binary("mul", c.x, operand(beta), "scaled")
    y = c.b.node("softplus", c.at("softplus"), [scaled.tensor])
    return c.binary("mul", y, operand(1 / beta))


def _log_sigmoid(c: Call) -> Act:
    y = c.b.node("softplus", c.at("softplus"), [negate(c.b, c.at("negative"), c.x).tensor])
    return negate(c.b, c.site, y)


def _log_softmax(c: Call) -> Act:
    return log_softmax(c.b, c.site, c.x, c.axis(c["dim"]))


def _softmax(c: Call) -> Act:
    return softmax(c.b, c.site, c.x, c["dim"])


def _dropout(c: Call) -> Act:
    if c.args.get("train"):
        raise Unsupported("dropout is active at inference; use nn.Dropout, or pass training=self.training")
    return c.x


RULES: dict[str, Rule] = {
    **{f"{names.aten}.default": _activation(op) for op, names in ACTIVATION_NAMES.items() if names.aten},
    "leaky_relu.default": lambda c: c.unary("leaky_relu", slope=float(c["negative_slope"])),
    "rrelu.default": _rrelu,
    "prelu.default": _prelu,
    "_prelu_kernel.default": _prelu,
    "relu6.default": lambda c: clip(c.b, c.site, c.x, 0.0, 6.0),
    "hardtanh.default": _clip,
    "clamp.default": _clip,
    "clamp.Tensor": _clip,
    "clamp_min.default": _clip,
    "clamp_max.default": _clip,
    "elu.default": _elu,
    "selu.default": _selu,
    "celu.default": _celu,
    "gelu.default": _gelu,
    "mish.default": lambda c: mish(c.b, c.site, c.x),
    "softplus.default": _softplus,
    "log_sigmoid.default": _log_sigmoid,
    "softmax.int": _softmax,
    "_softmax.default": _softmax,
    "log_softmax.int": _log_softmax,
    "_log_softmax.default": _log_softmax,
    "dropout.default": _dropout,
    "feature_dropout.default": _dropout,
}
