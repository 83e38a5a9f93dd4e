"""ATen operations → graph nodes, one rule each. No torch import: rules see names, shapes and plain numbers.

The operations are those left by ``torch.export`` and ``run_decompositions({})``: functional, with convolutions,
linear layers, pooling and activations still whole. To support one more operation, add a rule to ``RULES`` under
its name (``str(target)`` without "aten.") and a test; rules read arguments by their ATen schema names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters import lowering
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from sparsenet.graph import Shape


@dataclass(frozen=True)
class Call:
    """One ATen call: arguments by schema name (tensors as Act or Const), shape of the result (batch None)."""

    b: GraphBuilder
    site: Site
    args: dict[str, Any]
    out_shape: Shape | None

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    @property
    def x(self) -> Act:
        """The activation the call works on."""
        value = self.args.get("self", self.args.get("input"))
        if not isinstance(value, Act):
            raise Unsupported("the first operand must depend on the input")
        return value

    def unary(self, op: str, **attrs: Any) -> Act:
        """A node that reads only ``x``."""
        return self.b.node(op, self.site, [self.x.tensor], attrs)


Result = Value | list[Value]
Rule = Callable[[Call], Result]


def _conv2d(c: Call) -> Act:
    weight = c["weight"]
    if c.args.get("transposed"):
        raise Unsupported("transposed convolution is not supported; use resize followed by a convolution")
    if not isinstance(weight, Const) or weight.array.ndim != 4:
        return lowering.conv2d(
            c.b, c.site, c.x, weight, c["bias"], [1], [0], [1], 1
        )  # raises with the reason
    stride, dilation = lowering.pair(c["stride"]), lowering.pair(c["dilation"])
    kernel = list(weight.array.shape[2:])
    if c["padding"] == "same":
        # torch allows "same" only with stride 1, where it depends on the kernel alone; an odd rest goes below.
        padding = lowering.same_padding([1 << 20] * 2, kernel, [1, 1], dilation, upper=True)
    else:
        padding = lowering.pair(0 if c["padding"] == "valid" else c["padding"]) * 2
    return lowering.conv2d(c.b, c.site, c.x, weight, c["bias"], stride, padding, dilation, c["groups"])


def _linear(c: Call) -> Act:
    return _matrix(c, c.x, c["weight"], c["bias"])


def _addmm(c: Call) -> Act:
    x, weight, bias = c["mat1"], c["mat2"], c["self"]
    if not isinstance(x, Act) or not isinstance(weight, Const) or not isinstance(bias, Const):
        raise Unsupported("addmm is supported as a linear layer: input times constant plus constant")
    shape = (weight.array.shape[1],)
    scaled = Const(
        _scaled(np.broadcast_to(bias.array, shape), c["beta"]), bias.name if c["beta"] == 1 else ""
    )
    return _matrix(c, x, Const(_scaled(weight.array.T, c["alpha"])), scaled)


def _mm(c: Call) -> Act:
    weight = c.args.get("mat2", c.args.get("other"))
    if not isinstance(weight, Const) or weight.array.ndim != 2:
        raise Unsupported("matrix products are supported only of the input with a constant matrix")
    return _matrix(c, c.x, Const(weight.array.T), None)


def _matrix(c: Call, x: Act, weight: Value, bias: Value | None) -> Act:
    if not isinstance(weight, Const) or not isinstance(bias, Const | None):
        raise Unsupported("weights of a linear layer must be constants, not computed from the input")
    return lowering.linear(c.b, c.site, x, weight, bias)


def _scaled(array: np.ndarray, factor: float) -> np.ndarray:
    return array if factor == 1 else array * np.float32(factor)


def _batch_norm(c: Call) -> list[Value]:
    if c.args.get("training"):
        raise Unsupported(
            "it normalises with the statistics of the batch; call .eval() or track running statistics"
        )
    names = ("weight", "bias", "running_mean", "running_var")
    return [lowering.batch_norm(c.b, c.site, c.x, [c.args.get(n) for n in names], c["eps"])]


def _activation(op: str) -> Rule:
    return lambda c: c.unary(op)


def _clip(c: Call) -> Act:
    low = c.args.get("min", c.args.get("min_val"))
    high = c.args.get("max", c.args.get("max_val"))
    if isinstance(low, Act | Const) or isinstance(high, Act | Const):
        raise Unsupported("bounds must be numbers, not tensors")
    return lowering.clip(c.b, c.site, c.x, low, high)


def _prelu(c: Call) -> Act:
    slope = c.args.get("weight")
    if not isinstance(slope, Const) or np.unique(slope.array).size != 1:
        raise Unsupported("PReLU is supported with one slope for all channels; use leaky_relu")
    return c.unary("leaky_relu", slope=float(slope.array.flat[0]))


def _binary(op: str) -> Rule:
    def rule(c: Call) -> Act:
        left, right = _operand(c["self"]), _operand(c["other"])
        alpha = c.args.get("alpha", 1)
        if alpha != 1 and isinstance(right, Const):
            right = Const(_scaled(right.array, alpha))
        elif alpha != 1:
            right = lowering.binary(c.b, c.site.sub("alpha"), "mul", right, _operand(alpha))
        return lowering.binary(c.b, c.site, op, left, right)

    return rule


def _rsub(c: Call) -> Act:
    if c.args.get("alpha", 1) != 1:
        raise Unsupported("rsub with alpha is not supported")
    return lowering.binary(c.b, c.site, "sub", _operand(c["other"]), c.x)


def _div(c: Call) -> Act:
    if c.args.get("rounding_mode") is not None:
        raise Unsupported("division with rounding is not supported")
    return lowering.divide(c.b, c.site, c.x, _operand(c["other"]))


def _neg(c: Call) -> Act:
    return lowering.binary(c.b, c.site, "mul", c.x, _operand(-1.0))


def _operand(value: Any) -> Value:
    if isinstance(value, Act | Const):
        return value
    if isinstance(value, int | float):
        return Const(np.full(1, value, np.float32))
    raise Unsupported("arithmetic with the batch size is not supported")


def _max_pool(c: Call) -> list[Value]:
    stride = c["stride"] or c["kernel_size"]
    padding = lowering.pair(c["padding"]) * 2
    return [
        lowering.max_pool(c.b, c.site, c.x, c["kernel_size"], stride, padding, c["dilation"], c["ceil_mode"])
    ]


def _avg_pool(c: Call) -> Act:
    kernel = lowering.pair(c["kernel_size"])
    padding = lowering.pair(c["padding"]) * 2
    if c["divisor_override"] is not None:
        raise Unsupported("divisor_override is not supported; scale the result instead")
    stride = c["stride"] or kernel
    return lowering.avg_pool(
        c.b, c.site, c.x, kernel, stride, padding, c["ceil_mode"], c["count_include_pad"]
    )


def _adaptive_pool(kind: str) -> Rule:
    return lambda c: [lowering.adaptive_pool(c.b, c.site, c.x, lowering.pair(c["output_size"]), kind)]


def _reduce(kind: str) -> Rule:
    def rule(c: Call) -> Act:
        if c.args.get("dtype") is not None:
            raise Unsupported("a reduction in another dtype is not supported")
        return lowering.global_pool(c.b, c.site, c.x, c["dim"], c["keepdim"], kind)

    return rule


def _cat(c: Call) -> Act:
    return lowering.concat(c.b, c.site, c["tensors"], c["dim"])


def _reshape(c: Call) -> Act:
    shape = c.out_shape
    if shape is None or not shape or shape[0] is not None or any(d is None for d in shape[1:]):
        raise Unsupported(lowering.BATCH_HINT)
    return lowering.reshape(c.b, c.site, c.x, [int(d or 0) for d in shape[1:]])


def _permute(c: Call) -> Act:
    return lowering.transpose(c.b, c.site, c.x, c["dims"])


def _transpose(c: Call) -> Act:
    rank = len(c.b.shapes[c.x.tensor])
    first, second = (lowering.axis_of(c[dim], rank) for dim in ("dim0", "dim1"))
    order = list(range(rank))
    order[first], order[second] = second, first
    return lowering.transpose(c.b, c.site, c.x, order)


def _pad(c: Call) -> Act:
    if c.args.get("mode", "constant") != "constant":
        raise Unsupported(f"padding mode '{c['mode']}' is not supported; use zeros or another constant")
    rank = len(c.b.shapes[c.x.tensor])
    before, after = [0] * rank, [0] * rank
    for i, amount in enumerate(list(c["pad"])):  # pairs, from the last dimension forwards
        (after if i % 2 else before)[rank - 1 - i // 2] = amount
    return lowering.pad(c.b, c.site, c.x, before, after, float(c["value"] or 0.0))


def _softmax(c: Call) -> Act:
    return lowering.softmax(c.b, c.site, c.x, c["dim"])


def _upsample(mode: str) -> Rule:
    def rule(c: Call) -> Act:
        if c.out_shape is None:
            raise Unsupported("the output size must not depend on the input")
        have = lowering.image_size(c.b, c.x)
        size = [int(d or 0) for d in c.out_shape[2:]]
        corners = bool(c.args.get("align_corners", False))
        for i, scale in enumerate(_scales(c) if not corners else [None, None]):
            if scale is not None and not math.isclose(have[i] * scale, size[i], abs_tol=1e-9):
                raise Unsupported(
                    f"scale {scale} of {have[i]} rows or columns is not a whole number; give size, or set "
                    "recompute_scale_factor=True"
                )
        return lowering.resize(c.b, c.site, c.x, size, mode, "align_corners" if corners else "half_pixel")

    return rule


def _scales(c: Call) -> list[float | None]:
    if "scale_factors" in c.args:
        return list(c["scale_factors"] or [None, None])
    return [c.args.get("scales_h"), c.args.get("scales_w")]


def _nearest_exact(c: Call) -> Act:
    have = lowering.image_size(c.b, c.x)
    if c.out_shape is None or any(int(d or 0) % h for d, h in zip(c.out_shape[2:], have, strict=True)):
        raise Unsupported("mode 'nearest-exact' is supported for whole scales; use 'nearest'")
    return _upsample("nearest")(c)  # type: ignore[return-value]  # the same pixels then


def _split(c: Call) -> list[Value]:
    axis = lowering.axis_of(c["dim"], len(c.b.shapes[c.x.tensor]))
    total = int(c.b.shapes[c.x.tensor][axis] or 0)
    sizes: Any = c.args.get("split_size", c.args.get("split_sizes"))
    if isinstance(sizes, int):
        sizes = [min(sizes, total - start) for start in range(0, total, sizes)]
    parts: list[Value] = []
    start = 0
    for i, size in enumerate(sizes):
        parts.append(lowering.select(c.b, c.site.sub(str(i)), c.x, axis, start, start + size))
        start += size
    return parts


def _slice(c: Call) -> Act:
    shape = c.b.shapes[c.x.tensor]
    start, stop, step = c["start"] or 0, c["end"], c["step"]
    stop = 2**63 - 1 if stop is None else stop
    if not all(isinstance(v, int) for v in (start, stop, step)):
        raise Unsupported("the bounds of a slice must be numbers")
    if c["dim"] % len(shape) == 0 and start == 0 and stop >= 2**62 and step == 1:
        return c.x
    if step != 1:
        raise Unsupported("slices with a step are not supported")
    return lowering.select(c.b, c.site, c.x, c["dim"], start, stop)


def _cast(c: Call) -> Act:
    dtype = c.args.get("dtype")
    if dtype is not None and str(dtype) != "torch.float32":
        raise Unsupported(f"a cast to {dtype} is not supported; everything is computed in float32")
    return c.x


def _same(c: Call) -> Act:
    return c.x


def _dropout(c: Call) -> Act:
    if c.args.get("train"):
        raise Unsupported("dropout is active at inference; use nn.Dropout, or pass training=self.training")
    return c.x


RULES: dict[str, Rule] = {
    "conv2d.default": _conv2d,
    "conv2d.padding": _conv2d,
    "convolution.default": _conv2d,
    "linear.default": _linear,
    "addmm.default": _addmm,
    "mm.default": _mm,
    "matmul.default": _mm,
    "batch_norm.default": lambda c: _batch_norm(c)[0],
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "relu.default": _activation("relu"),
    "sigmoid.default": _activation("sigmoid"),
    "tanh.default": _activation("tanh"),
    "silu.default": _activation("silu"),
    "hardswish.default": _activation("hard_swish"),
    "hardsigmoid.default": _activation("hard_sigmoid"),
    "leaky_relu.default": lambda c: c.unary("leaky_relu", slope=float(c["negative_slope"])),
    "prelu.default": _prelu,
    "relu6.default": lambda c: lowering.clip(c.b, c.site, c.x, 0.0, 6.0),
    "hardtanh.default": _clip,
    "clamp.default": _clip,
    "clamp_min.default": _clip,
    "clamp_max.default": _clip,
    "max_pool2d.default": lambda c: _max_pool(c)[0],
    "max_pool2d_with_indices.default": _max_pool,
    "avg_pool2d.default": _avg_pool,
    "adaptive_avg_pool2d.default": lambda c: _adaptive_pool("avg")(c)[0],  # type: ignore[index]
    "adaptive_max_pool2d.default": _adaptive_pool("max"),
    "mean.dim": _reduce("avg"),
    "amax.default": _reduce("max"),
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
    "cat.default": _cat,
    "view.default": _reshape,
    "_unsafe_view.default": _reshape,
    "reshape.default": _reshape,
    "flatten.using_ints": _reshape,
    "unflatten.int": _reshape,
    "squeeze.dim": _reshape,
    "squeeze.dims": _reshape,
    "squeeze.default": _reshape,
    "unsqueeze.default": _reshape,
    "permute.default": _permute,
    "transpose.int": _transpose,
    "pad.default": _pad,
    "constant_pad_nd.default": _pad,
    "softmax.int": _softmax,
    "_softmax.default": _softmax,
    "upsample_nearest2d.vec": _upsample("nearest"),
    "upsample_nearest2d.default": _upsample("nearest"),
    "_upsample_nearest_exact2d.vec": _nearest_exact,
    "_upsample_nearest_exact2d.default": _nearest_exact,
    "upsample_bilinear2d.vec": _upsample("bilinear"),
    "upsample_bilinear2d.default": _upsample("bilinear"),
    "split.Tensor": _split,
    "split.sizes": _split,
    "split_with_sizes.default": _split,
    "slice.Tensor": _slice,
    "_to_copy.default": _cast,
    "to.dtype": _cast,
    "to.dtype_layout": _cast,
    "clone.default": _same,
    "contiguous.default": _same,
    "alias.default": _same,
    "detach.default": _same,
    "lift_fresh_copy.default": _same,
    "dropout.default": _dropout,
    "feature_dropout.default": _dropout,
}
