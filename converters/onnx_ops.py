"""ONNX operations → graph nodes, one rule each. No onnx import: rules see plain Python values.

To support one more operation, add a rule to ``RULES`` under its ``op_type`` and a test against onnxruntime.
Versions are told apart by ``opset`` where the meaning changed (Softmax 13, Clip 11, ReduceMean 18, ...).
"""

from __future__ import annotations

import numpy as np

from converters import lowering
from converters import onnx_shape_ops as shape_ops
from converters.builder import Act, Const, Unsupported, Value
from converters.onnx_call import Call, Rule
from converters.onnx_resize import resize, upsample


def _window(c: Call, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    """(stride, padding [top, left, bottom, right], dilation), auto_pad resolved."""
    if len(kernel) != 2 or len(c.shape) != 4:
        raise Unsupported(f"only two-dimensional windows are supported, got kernel {kernel}")
    stride, dilation = c.attrs.get("strides", [1, 1]), c.attrs.get("dilations", [1, 1])
    mode = c.attrs.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        if list(dilation) != [1, 1]:  # runtimes disagree about it, or refuse it
            raise Unsupported(f"auto_pad {mode} with dilations is ambiguous; give explicit pads")
        size = lowering.image_size(c.b, c.x)
        return stride, lowering.same_padding(size, kernel, stride, dilation, mode == "SAME_UPPER"), dilation
    padding = [0, 0, 0, 0] if mode == "VALID" else c.attrs.get("pads", [0, 0, 0, 0])
    if min(padding) < 0:
        raise Unsupported("negative padding (cropping) is not supported")
    return stride, padding, dilation


def _conv(c: Call) -> Act:
    weight = c.const(1, "weight")
    assert weight is not None
    stride, padding, dilation = _window(c, list(weight.array.shape[2:]))
    bias = c.const(2, "bias")
    return lowering.conv2d(c.b, c.site, c.x, weight, bias, stride, padding, dilation, c.attrs.get("group", 1))


def _gemm(c: Call) -> Act:
    weight = c.const(1, "matrix B")
    if weight is None or weight.array.ndim != 2 or c.attrs.get("transA", 0):
        raise Unsupported(
            "Gemm is supported as a linear layer: (N, F) times a constant matrix, without transA"
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


def _matmul(c: Call) -> Act:
    weight = c.const(1, "right matrix")
    if weight is None or weight.array.ndim != 2:
        raise Unsupported("matrix products are supported only of the input with a constant matrix")
    return lowering.linear(c.b, c.site, c.x, Const(weight.array.T), None)


def _batch_norm(c: Call) -> Act:
    if c.attrs.get("training_mode", 0):
        raise Unsupported(
            "it normalises with the statistics of the batch; export the model in evaluation mode"
        )
    parameters = [c.const(i, "parameters") for i in range(1, 5)]
    return lowering.batch_norm(c.b, c.site, c.x, parameters, c.attrs.get("epsilon", 1e-5))


def _activation(op: str) -> Rule:
    return lambda c: c.unary(op)


def _clip(c: Call) -> Act:
    if c.opset < 11:
        return lowering.clip(c.b, c.site, c.x, c.attrs.get("min"), c.attrs.get("max"))
    bounds = [c.const(i, "bounds") for i in (1, 2)]
    low, high = (None if v is None else float(v.array.item()) for v in bounds)
    return lowering.clip(c.b, c.site, c.x, low, high)


def _bound(which: str) -> Rule:
    def rule(c: Call) -> Act:
        constants = [v for v in c.inputs if isinstance(v, Const)]
        acts = [v for v in c.inputs if isinstance(v, Act)]
        if len(acts) != 1 or len(constants) != 1 or constants[0].array.size != 1:
            raise Unsupported("it is supported of one tensor and one number")
        bound = float(constants[0].array.item())
        return lowering.clip(c.b, c.site, acts[0], *((bound, None) if which == "min" else (None, bound)))

    return rule


def _hard_sigmoid(c: Call) -> Act:
    alpha, beta = c.attrs.get("alpha", 0.2), c.attrs.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return c.unary("hard_sigmoid")
    scaled = lowering.binary(c.b, c.site.sub("alpha"), "mul", c.x, _number(alpha))
    shifted = lowering.binary(c.b, c.site.sub("beta"), "add", scaled, _number(beta))
    return lowering.clip(c.b, c.site, shifted, 0.0, 1.0)


def _prelu(c: Call) -> Act:
    slope = c.const(1, "slope")
    if slope is None or np.unique(slope.array).size != 1:
        raise Unsupported("PRelu is supported with one slope for all channels; use LeakyRelu")
    return c.unary("leaky_relu", slope=float(slope.array.flat[0]))


def _number(value: float) -> Const:
    return Const(np.full(1, value, np.float32))


def _binary(op: str) -> Rule:
    return lambda c: lowering.binary(c.b, c.site, op, c.operand(0), c.operand(1))


def _sum(c: Call) -> Value:
    total = c.operand(0)
    for i in range(1, len(c.inputs)):
        last = i == len(c.inputs) - 1
        total = lowering.binary(c.b, c.site if last else c.site.sub(str(i)), "add", total, c.operand(i))
    return total


def _max_pool(c: Call) -> Act:
    kernel = c.attrs["kernel_shape"]
    stride, padding, dilation = _window(c, kernel)
    ceil_mode = bool(c.attrs.get("ceil_mode", 0))
    return lowering.max_pool(c.b, c.site, c.x, kernel, stride, padding, dilation, ceil_mode)


def _average_pool(c: Call) -> Act:
    kernel = c.attrs["kernel_shape"]
    stride, padding, dilation = _window(c, kernel)
    if set(dilation) != {1}:
        raise Unsupported("dilated average pooling is not supported")
    ceil_mode, counted = bool(c.attrs.get("ceil_mode", 0)), bool(c.attrs.get("count_include_pad", 0))
    return lowering.avg_pool(c.b, c.site, c.x, kernel, stride, padding, ceil_mode, counted)


def _global_pool(kind: str) -> Rule:
    return lambda c: lowering.global_pool(c.b, c.site, c.x, [2, 3], True, kind)


def _reduce(kind: str) -> Rule:
    def rule(c: Call) -> Act:
        axes = c.numbers(1, "axes", 18, "axes")
        if not axes and c.attrs.get("noop_with_empty_axes", 0):
            return c.x
        return lowering.global_pool(c.b, c.site, c.x, axes or None, bool(c.attrs.get("keepdims", 1)), kind)

    return rule


def _softmax(c: Call) -> Act:
    shape = c.shape
    if c.opset >= 13:
        return lowering.softmax(c.b, c.site, c.x, c.attrs.get("axis", -1))
    # Before opset 13 everything from `axis` on was one dimension.
    axis = lowering.axis_of(c.attrs.get("axis", 1), len(shape))
    if all(d == 1 for d in shape[axis + 1 :]):
        return lowering.softmax(c.b, c.site, c.x, axis)
    sizes = [int(d or 0) for d in shape[1:]]
    joined = [*sizes[: axis - 1], int(np.prod(sizes[axis - 1 :]))]
    flat = lowering.reshape(c.b, c.site.sub("flat"), c.x, joined)
    return lowering.reshape(c.b, c.site, lowering.softmax(c.b, c.site.sub("softmax"), flat, -1), sizes)


def _cast(c: Call) -> Act:
    if c.attrs.get("to") not in (1, 10, 11, 16):  # float32, float16, float64, bfloat16
        raise Unsupported("only casts between float types are supported; everything is computed in float32")
    return c.x


def _same(c: Call) -> Act:
    return c.x


def _dropout(c: Call) -> Act:
    training = c.const(2, "training mode")
    if training is not None and training.array.any():
        raise Unsupported("dropout is active; export the model in evaluation mode")
    return c.x


def _resize(c: Call) -> Act:
    return resize(c.b, c.site, c.x, [c.get(i) for i in range(1, 4)], c.attrs, c.opset)


def _upsample(c: Call) -> Act:
    return upsample(c.b, c.site, c.x, c.get(1), c.attrs)


RULES: dict[str, Rule] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "Relu": _activation("relu"),
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "HardSwish": _activation("hard_swish"),
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda c: c.unary("leaky_relu", slope=c.attrs.get("alpha", 0.01)),
    "PRelu": _prelu,
    "Clip": _clip,
    "Max": _bound("min"),
    "Min": _bound("max"),
    "Add": _binary("add"),
    "Sub": _binary("sub"),
    "Mul": _binary("mul"),
    "Div": lambda c: lowering.divide(c.b, c.site, c.operand(0), c.operand(1)),
    "Neg": lambda c: lowering.binary(c.b, c.site, "mul", c.x, _number(-1.0)),
    "Sum": _sum,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_pool("avg"),
    "GlobalMaxPool": _global_pool("max"),
    "ReduceMean": _reduce("avg"),
    "ReduceMax": _reduce("max"),
    "Concat": shape_ops.concat,
    "Flatten": shape_ops.flatten,
    "Reshape": shape_ops.reshape,
    "Squeeze": shape_ops.squeeze,
    "Unsqueeze": shape_ops.unsqueeze,
    "Transpose": shape_ops.transpose,
    "Pad": shape_ops.pad,
    "Softmax": _softmax,
    "Cast": _cast,
    "Identity": _same,
    "Dropout": _dropout,
    "Shape": shape_ops.shape,
    "Split": shape_ops.split,
    "Slice": shape_ops.slice_channels,
    "Resize": _resize,
    "Upsample": _upsample,
}
