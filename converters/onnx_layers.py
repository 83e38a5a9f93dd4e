"""Rules for ONNX layers: convolution, pooling, matrix products, normalization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from converters import lower_layers as layers
from converters import lowering
from converters.builder import Act, Const, Unsupported, Value
from converters.lower_tensors import reduce
from converters.onnx_call import Call, Rule, per_image, two_dimensional


def _window(c: Call, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    """(stride, padding [top, left, bottom, right], dilation), auto_pad resolved."""
    if len(kernel) != 2 or len(c.shape) != 4:
        raise Unsupported(f"only two-dimensional windows are supported, got kernel {kernel}", "kernel_shape")
    stride, dilation = c.attrs.get("strides", [1, 1]), c.attrs.get("dilations", [1, 1])
    mode = c.attrs.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        if list(dilation) != [1, 1]:  # runtimes disagree about it, or refuse it
            raise Unsupported(f"auto_pad {mode} with dilations is ambiguous; give explicit pads", "auto_pad")
        size = lowering.image_size(c.b, c.x)
        return stride, lowering.same_padding(size, kernel, stride, dilation, mode == "SAME_UPPER"), dilation
    padding = [0, 0, 0, 0] if mode == "VALID" else c.attrs.get("pads", [0, 0, 0, 0])
    if min(padding) < 0:
        raise Unsupported("negative padding (cropping) is not supported", "pads")
    return stride, padding, dilation


def _conv(c: Call) -> Act:
    weight = c.const(1, "weight")
    assert weight is not None
    stride, padding, dilation = _window(c, list(weight.array.shape[2:]))
    bias = c.const(2, "bias")
    return lowering.conv2d(c.b, c.site, c.x, weight, bias, stride, padding, dilation, c.attrs.get("group", 1))


def _conv_transpose(c: Call) -> Act:
    weight, bias = c.const(1, "weight"), c.const(2, "bias")
    assert weight is not None
    kernel = list(weight.array.shape[2:])
    stride, dilation = c.attrs.get("strides", [1, 1]), c.attrs.get("dilations", [1, 1])
    extra = list(c.attrs.get("output_padding", [0, 0]))
    padding, mode = c.attrs.get("pads", [0, 0, 0, 0]), c.attrs.get("auto_pad", "NOTSET")
    size, target = lowering.image_size(c.b, c.x), c.attrs.get("output_shape")
    if target is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        target = [n * s for n, s in zip(size, stride, strict=True)]
    if target is not None:
        # The operator's text: what is too much is cut off on both sides, an odd rest in front unless SAME_UPPER.
        padding = [0, 0, 0, 0]
        for i in range(2):
            total = (size[i] - 1) * stride[i] + extra[i] + (kernel[i] - 1) * dilation[i] + 1 - target[-2:][i]
            extra[i] += max(0, -total)
            total = max(0, total)
            small, large = total // 2, total - total // 2
            padding[i], padding[i + 2] = (small, large) if mode == "SAME_UPPER" else (large, small)
    elif mode == "VALID":
        padding = [0, 0, 0, 0]
    groups = c.attrs.get("group", 1)
    return layers.conv_transpose(c.b, c.site, c.x, weight, bias, stride, padding, dilation, groups, extra)


def _gemm(c: Call) -> Act:
    if c.lead and not (
        c.sizes[0] == 1 and isinstance(c.get(1), Const) and isinstance(c.get(2), Const | None)
    ):
        return _general_gemm(c)
    return per_image(_gemm_layer)(c)


def _gemm_layer(c: Call) -> Act:
    weight = c.const(1, "matrix B")
    if weight is None or weight.array.ndim != 2 or c.attrs.get("transA", 0):
        raise Unsupported(
            "Gemm is supported as a linear layer: (N, F) times a constant matrix, without transA", "transA"
        )
    alpha, beta = c.attrs.get("alpha", 1.0), c.attrs.get("beta", 1.0)
    matrix = weight.array if c.attrs.get("transB", 0) else weight.array.T
    kept = c.attrs.get("transB", 0) and alpha == 1.0
    scaled = Const(matrix if alpha == 1.0 else matrix * np.float32(alpha), weight.name if kept else "")
    extra = c.get(2)
    if extra is None:
        return lowering.linear(c.b, c.site, c.x, scaled, None)
    if isinstance(extra, Const) and (extra.array.ndim < 2 or extra.array.shape[0] == 1):
        flat = extra.array.reshape(-1)
        bias = Const(
            np.broadcast_to(flat * np.float32(beta), (matrix.shape[0],)), extra.name if beta == 1.0 else ""
        )
        return lowering.linear(c.b, c.site, c.x, scaled, bias)
    if not isinstance(extra, Act) or beta != 1.0:
        raise Unsupported("the third input of Gemm must be a bias of one row")
    product = lowering.linear(c.b, c.site.sub("matmul"), c.x, scaled, None)
    return lowering.binary(c.b, c.site, "add", product, extra)


def _general_gemm(c: Call) -> Act:
    """alpha · A' B' + beta · C of matrices that are all one sample."""
    sides: list[Value] = []
    for index, flag in enumerate(("transA", "transB")):
        value, turned = c.operand(index), c.attrs.get(flag, 0)
        if isinstance(value, Const):
            sides.append(Const(value.array.T) if turned else value)
        else:
            sides.append(lowering.transpose(c.b, c.at(flag), value, [0, 2, 1]) if turned else value)
    alpha, beta, extra = c.attrs.get("alpha", 1.0), c.attrs.get("beta", 1.0), c.get(2)
    result = c.binary("matmul", sides[0], sides[1], "" if alpha == 1.0 and extra is None else "product")
    if alpha != 1.0:
        result = c.binary("mul", result, lowering.scalar(alpha), "" if extra is None else "alpha")
    if extra is None:
        return result
    addend = c.operand(2)
    if isinstance(addend, Const):
        addend = Const(addend.array * np.float32(beta))
    elif beta != 1.0:
        addend = c.binary("mul", addend, lowering.scalar(beta), "beta")
    return c.binary("add", result, addend)


def _matmul(c: Call) -> Act:
    left, right = c.operand(0), c.operand(1)
    shapes = [c.shape_of(side) for side in (left, right)]
    if isinstance(right, Const) and right.array.ndim == 2 and isinstance(left, Act):
        weight, rank = Const(right.array.T), len(c.b.shapes[left.tensor])
        if rank == 2:
            return lowering.linear(c.b, c.site, left, weight, None)
        if rank <= 4:
            return layers.linear_last_axis(c.b, c.site, left, weight, None)
    if min(map(len, shapes)) >= 2:
        return _product(c, left, right, "")
    if not c.lead:
        raise Unsupported(lowering.BATCH_HINT)
    # A vector is a matrix of one row or column, which the result then has not.
    wanted = [*shapes[0][:-1], *(shapes[1][:-2] + shapes[1][-1:] if len(shapes[1]) > 1 else ())]
    if len(shapes[0]) > 1 and len(shapes[1]) > 1:
        wanted = []
    matrices: list[Value] = []
    for i, (side, shape) in enumerate(zip((left, right), shapes, strict=True)):
        if len(shape) > 1:
            matrices.append(side)
            continue
        as_matrix = [1, shape[0]] if i == 0 else [shape[0], 1]
        sizes = [int(d or 0) for d in as_matrix]
        if isinstance(side, Const):
            matrices.append(Const(side.array.reshape(sizes)))
        else:
            matrices.append(lowering.reshape(c.b, c.at(f"matrix{i}"), side, sizes))
    product = _product(c, matrices[0], matrices[1], "product")
    return lowering.reshape(c.b, c.site, product, [int(d or 0) for d in wanted])


def _product(c: Call, left: Value, right: Value, part: str) -> Act:
    for side in (left, right):
        if isinstance(side, Const) and not c.lead and side.array.ndim > 2 and side.array.shape[0] != 1:
            rank = max(len(c.shape_of(v)) for v in (left, right))
            if side.array.ndim == rank:
                raise Unsupported("the constant matrix has a batch dimension of its own")
    return c.binary("matmul", left, right, part)


def _batch_norm(c: Call) -> Act:
    if c.attrs.get("training_mode", 0) or not c.attrs.get("spatial", 1):
        raise Unsupported(
            "it normalises with the statistics of the batch; export the model in evaluation mode",
            "training_mode",
        )
    parameters = [c.const(i, "parameters") for i in range(1, 5)]
    eps, sizes = c.attrs.get("epsilon", 1e-5), c.sizes
    if len(sizes) in (1, 3):
        return lowering.batch_norm(c.b, c.site, c.x, parameters, eps)
    image = lowering.reshape(c.b, c.at("image"), c.x, [sizes[0], 1, int(np.prod(sizes[1:]))])
    y = lowering.batch_norm(c.b, c.at("normalized"), image, parameters, eps)
    return lowering.reshape(c.b, c.site, y, sizes)


def _instance_norm(c: Call) -> Act:
    scale, shift = c.const(1, "scale"), c.const(2, "bias")
    return layers.group_norm(c.b, c.site, c.x, c.sizes[0], scale, shift, c.attrs.get("epsilon", 1e-5))


def _group_norm(c: Call) -> Act:
    groups = c.attrs["num_groups"]
    vectors = [c.const(i, what) for i, what in ((1, "scale"), (2, "bias"))]
    if c.opset < 21:  # scale and bias were one number per group
        repeats = c.sizes[0] // groups
        vectors = [v if v is None else Const(np.repeat(v.array, repeats)) for v in vectors]
    eps = c.attrs.get("epsilon", 1e-5)
    return layers.group_norm(c.b, c.site, c.x, groups, vectors[0], vectors[1], eps)


def _layer_norm(c: Call) -> Act | list[Act]:
    axis, eps = c.axis(c.attrs.get("axis", -1)), c.attrs.get("epsilon", 1e-5)
    scaled = [c.get(i) is not None for i in (1, 2)]
    y = layers.normalize(c.b, c.at("normalized") if any(scaled) else c.site, c.x, axis, eps)
    if scaled[0]:
        y = c.binary("mul", y, c.operand(1), "scaled" if scaled[1] else "")
    if scaled[1]:
        y = c.binary("add", y, c.operand(2))
    return y if len(c.outputs) == 1 else [y, *_layer_statistics(c, axis, eps)]


def _layer_statistics(c: Call, axis: int, eps: float) -> list[Act]:
    """Mean and 1 / standard deviation, which the operator also gives."""
    axes = list(range(axis, len(c.sizes) + 1))
    mean = reduce(c.b, c.at("mean"), c.x, "mean", axes, True)
    centred = c.binary("sub", c.x, mean, "centred")
    variance = reduce(c.b, c.at("variance"), c.binary("mul", centred, centred, "squares"), "mean", axes, True)
    shifted = c.binary("add", variance, lowering.scalar(eps), "shifted")
    deviation = c.b.node("sqrt", c.at("deviation"), [shifted.tensor])
    return [mean, c.b.node("reciprocal", c.at("inverse"), [deviation.tensor])]


def _rms_norm(c: Call) -> Act:
    axis = c.axis(c.attrs.get("axis", -1))
    axes = list(range(axis, len(c.sizes) + 1))
    squares = c.binary("mul", c.x, c.x, "squares")
    mean = reduce(c.b, c.at("mean"), squares, "mean", axes, True)
    shifted = c.binary("add", mean, lowering.scalar(c.attrs.get("epsilon", 1e-5)), "shifted")
    root = c.b.node("sqrt", c.at("root"), [shifted.tensor])
    return c.binary("mul", c.binary("div", c.x, root, "normalized"), c.operand(1))


def _mean_variance_norm(c: Call) -> Act:
    axes = sorted(c.axis(a) for a in c.attrs.get("axes", [0, 2, 3]))
    mean = reduce(c.b, c.at("mean"), c.x, "mean", axes, True)
    centred = c.binary("sub", c.x, mean, "centred")
    variance = reduce(c.b, c.at("variance"), c.binary("mul", centred, centred, "squares"), "mean", axes, True)
    deviation = c.b.node("sqrt", c.at("deviation"), [variance.tensor])
    return c.binary("div", centred, c.binary("add", deviation, lowering.scalar(1e-9), "shifted"))


def _lrn(c: Call) -> Act:
    alpha, beta, bias = (c.attrs.get(k, v) for k, v in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return layers.local_response(c.b, c.site, c.x, c.attrs["size"], alpha, beta, bias)


def _lp_norm(c: Call) -> Act:
    axis, p = c.axis(c.attrs.get("axis", -1)), c.attrs.get("p", 2)
    if p not in (1, 2):
        raise Unsupported(f"the {p}-norm is not supported; only p = 1 and 2", "p")
    size = c.unary_at("abs", "abs") if p == 1 else c.binary("mul", c.x, c.x, "squares")
    norm = reduce(c.b, c.at("sum"), size, "sum", [axis], True)
    if p == 2:
        norm = c.b.node("sqrt", c.at("norm"), [norm.tensor])
    # 0 / 0 is 0 here: where the norm is 0, so is every number.
    zero = c.binary("equal", norm, lowering.scalar(0.0), "zero")
    return c.binary("div", c.x, c.binary("add", norm, zero, "nonzero"))


def _max_pool(c: Call) -> Act:
    kernel = c.attrs["kernel_shape"]
    stride, padding, dilation = _window(c, kernel)
    ceil_mode = bool(c.attrs.get("ceil_mode", 0))
    return lowering.max_pool(c.b, c.site, c.x, kernel, stride, padding, dilation, ceil_mode)


def _average_pool(c: Call) -> Act:
    kernel = c.attrs["kernel_shape"]
    stride, padding, dilation = _window(c, kernel)
    ceil_mode, counted = bool(c.attrs.get("ceil_mode", 0)), bool(c.attrs.get("count_include_pad", 0))
    if set(dilation) != {1}:
        if ceil_mode:
            padding = _ceil_padding(c, kernel, stride, padding, dilation, counted)
        return layers.average_by_convolution(c.b, c.site, c.x, kernel, stride, padding, dilation, counted)
    return lowering.avg_pool(c.b, c.site, c.x, kernel, stride, padding, ceil_mode, counted)


def _over_depth(rule: Callable[[Call], Act]) -> Callable[[Call], Act]:
    """Windows of one row and column over (N, C, D, H, W), as local response normalization has them, along D."""

    def wrapped(c: Call) -> Act:
        if len(c.shape) != 5 or c.attrs["kernel_shape"][1:] != [1, 1]:
            return rule(c)
        pads = c.attrs.get("pads", [0] * 6)
        if set(c.attrs.get("strides", [1])) != {1} or any(pads[i] for i in (1, 2, 4, 5)):
            return rule(c)
        channels, depth, height, width = c.sizes
        image = lowering.reshape(c.b, c.at("image"), c.x, [channels, depth, height * width])
        attrs = {"kernel_shape": [c.attrs["kernel_shape"][0], 1], "pads": [pads[0], 0, pads[3], 0]}
        kept = {name: c.attrs[name] for name in ("auto_pad", "count_include_pad") if name in c.attrs}
        made = rule(replace(c, inputs=[image], attrs=attrs | kept, site=c.at("pooled")))
        return lowering.reshape(c.b, c.site, made, [channels, c.b.shapes[made.tensor][2] or 0, height, width])

    return wrapped


def _ceil_padding(
    c: Call, kernel: list[int], stride: list[int], padding: list[int], dilation: list[int], counted: bool
) -> list[int]:
    """``padding``, enlarged behind the data so that as many windows fit as ``ceil_mode`` asks for."""
    padding = list(padding)
    for i, size in enumerate(lowering.image_size(c.b, c.x)):
        span = size + padding[i] + padding[i + 2] - dilation[i] * (kernel[i] - 1) - 1
        over = -span % stride[i]
        if over and counted:
            raise Unsupported(
                "dilated windows that count padding are not supported with ceil_mode", "ceil_mode"
            )
        if over and (span // stride[i] + 1) * stride[i] < size + padding[i]:
            padding[i + 2] += over
    return padding


def _lp_pool(c: Call) -> Act:
    kernel, p = c.attrs["kernel_shape"], c.attrs.get("p", 2)
    stride, padding, dilation = _window(c, kernel)
    if c.attrs.get("ceil_mode", 0):
        padding = _ceil_padding(c, kernel, stride, padding, dilation, False)
    powers = c.x
    if p == 2:
        powers = c.binary("mul", c.x, c.x, "powers")
    else:
        powers = c.binary("pow", c.unary_at("abs", "abs"), lowering.scalar(p), "powers")
    total = layers.window_sum(c.b, c.at("sum"), powers, kernel, stride, padding, dilation)
    if p == 2:
        return c.b.node("sqrt", c.site, [total.tensor])
    return c.binary("pow", total, lowering.scalar(1 / p))


def _global_pool(kind: str) -> Callable[[Call], Act]:
    def rule(c: Call) -> Act:
        return reduce(c.b, c.site, c.x, kind, range(2, len(c.shape)), True)

    return rule


def _quantize(c: Call) -> Act:
    """Rounded, in a float: x / scale + zero point, halves to even, within the type's range."""
    scale, zero = _per_axis(c)
    low, high = {3: (-128, 127), 4: (-32768, 32767)}.get(c.attrs.get("output_dtype", 0), (0, 255))
    point = c.const(2, "zero point")
    if point is not None:
        if point.array.dtype.kind not in "iu":
            raise Unsupported("quantization to other types than integers is not supported")
        info = np.iinfo(point.array.dtype)
        low, high = int(info.min), int(info.max)
    divided = c.binary("div", c.x, scale, "divided")
    rounded = c.b.node("round", c.at("rounded"), [divided.tensor])
    if zero.array.any():
        rounded = c.binary("add", rounded, zero, "shifted")
    return lowering.clip(c.b, c.site, rounded, low, high)


