"""ATen layers → graph nodes: convolution, pooling, matrix products, normalization, resizing. No torch import."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose.attention import Mask, attention, repeated_heads, window
from converters.decompose.conv_transpose import conv_transpose
from converters.decompose.convolution import conv2d, linear, linear_last_axis, same_padding
from converters.decompose.elementwise import divide
from converters.decompose.normalization import batch_norm, group_norm, normalize
from converters.decompose.pooling import adaptive_pool, avg_pool, window_sum
from converters.decompose.resampling import Axis, Resampling
from converters.decompose.shapes import BATCH_HINT, depth_to_space, image_size, pair, reshape, space_to_depth
from converters.decompose.tensors import resample_axis, resize
from converters.decompose.window import PIXEL, Window
from converters.torch.call import Call, Rule, constant, operand
from converters.torch.ops.windows import max_pool_with_places


def _conv2d(c: Call) -> Act:
    weight = c["weight"]
    if c.args.get("transposed"):
        return _conv_transpose(c)
    if not isinstance(weight, Const) or weight.array.ndim != 4:
        return conv2d(c.b, c.site, c.x, weight, c["bias"], PIXEL, 1)  # raises with the reason
    stride, dilation = pair(c["stride"]), pair(c["dilation"])
    kernel = list(weight.array.shape[2:])
    if c["padding"] == "same":
        # torch allows "same" only with stride 1, where it depends on the kernel alone; an odd rest goes below.
        padding = same_padding([1 << 20] * 2, kernel, [1, 1], dilation, upper=True)
    else:
        padding = pair(0 if c["padding"] == "valid" else c["padding"]) * 2
    seen = Window(kernel, stride, padding, dilation)
    return conv2d(c.b, c.site, c.x, weight, c["bias"], seen, c["groups"])


def _conv_transpose(c: Call) -> Act:
    weight, bias = constant(c["weight"], "weights"), constant(c["bias"], "weights")
    kernel = () if weight is None else weight.array.shape[2:]
    seen = Window(kernel, pair(c["stride"]), pair(c["padding"]) * 2, pair(c["dilation"]))
    return conv_transpose(c.b, c.site, c.x, weight, bias, seen, c["groups"], pair(c["output_padding"]))


def _one_dimensional(rule: Callable[[Call], Act]) -> Rule:
    """Extend a rule for images to (N, C, L): that is an image of one row."""

    def wrapped(c: Call) -> Act:
        channels, length = c.sizes
        image = reshape(c.b, c.at("image"), c.x, [channels, 1, length])
        args: dict[str, Any] = dict(c.args)
        args["self" if "self" in args else "input"] = image
        for name, filler in _WINDOW.items():
            value = args.get(name)
            if isinstance(value, list) and len(value) == 1:
                args[name] = [filler, *value]
            elif isinstance(value, int) and name != "groups":
                args[name] = [filler, value]
        weight = args.get("weight")
        if isinstance(weight, Const):
            args["weight"] = Const(np.expand_dims(weight.array, 2), weight.name)
        made = rule(Call(c.b, c.site.sub("flat"), args, None))
        channels, _, length = (int(d or 0) for d in c.b.shapes[made.tensor][1:])
        return reshape(c.b, c.site, made, [channels, length])

    return wrapped


#: Arguments with one number per spatial dimension, and what a dimension of size 1 needs there.
_WINDOW = {"stride": 1, "padding": 0, "dilation": 1, "kernel_size": 1, "output_padding": 0, "output_size": 1}


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


def _baddbmm(c: Call) -> Act:
    """Rule of baddbmm: beta · self + alpha · batch1 · batch2."""
    product = c.binary("matmul", operand(c["batch1"]), operand(c["batch2"]), "product")
    if c["alpha"] != 1:
        product = c.binary("mul", product, operand(c["alpha"]), "alpha")
    added = operand(c["self"])
    return c.binary(
        "add", product, added if c["beta"] == 1 else c.binary("mul", added, operand(c["beta"]), "beta")
    )


def _mm(c: Call) -> Act:
    left, right = c["self"], c.args.get("mat2", c.args.get("other"))
    if isinstance(right, Const) and right.array.ndim == 2 and isinstance(left, Act):
        return _matrix(c, left, Const(right.array.T), None)
    if isinstance(right, Const) and right.array.ndim == 1 and isinstance(left, Act) and c.out_shape:
        column = c.binary("matmul", left, Const(right.array[:, None]), "column")
        return reshape(c.b, c.site, column, [int(d or 0) for d in c.out_shape[1:]])
    return c.binary("matmul", operand(left), operand(right))


def _matrix(c: Call, x: Act, weight: Value, bias: Value | None) -> Act:
    if not isinstance(weight, Const) or not isinstance(bias, Const | None):
        raise Unsupported("weights of a linear layer must be constants, not computed from the input")
    if len(c.b.shapes[x.tensor]) > 2:
        return linear_last_axis(c.b, c.site, x, weight, bias)
    return linear(c.b, c.site, x, weight, bias)


def _scaled(array: np.ndarray, factor: float) -> np.ndarray:
    return array if factor == 1 else array * np.float32(factor)


def _batch_norm(c: Call) -> list[Value]:
    if c.args.get("training"):
        raise Unsupported(
            "it normalises with the statistics of the batch; call .eval() or track running statistics"
        )
    names = ("weight", "bias", "running_mean", "running_var")
    parameters = [c.args.get(n) for n in names]
    return [batch_norm(c.b, c.site, c.x, parameters, c["eps"], c.args.get("lead", 0))]


def _avg_pool(c: Call) -> Act:
    kernel = pair(c["kernel_size"])
    seen = Window(kernel, pair(c["stride"] or kernel), pair(c["padding"]) * 2, [1, 1])
    if c.args.get("divisor_override") is not None:
        if c["ceil_mode"]:
            raise Unsupported("divisor_override is not supported with ceil_mode; scale the result instead")
        total = window_sum(c.b, c.at("sum"), c.x, seen)
        return divide(c.b, c.site, total, operand(c["divisor_override"]))
    return avg_pool(c.b, c.site, c.x, seen, c["ceil_mode"], c["count_include_pad"])


def _adaptive_average(c: Call) -> Act:
    have = image_size(c.b, c.x)
    want = [h if s is None else int(s) for s, h in zip(pair(c["output_size"]), have, strict=True)]
    if not any(h % w for h, w in zip(have, want, strict=True)):
        return adaptive_pool(c.b, c.site, c.x, want, "avg")
    averages = [_window_averages(h, w) for h, w in zip(have, want, strict=True)]
    rows = c.binary("matmul", Const(averages[0]), c.x, "rows")
    return c.binary("matmul", rows, Const(averages[1].T))


def _window_averages(size: int, out: int) -> np.ndarray:
    """Matrix (out, size): output i averages inputs floor(i · size / out) up to ceil((i + 1) · size / out)."""
    matrix = np.zeros((out, size))
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def _adaptive_max(c: Call) -> list[Value]:
    size = [None if s is None else int(s) for s in pair(c["output_size"])]
    return [adaptive_pool(c.b, c.site, c.x, size, "max")]


def _group_norm(c: Call) -> Act:
    scale, shift = constant(c["weight"], "parameters"), constant(c["bias"], "parameters")
    return group_norm(c.b, c.site, c.x, c["num_groups"], scale, shift, c["eps"])


def _instance_norm(c: Call) -> Act:
    if not c.args.get("use_input_stats", True):
        names = ("weight", "bias", "running_mean", "running_var")
        return batch_norm(c.b, c.site, c.x, [c.args.get(n) for n in names], c["eps"])
    scale, shift = constant(c["weight"], "parameters"), constant(c["bias"], "parameters")
    return group_norm(c.b, c.site, c.x, c.sizes[0], scale, shift, c["eps"])


def _layer_norm(c: Call) -> Act:
    axis = c.rank - len(c["normalized_shape"])
    if axis < 1:
        raise Unsupported(BATCH_HINT)
    parts = [p for p in (("mul", c.args.get("weight")), ("add", c.args.get("bias"))) if p[1] is not None]
    y = normalize(c.b, c.at("normalized" if parts else ""), c.x, axis, c["eps"])
    for i, (op, value) in enumerate(parts):
        y = c.binary(op, y, operand(value), "" if i == len(parts) - 1 else "scaled")
    return y


def _upsample_cubic(c: Call) -> Act:
    if c.out_shape is None:
        raise Unsupported("the output size must not depend on the input")
    size = [int(d or 0) for d in c.out_shape[2:]]
    corners = c["align_corners"]
    rule = Resampling("cubic", "align_corners" if corners else "half_pixel")
    return _resample(c, size, [None, None] if corners else _scales(c), rule)


def _antialiased(mode: str) -> Rule:
    """Resizing as PIL does it: the filter is as wide as an output pixel, and pixels outside the image are left out."""

    def rule(c: Call) -> Act:
        if c.out_shape is None:
            raise Unsupported("the output size must not depend on the input")
        size = [int(d or 0) for d in c.out_shape[2:]]
        corners = c["align_corners"]
        how = Resampling(
            mode,
            "align_corners" if corners else "half_pixel",
            cubic_a=-0.5,
            antialias=True,
            exclude_outside=True,
        )
        return _resample(c, size, [None, None] if corners else _scales(c), how)

    return rule


def _upsample(mode: str) -> Rule:
    def rule(c: Call) -> Act:
        if c.out_shape is None:
            raise Unsupported("the output size must not depend on the input")
        have = image_size(c.b, c.x)
        size = [int(d or 0) for d in c.out_shape[2:]]
        corners = bool(c.args.get("align_corners", False))
        scales: list[float | None] = [None, None] if corners else _scales(c)
        sides = zip(have, scales, size, strict=True)
        whole = all(f is None or math.isclose(h * f, s, abs_tol=1e-9) for h, f, s in sides)
        if not whole:
            how = Resampling("nearest", "asymmetric", "floor") if mode == "nearest" else Resampling("linear")
            return _resample(c, size, scales, how)
        return resize(c.b, c.site, c.x, size, mode, "align_corners" if corners else "half_pixel")

    return rule


def _resample(c: Call, size: list[int], scales: list[float | None], rule: Resampling) -> Act:
    """Resample rows, then columns; a scale that was given counts, even if the size is not exactly that much larger."""
    x = c.x
    for i, have in enumerate(image_size(c.b, c.x)):
        axis = Axis(have, size[i], scales[i] or size[i] / have)
        x = resample_axis(c.b, c.at("rows" if i == 0 else ""), x, 2 + i, axis, rule)
    return x


def _scales(c: Call) -> list[float | None]:
    if "scale_factors" in c.args:
        return list(c["scale_factors"] or [None, None])
    return [c.args.get("scales_h"), c.args.get("scales_w")]


def _nearest_exact(c: Call) -> Act:
    if c.out_shape is None:
        raise Unsupported("the output size must not depend on the input")
    size = [int(d or 0) for d in c.out_shape[2:]]
    if not any(d % h for d, h in zip(size, image_size(c.b, c.x), strict=True)):
        return _upsample("nearest")(c)  # type: ignore[return-value]  # the same pixels then
    return _resample(c, size, _scales(c), Resampling("nearest", "half_pixel", "round_prefer_ceil"))


def _scaled_attention(c: Call) -> Act:
    sides = [operand(c[name]) for name in ("query", "key", "value")]
    heads, *_ = [c.b.shapes[side.tensor] for side in sides if isinstance(side, Act)]
    if c.args.get("enable_gqa"):
        count = int(heads[-3] or 1)
        sides[1:] = [
            repeated_heads(c.b, c.at(part), side, count) if isinstance(side, Act) else side
            for part, side in zip(("shared_keys", "shared_values"), sides[1:], strict=True)
        ]
    masks = []
    if c.args.get("attn_mask") is not None:
        masks.append(Mask(operand(c["attn_mask"]), "attn_mask" in c["logical"]))
    if c.args.get("is_causal"):
        sizes = [c.b.shapes[side.tensor] if isinstance(side, Act) else side.array.shape for side in sides[:2]]
        masks.append(window(int(sizes[0][-2] or 1), int(sizes[1][-2] or 1), right=0))
    return attention(c.b, c.site, sides, scale=c.args.get("scale"), masks=masks)


RULES: dict[str, Rule] = {
    "conv1d.default": _one_dimensional(_conv2d),
    "conv1d.padding": _one_dimensional(_conv2d),
    "conv2d.default": _conv2d,
    "conv2d.padding": _conv2d,
    "convolution.default": _conv2d,
    "conv_transpose1d.default": _one_dimensional(_conv_transpose),
    "conv_transpose2d.input": _conv_transpose,
    "linear.default": _linear,
    "addmm.default": _addmm,
    "mm.default": _mm,
    "bmm.default": _mm,
    "baddbmm.default": _baddbmm,
    "matmul.default": _mm,
    "scaled_dot_product_attention.default": _scaled_attention,
    "batch_norm.default": lambda c: _batch_norm(c)[0],
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "group_norm.default": _group_norm,
    "instance_norm.default": _instance_norm,
    "layer_norm.default": _layer_norm,
    "native_layer_norm.default": lambda c: [_layer_norm(c)],
    "max_pool1d.default": _one_dimensional(lambda c: max_pool_with_places(c)[0]),
    "avg_pool1d.default": _one_dimensional(_avg_pool),
    "avg_pool2d.default": _avg_pool,
    "adaptive_avg_pool1d.default": _one_dimensional(_adaptive_average),
    "adaptive_avg_pool2d.default": _adaptive_average,
    "adaptive_max_pool2d.default": _adaptive_max,
    "upsample_nearest2d.vec": _upsample("nearest"),
    "upsample_nearest2d.default": _upsample("nearest"),
    "_upsample_nearest_exact2d.vec": _nearest_exact,
    "_upsample_nearest_exact2d.default": _nearest_exact,
    "upsample_bilinear2d.vec": _upsample("bilinear"),
    "upsample_bilinear2d.default": _upsample("bilinear"),
    **dict.fromkeys(
        ("_upsample_bilinear2d_aa.vec", "_upsample_bilinear2d_aa.default"), _antialiased("linear")
    ),
    **dict.fromkeys(("_upsample_bicubic2d_aa.vec", "_upsample_bicubic2d_aa.default"), _antialiased("cubic")),
    "upsample_bicubic2d.vec": _upsample_cubic,
    "upsample_bicubic2d.default": _upsample_cubic,
    "pixel_shuffle.default": lambda c: depth_to_space(
        c.b, c.site, c.x, [c["upscale_factor"]] * 2, depth_first=False
    ),
    "pixel_unshuffle.default": lambda c: space_to_depth(
        c.b, c.site, c.x, [c["downscale_factor"]] * 2, depth_first=False
    ),
}
