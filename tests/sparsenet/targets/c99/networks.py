"""Small networks with everything that exported code does."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet import Graph, Node, TensorInfo

Weights = dict[str, np.ndarray]


def separable_net(size: int = 13, sparsity: float = 0.7, seed: int = 0) -> Graph:
    """A stem, a separable block with pooling and a shortcut, an affine behind a ReLU, a mean and a classifier."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        array = rng.standard_normal(shape, np.float32)
        return np.where(rng.random(shape) < sparsity, 0, array).astype(np.float32)

    constants = {
        "stem.w": rng.standard_normal((5, 3, 3, 3), np.float32),
        "stem.b": rng.standard_normal(5, np.float32),
        "scale": rng.standard_normal(5, np.float32),
        "shift": rng.standard_normal(5, np.float32),
        "depthwise.w": rng.standard_normal((5, 1, 3, 3), np.float32),
        "pointwise.w": weight(9, 5, 1, 1),
        "shortcut.w": weight(9, 5, 1, 1),
        "shortcut.b": rng.standard_normal(9, np.float32),
        "exit.w": weight(300, 9, 3, 3),
        "head.w": weight(4, 300),
        "head.b": rng.standard_normal(4, np.float32),
    }
    same = {"padding": [1, 1, 1, 1]}
    nodes = [
        Node("conv2d", "stem", ["x", "stem.w", "stem.b", "scale", "shift"], ["a"],
             {**same, "stride": [2, 2], "epilogue": [["relu"], ["affine"]]}),
        Node("conv2d", "depthwise", ["a", "depthwise.w"], ["b"], {**same, "groups": 5}),
        Node("conv2d", "pointwise", ["b", "pointwise.w"], ["c"], {"epilogue": [["leaky_relu", 0.1]]}),
        Node("max_pool2d", "pool", ["c"], ["d"], {"kernel": [3, 3], "stride": [2, 2], **same}),
        Node("conv2d", "shortcut", ["a", "shortcut.w", "shortcut.b", "d"], ["e"],
             {"stride": [2, 2], "epilogue": [["add"], ["relu"]]}),
        Node("conv2d", "exit", ["e", "exit.w"], ["f"], same),
        Node("relu", "activation", ["f"], ["g"]),
        Node("global_avg_pool2d", "mean", ["g"], ["h"]),
        Node("flatten", "flat", ["h"], ["i"]),
        Node("linear", "head", ["i", "head.w", "head.b"], ["y"]),
    ]  # fmt: skip
    graph = Graph("separable", [TensorInfo("x", (None, 3, size, size))], ["y"], nodes, constants)
    graph.verify()
    return graph


def odd_net() -> Graph:
    """Windows, poolings, sums and tables of bytes over maps that fill neither tiles nor quads; all of them results."""
    rng = np.random.default_rng(7)
    graph = Graph("odd", [TensorInfo("x", (None, 6, 9, 19))], [], [])

    def add(op: str, inputs: list[str], **attrs: Any) -> str:
        graph.nodes.append(Node(op, f"n{len(graph.nodes)}", inputs, [f"y{len(graph.nodes)}"], attrs))
        graph.outputs.append(graph.nodes[-1].output)
        return graph.outputs[-1]

    def weight(*shape: int, zeros: float = 0.0) -> str:
        name = f"w{len(graph.constants)}"
        array = rng.standard_normal(shape, np.float32)
        array[rng.random(shape) < zeros] = 0
        graph.constants[name] = array
        return name

    same = {"padding": [1, 1, 1, 1]}
    a = add(
        "conv2d", ["x", weight(7, 6, 3, 3), weight(7)], **same, stride=[1, 2], epilogue=[["leaky_relu", 0.1]]
    )
    b = add("conv2d", [a, weight(7, 1, 3, 3), weight(7)], **same, groups=7)
    c = add("conv2d", [a, weight(7, 1, 5, 4)], padding=[2, 3, 2, 2], stride=[2, 2], dilation=[1, 2], groups=7)
    add("conv2d", [c, weight(9, 7, 2, 3, zeros=0.7)], padding=[0, 1, 0, 1], epilogue=[["clip", -0.5, 1.0]])
    d = add("conv2d", [a, weight(21, 7, 1, 1, zeros=0.8), weight(21), weight(21), weight(21)],
            epilogue=[["relu"], ["affine"]])  # fmt: skip
    e = add("conv2d", [d, weight(7, 21, 3, 3, zeros=0.8), weight(7), b], padding=[2, 2, 2, 2], dilation=[2, 2],
            epilogue=[["add"], ["relu"]])  # fmt: skip
    f = add("add", [e, b], epilogue=[["leaky_relu", 0.1]])
    add("sigmoid", [f])
    add("max_pool2d", [e], kernel=[3, 3], stride=[2, 2], **same)
    add("max_pool2d", [e], kernel=[2, 5], stride=[1, 1], padding=[0, 2, 1, 3], dilation=[2, 1])
    add("avg_pool2d", [f], kernel=[3, 3], stride=[1, 2], **same, count_include_pad=False)
    g = add("conv2d", [f, weight(5, 7, 1, 1)], stride=[3, 3])
    add("global_avg_pool2d", [g])
    h = add("conv2d", [f, weight(7, 1, 3, 3)], **same, stride=[1, 2], groups=7)
    add("global_avg_pool2d", [h])
    graph.outputs.remove(h)  # so that it may be added up at once
    graph.verify()
    return graph