def _dequantize(c: Call) -> Act:
    scale, zero = _per_axis(c)
    centred = c.binary("sub", c.x, zero, "centred") if zero.array.any() else c.x
    return c.binary("mul", centred, scale)


def _per_axis(c: Call) -> tuple[Const, Const]:
    """Scale and zero point, in a shape that broadcasts."""
    scale, zero = c.const(1, "scale"), c.const(2, "zero point")
    assert scale is not None
    if c.attrs.get("block_size", 0):
        raise Unsupported("blocked quantization is not supported", "block_size")
    shape = [1]
    if scale.array.size > 1:
        axis, rank = c.attrs.get("axis", 1), len(c.shape)
        shape = [scale.array.size if i == axis % rank else 1 for i in range(rank)]
    point = np.zeros(1, np.float32) if zero is None else zero.array.astype(np.float32)
    return Const(scale.array.reshape(shape)), Const(point.reshape(shape if point.size > 1 else [1]))


def _image(rule: Callable[[Call], Act]) -> Rule:
    return per_image(two_dimensional(rule))


RULES: dict[str, Rule] = {
    "Conv": _image(_conv),
    "ConvTranspose": _image(_conv_transpose),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": per_image(_batch_norm),
    "InstanceNormalization": per_image(_instance_norm),
    "GroupNormalization": per_image(_group_norm),
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "MeanVarianceNormalization": _mean_variance_norm,
    "LRN": per_image(_lrn),
    "LpNormalization": _lp_norm,
    "MaxPool": _image(_max_pool),
    "AveragePool": per_image(_over_depth(two_dimensional(_average_pool))),
    "LpPool": _image(_lp_pool),
    "GlobalAveragePool": per_image(_global_pool("mean")),
    "GlobalMaxPool": per_image(_global_pool("max")),
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
}
