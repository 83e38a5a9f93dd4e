"""Small networks with everything that exported code does."""

from __future__ import annotations

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
