"""Convolutions one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.subjects.layers import LayerShape
from sparsenet import Graph, Node, TensorInfo


def convolution(c_in: int, c_out: int, size: int, kernel: int = 1, stride: int = 1) -> LayerShape:
    """A convolution that stands in no network."""
    return LayerShape("", "conv2d", c_in, c_out, size, kernel, stride)


def chain(layers: Sequence[LayerShape], averages: bool, seed: int = 0) -> Graph:
    """Convolutions with bias and ReLU one after the other; global averages behind them if asked."""
    rng = np.random.default_rng(seed)
    nodes, constants, tensor = [], {}, "x"
    for i, layer in enumerate(layers):
        scale = np.float32((2 / (layer.c_in * layer.kernel**2)) ** 0.5)
        constants[f"w{i}"] = rng.standard_normal(layer.weight_shape, np.float32) * scale
        constants[f"b{i}"] = rng.standard_normal(layer.c_out, np.float32)
        attrs = {"padding": [layer.kernel // 2] * 4, "stride": [layer.stride] * 2, "epilogue": [["relu"]]}
        nodes.append(Node("conv2d", f"conv{i}", [tensor, f"w{i}", f"b{i}"], [f"y{i}"], attrs))
        tensor = f"y{i}"
    if averages:
        nodes.append(Node("global_avg_pool2d", "averages", [tensor], ["averages"]))
        tensor = "averages"
    return Graph("chain", [TensorInfo("x", (None, *layers[0].input_shape))], [tensor], nodes, constants)
