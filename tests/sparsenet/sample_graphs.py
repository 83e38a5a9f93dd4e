"""Graphs for tests of the model file: a tiny one with known numbers, and a MiniXception of true size."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet import Graph, Node, TensorInfo
from sparsenet.graph.quantization import Quantization


def tiny_graph() -> Graph:
    """Every part a file can hold, in a few hundred bytes: all its numbers are exact in f16."""
    conv = np.zeros((2, 3, 3, 3), np.float32)
    conv[0, 1, 2, 0], conv[0, 2, 0, 1], conv[1, 0, 0, 0] = 0.5, -1.0, 2.0
    fc = np.array([[1.0, -2.0], [0.0, 4.0], [-8.0, 0.5]], np.float32)
    return Graph(
        "tiny",
        [TensorInfo("image", (None, 3, 8, 8))],
        ["logits", "pooled"],
        [
            Node(
                "conv2d",
                "conv",
                ["image", "conv.weight", "", "bn.scale", "bn.shift"],
                ["conv"],
                {"stride": [2, 2], "padding": [1, 1, 1, 1], "epilogue": [["clip", 0.0, 6.0], ["affine"]]},
            ),
            Node("global_avg_pool2d", "pool", ["conv"], ["pooled"]),
            Node("flatten", "flat", ["pooled"], ["flat"]),
            Node("linear", "fc", ["flat", "fc.weight", "fc.bias"], ["logits"]),
        ],
        {
            "conv.weight": conv,
            "bn.scale": np.array([1.0, 0.5], np.float32),
            "bn.shift": np.array([-0.25, 0.0], np.float32),
            "fc.weight": fc,
            "fc.bias": np.array([0.125, 0.0, -1.0], np.float32),
        },
        {"classes": "a b ü"},
    )


def quantized_tiny_graph() -> Graph:
    """The tiny graph with grids: of one weight for each output channel, of another one for all, of three tensors."""
    graph = tiny_graph()
    graph.quantization = {
        "image": Quantization.of_activations(0.03, 128),
        "conv": Quantization.of_activations(6 / 255, 0),
        "logits": Quantization.of_activations(0.3, 7),
        "conv.weight": Quantization.of_weights([2**-6, 2**-5]),
        "fc.weight": Quantization.of_weights(2**-3),
    }
    return graph


def minixception(blocks: tuple[int, ...] = (128,), sparsity: float = 0.8, seed: int = 0) -> Graph:
    """MiniXception-128 (or -128-256) over 3×256×256, batch norm folded; convolutions pruned layer by layer."""
    rng = np.random.default_rng(seed)
    graph = Graph("minixception", [TensorInfo("input", (None, 3, 256, 256))], ["fc"], [])

    def node(op: str, name: str, inputs: list[str], attrs: dict[str, Any] | None = None) -> str:
        graph.nodes.append(Node(op, name, inputs, [name], attrs or {}))
        return name

    def conv(name: str, x: str, c_in: int, c_out: int, kernel: int, bias: bool = True, **attrs: Any) -> str:
        shape = (c_out, c_in // attrs.get("groups", 1), kernel, kernel)
        weight = (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
        weight[np.abs(weight) <= np.quantile(np.abs(weight), sparsity)] = 0
        graph.constants[f"{name}.weight"] = weight
        if bias:
            graph.constants[f"{name}.bias"] = (0.1 * rng.standard_normal(c_out)).astype(np.float32)
        attrs["padding"] = [kernel // 2] * 4
        return node("conv2d", name, [x, f"{name}.weight", *([f"{name}.bias"] if bias else [])], attrs)

    def separable(name: str, x: str, c_in: int, c_out: int, epilogue: list[list[str]]) -> str:
        x = conv(f"{name}.depthwise", x, c_in, c_in, 3, bias=False, groups=c_in)
        return conv(f"{name}.pointwise", x, c_in, c_out, 1, epilogue=epilogue)

    relu = [["relu"]]
    x, channels = conv("stem.conv", "input", 3, 32, 3, stride=[2, 2], epilogue=relu), 32
    for i, width in enumerate(blocks):
        block = f"blocks.{i}"
        skip = conv(f"{block}.skip", x, channels, width, 1, stride=[2, 2])
        x = node("relu", f"{block}.relu", [x])
        x = separable(f"{block}.sepconv1", x, channels, width, relu)
        x = separable(f"{block}.sepconv2", x, width, width, [])
        window = {"kernel": [3, 3], "stride": [2, 2], "padding": [0, 0, 1, 1]}
        x, channels = (
            node("add", f"{block}.add", [node("max_pool2d", f"{block}.pool", [x], window), skip]),
            width,
        )
    x = separable("exit.sepconv", x, channels, 1024, relu)
    x = node("flatten", "flatten", [node("global_avg_pool2d", "pool", [x])])
    graph.constants["fc.weight"] = (rng.standard_normal((4, 1024)) / 32).astype(np.float32)
    graph.constants["fc.bias"] = np.zeros(4, np.float32)
    node("linear", "fc", [x, "fc.weight", "fc.bias"])
    graph.verify()
    return graph


def assert_same_graph(a: Graph, b: Graph) -> None:
    """Equal in everything but attributes that are at their default, constants bit for bit (-0.0 counts as 0).

    Grids of tensors may come in any order.
    """
    from sparsenet.graph.ops import attributes

    assert (a.name, a.inputs, a.outputs, a.metadata) == (b.name, b.inputs, b.outputs, b.metadata)
    assert [(n.op, n.name, n.inputs, n.outputs, n.epilogue) for n in a.nodes] == [
        (n.op, n.name, n.inputs, n.outputs, n.epilogue) for n in b.nodes
    ]
    for left, right in zip(a.nodes, b.nodes, strict=True):
        assert {**attributes(left), "epilogue": []} == {**attributes(right), "epilogue": []}
    assert list(a.constants) == list(b.constants)
    for name, array in a.constants.items():
        assert array.dtype == b.constants[name].dtype == np.float32
        assert np.array_equal(array, b.constants[name]), name
    assert a.quantization.keys() == b.quantization.keys()
    for name, grid in a.quantization.items():
        assert grid.same_grid(b.quantization[name]), name
