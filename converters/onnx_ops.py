"""ONNX operations → graph nodes, one rule each. No onnx import: rules see plain Python values.

To support one more operation, add a rule to ``RULES`` under its ``op_type`` and a test against onnxruntime.
Versions are told apart by ``opset`` where the meaning changed (Softmax 13, Clip 11, ReduceMean 18, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters import lowering
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.onnx_fold import Sizes, shape_value
from converters.onnx_resize import resize, upsample
from sparsenet.graph import Shape


@dataclass(frozen=True)
class Call:
    """One ONNX node: inputs (None where absent), attributes, opset, names of its outputs.

    ``static_batch`` is the batch size the model was exported with, None if it is free.
    """

    b: GraphBuilder
    site: Site
    inputs: list[Value | Sizes | None]
    attrs: dict[str, Any]
    opset: int
    outputs: list[str]
    static_batch: int | None

    @property
    def x(self) -> Act:
        """The activation the node works on."""
        return self.act(0)

    @property
    def shape(self) -> Shape:
        """Shape of ``x``."""
        return self.b.shapes[self.x.tensor]

    def get(self, index: int) -> Value | Sizes | None:
        """Input by position, None if absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def act(self, index: int) -> Act:
        """Input that must depend on the network's input."""
        value = self.get(index)
        if not isinstance(value, Act):
            raise Unsupported(f"input {index} must depend on the network's input")
        return value

    def const(self, index: int, what: str) -> Const | None:
        """Input that must be a constant, None if absent."""
        value = self.get(index)
        if value is None or isinstance(value, Const):
            return value
        raise Unsupported(f"its {what} must be a constant")

    def operand(self, index: int) -> Value:
        """Either kind of input, as arithmetic takes it."""
        value = self.get(index)
        if not isinstance(value, Act | Const):
            raise Unsupported("arithmetic with the batch size is not supported")
        return value

    def numbers(self, index: int, attribute: str, before: int, what: str) -> list[int] | None:
        """Integers given as an attribute before opset ``before``, as a constant input from then on."""
        if self.opset < before:
            return self.attrs.get(attribute)
        value = self.const(index, what)
        return None if value is None else [int(v) for v in value.array.ravel()]

    def unary(self, op: str, **attrs: Any) -> Act:
        """A node that reads only ``x``."""
        return self.b.node(op, self.site, [self.x.tensor], attrs)


Rule = Callable[[Call], Value | Sizes | list[Act]]


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


def _concat(c: Call) -> Act:
    return lowering.concat(c.b, c.site, [c.operand(i) for i in range(len(c.inputs))], c.attrs["axis"])


def _flatten(c: Call) -> Act:
    axis, shape = c.attrs.get("axis", 1), c.shape
    axis += len(shape) if axis < 0 else 0
    if axis < 1 or any(d != 1 for d in shape[1:axis]):
        raise Unsupported(lowering.BATCH_HINT)
    return lowering.reshape(c.b, c.site, c.x, [_size(shape)])


def _size(shape: Shape) -> int:
    return int(np.prod([d for d in shape[1:] if d is not None], dtype=np.int64))


