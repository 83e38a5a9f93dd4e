"""ONNX models whose layers have their weights and biases in many ways, and the same with other weights."""

from __future__ import annotations

from collections.abc import Callable, Container

import numpy as np
import onnx
from onnx import numpy_helper

from converters.pruning.layers import prepared
from sparsenet.graph import Graph
from tests.converters.detectors import Writer


def changed(graph: Graph, dense: Container[str] = ()) -> Graph:
    """As pruning leaves it: layers with other biases and weights, four fifths of them zero; not those in ``dense``."""
    rng = np.random.default_rng(1)
    other, layers = prepared(graph, ())
    for layer in layers:
        if layer.name in dense:
            continue
        weight, bias = other.constants[layer.weight], other.constants[layer.bias]
        rows = weight.reshape(len(weight), -1)
        found = (
            rows.std(axis=1, keepdims=True) * rng.standard_normal(rows.shape) * (rng.random(rows.shape) < 0.2)
        )
        other.constants[layer.weight] = found.astype(np.float32).reshape(weight.shape)
        other.constants[layer.bias] = bias + rng.standard_normal(bias.shape, np.float32)
    return other


def norm(w: Writer, x: str, channels: int) -> str:
    """A batch norm, one of whose scales is tiny, one zero."""
    scale = w.rng.uniform(0.5, 2, channels)
    scale[:2] = 0, 1e-6
    values = [
        scale,
        w.rng.standard_normal(channels),
        w.rng.standard_normal(channels),
        w.rng.uniform(0.5, 2, channels),
    ]
    return w.op("BatchNormalization", x, *map(w.const, values))


def plain(w: Writer) -> str:
    """Convolutions with a bias and without, each with a batch norm; then Gemm with alpha 0.5 and beta 2."""
    x = w.op("Relu", norm(w, w.conv("images", 3, 8), 8))
    x = w.op("Relu", norm(w, w.op("Conv", x, w.const(w.weight(12, 8, 3, 3)), strides=[2, 2]), 12))
    x = w.op("Flatten", w.op("GlobalAveragePool", x))
    return w.op("Gemm", x, w.const(w.weight(12, 10)), w.const(w.weight(1, 10)), alpha=0.5, beta=2.0)


def depthwise(w: Writer) -> str:
    """A batch norm in front, depthwise and grouped convolutions, MatMul with an Add and without, a transpose."""
    x = norm(w, "images", 3)
    x = norm(w, w.op("Conv", x, w.const(w.weight(16, 3, 1, 1)), kernel_shape=[1, 1]), 16)
    x = w.op("Clip", x, w.const(0.0), w.const(6.0))
    x = w.op("Relu", norm(w, w.op("Conv", x, w.const(w.weight(16, 1, 3, 3)), group=16, pads=[1] * 4), 16))
    x = w.op("Relu", w.op("Conv", x, w.const(w.weight(32, 4, 1, 1)), group=4))
    x = w.op("Reshape", w.op("GlobalMaxPool", x), w.ints(0, -1))
    x = w.op("Add", w.const(w.weight(24)), w.op("MatMul", x, w.const(w.weight(32, 24))))
    return w.op("MatMul", w.op("Relu", x), w.op("Transpose", w.const(w.weight(9, 24)), perm=[1, 0]))


def shared(w: Writer) -> str:
    """Two layers of one weight and bias, told apart by batch norms; residual sums; a weight of a Constant node."""
    x = w.conv("images", 3, 8)
    weight, bias = w.const(w.weight(8, 8, 3, 3)), w.const(w.weight(8))
    for _ in range(2):
        y = norm(w, w.op("Conv", w.op("Relu", x), weight, bias, pads=[1] * 4), 8)
        x = w.op("Add", x, y)
    held = w.op("Constant", value=numpy_helper.from_array(w.weight(6, 8, 3, 3).astype(np.float32)))
    return w.op("Conv", x, held)


def transposed(w: Writer) -> str:
    """Transposed convolutions: one with a stride, which stays, and one without; and a matrix for each pixel."""
    x = w.op("Relu", w.conv("images", 3, 8, stride=2))
    x = w.op("ConvTranspose", x, w.const(w.weight(8, 6, 3, 3)), w.const(w.weight(6)), group=1, pads=[1] * 4)
    x = w.op("ConvTranspose", x, w.const(w.weight(6, 8, 2, 2)), strides=[2, 2])
    x = w.op("MatMul", w.op("Transpose", x, perm=[0, 2, 3, 1]), w.const(w.weight(8, 16)))
    return w.op("Softmax", x, axis=-1)


NETWORKS: dict[str, Callable[[Writer], str]] = {f.__name__: f for f in (plain, depthwise, shared, transposed)}


def model(name: str, side: int = 12) -> onnx.ModelProto:
    """One of ``NETWORKS``, for (1, 3, side, side)."""
    writer = Writer(0.0, 0)
    return onnx.shape_inference.infer_shapes(writer.model(side, {"y": NETWORKS[name](writer)}))
