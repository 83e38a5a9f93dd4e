"""Files that ONNX Runtime quantized (QDQ), with functions between their layers that integers cannot all compute."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.engines.onnx_quantizer import quantize_onnx
from bench.mixed.ways import SAMPLES
from converters import from_onnx
from sparsenet import Graph

CHANNELS, SIZE, BLOCKS = 64, 56, 4


class _Network:
    """Blocks of a 1×1 and a depthwise convolution, of which the first has zeros."""

    def __init__(self, sparsity: float) -> None:
        self.sparsity, self.rng = sparsity, np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def op(self, kind: str, *inputs: str, **attrs: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{kind}{len(self.nodes)}", **attrs))
        return name

    def conv(self, x: str, c_in: int, kernel: int, groups: int = 1) -> str:
        shape = (CHANNELS, c_in // groups, kernel, kernel)
        kept = self.rng.random(shape) >= (0.0 if groups > 1 else self.sparsity)
        weight = self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) * kept.mean()) * kept
        return self.op("Conv", x, self.constant(weight), pads=[kernel // 2] * 4, group=groups)

    def model(self, between: Callable[[_Network, str], str]) -> onnx.ModelProto:
        x = "x"
        for block in range(BLOCKS):
            x = between(self, self.conv(x, CHANNELS if block else 3, 1 if block else 3))
            x = self.op("Relu", self.conv(x, CHANNELS, 3, CHANNELS))
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        self.op("Gemm", x, self.constant(self.rng.standard_normal((CHANNELS, 10)) / 8))
        graph = helper.make_graph(
            self.nodes, "file",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
            [helper.make_tensor_value_info(self.nodes[-1].output[0], TensorProto.FLOAT, [1, 10])], self.constants,
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _normalized(net: _Network, x: str) -> str:
    ones, zeros = net.constant(np.ones(CHANNELS)), net.constant(np.zeros(CHANNELS))
    return net.op("Relu", net.op("InstanceNormalization", x, ones, zeros))


def _transposed(net: _Network, x: str) -> str:
    weight = net.constant(net.rng.standard_normal((CHANNELS, CHANNELS, 2, 2)) / 16)
    larger = net.op("ConvTranspose", net.op("Relu", x), weight, strides=[2, 2])
    return net.op("MaxPool", larger, kernel_shape=[2, 2], strides=[2, 2])


#: What is between the convolutions of a block → the op or ops.
BETWEEN: Mapping[str, Callable[[_Network, str], str]] = {
    "silu": lambda net, x: net.op("Mul", x, net.op("Sigmoid", x)),
    "leaky ReLU": lambda net, x: net.op("LeakyRelu", x, alpha=0.1),
    "tanh": lambda net, x: net.op("Tanh", x),
    "root": lambda net, x: net.op("Sqrt", net.op("Abs", x)),
    "softmax": lambda net, x: net.op("Softmax", x, axis=1),
    "normalization": _normalized,
    "transposed convolution": _transposed,
}


def files(between: str, sparsity: float) -> tuple[Graph, Graph]:
    """The network as imported from its float32 file, and from that quantized."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = (Path(folder) / name for name in ("float32.onnx", "qdq.onnx"))
        onnx.save(_Network(sparsity).model(BETWEEN[between]), source)
        rng = np.random.default_rng(1)
        batches = [rng.standard_normal((1, 3, SIZE, SIZE), np.float32) for _ in range(SAMPLES)]
        quantize_onnx(source, target, "qdq", batches)
        return from_onnx(source), from_onnx(target)