def _reshape(c: Call) -> Act:
    target = c.get(1)
    if isinstance(target, Const):
        wanted: list[int | None] = [int(v) for v in target.array.ravel()]
    elif isinstance(target, Sizes):
        wanted = target.dims()
    else:
        raise Unsupported("its shape is computed from the input's values")
    shape = c.shape
    if not c.attrs.get("allowzero", 0):
        wanted = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(wanted)]
    first, rest = (wanted[0], wanted[1:]) if wanted else (None, [])
    if not rest or any(d is None or d == 0 for d in rest):
        raise Unsupported(lowering.BATCH_HINT)
    sizes = [int(d or 0) for d in rest]
    total, known = _size(shape), int(np.prod([d for d in sizes if d > 0], dtype=np.int64))
    if first is None or (first == c.static_batch and first is not None):
        sizes = [total // known if d == -1 else d for d in sizes]
    elif first != -1 or -1 in sizes:
        raise Unsupported(f"its shape {wanted} fixes the batch; export the model with a free batch dimension")
    if int(np.prod(sizes, dtype=np.int64)) != total:
        raise Unsupported(f"shape {wanted} of a tensor {shape} would change the batch")
    return lowering.reshape(c.b, c.site, c.x, sizes)


def _squeeze(c: Call) -> Act:
    axes, shape = c.numbers(1, "axes", 13, "axes"), c.shape
    if axes is None:
        dropped = {i for i, d in enumerate(shape) if d == 1}
    else:
        dropped = {lowering.axis_of(a, len(shape)) for a in axes}
    if any(shape[i] != 1 for i in dropped):
        raise Unsupported(f"only dimensions of size 1 can be squeezed, got {shape}")
    return lowering.reshape(
        c.b, c.site, c.x, [int(d or 0) for i, d in enumerate(shape) if i and i not in dropped]
    )


def _unsqueeze(c: Call) -> Act:
    axes, shape = c.numbers(1, "axes", 13, "axes") or [], c.shape
    rank = len(shape) + len(axes)
    added = {lowering.axis_of(a, rank) for a in axes}
    old = iter(shape)
    sizes = [1 if i in added else next(old) for i in range(rank)]
    return lowering.reshape(c.b, c.site, c.x, [int(d or 0) for d in sizes[1:]])


def _transpose(c: Call) -> Act:
    return lowering.transpose(c.b, c.site, c.x, c.attrs.get("perm", list(reversed(range(len(c.shape))))))


def _pad(c: Call) -> Act:
    if c.attrs.get("mode", "constant") != "constant":
        raise Unsupported(f"mode '{c.attrs['mode']}' is not supported; use constant padding")
    amounts, rank = c.numbers(1, "pads", 11, "pads") or [], len(c.shape)
    value = c.const(2, "value") if c.opset >= 11 else _number(c.attrs.get("value", 0.0))
    axes = c.const(3, "axes")
    touched = list(range(rank)) if axes is None else [int(a) % rank for a in axes.array.ravel()]
    if len(amounts) != 2 * len(touched):
        raise Unsupported(f"{len(amounts)} pads do not fit {len(touched)} dimensions")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(touched):
        before[axis], after[axis] = amounts[i], amounts[i + len(touched)]
    return lowering.pad(c.b, c.site, c.x, before, after, 0.0 if value is None else float(value.array.item()))


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


def _shape(c: Call) -> Value | Sizes:
    return shape_value(c.shape, c.attrs.get("start", 0), c.attrs.get("end"))


def _split(c: Call) -> list[Act]:
    axis = lowering.axis_of(c.attrs.get("axis", 0), len(c.shape))
    total, count = int(c.shape[axis] or 0), len(c.outputs)
    sizes = c.numbers(1, "split", 13, "split")
    if sizes is None:
        part = -(-total // count)
        sizes = [min(part, total - part * i) for i in range(count)]
    parts, start = [], 0
    for i, (size, tensor) in enumerate(zip(sizes, c.outputs, strict=True)):
        site = Site(f"{c.site.name}.{i}", tensor)
        parts.append(lowering.select(c.b, site, c.x, axis, start, start + size))
        start += size
    return parts


def _slice(c: Call) -> Act:
    if c.opset < 10:
        starts, ends, axes, steps = c.attrs["starts"], c.attrs["ends"], c.attrs.get("axes"), None
    else:
        starts, ends, axes, steps = (c.numbers(i, "", 10, "bounds") for i in (1, 2, 3, 4))
    if not starts or not ends or len(starts) != 1 or (steps and steps != [1]):
        raise Unsupported("only slices of one dimension without a step are supported")
    return lowering.select(c.b, c.site, c.x, (axes or [0])[0], starts[0], ends[0])


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
    "Concat": _concat,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Pad": _pad,
    "Softmax": _softmax,
    "Cast": _cast,
    "Identity": _same,
    "Dropout": _dropout,
    "Shape": _shape,
    "Split": _split,
    "Slice": _slice,
    "Resize": _resize,
    "Upsample": _upsample,
}
