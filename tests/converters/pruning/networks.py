"""A small network with every kind of layer that pruning meets, inputs for it, and a machine that runs it."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray, Graph, Node, TensorInfo
from sparsenet.graph.counts import count_layers


def network(seed: int = 0) -> Graph:
    """Strides, groups, a depthwise layer, a residual sum, a layer without a bias, and a linear head."""
    rng = np.random.default_rng(seed)

    def constant(*shape: int) -> FloatArray:
        return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))

    relu = {"epilogue": [["relu"]]}
    same = {"padding": [1, 1, 1, 1]}
    return Graph(
        "small",
        [TensorInfo("x", (None, 4, 12, 12))],
        ["y"],
        [
            Node("conv2d", "stem", ["x", "stem.w", "stem.b"], ["stem"], {"stride": [2, 2], **same, **relu}),
            Node("conv2d", "depth", ["stem", "depth.w"], ["depth"], {"groups": 16, **same, **relu}),
            Node(
                "conv2d", "grouped", ["depth", "grouped.w", "grouped.b"], ["grouped"], {"groups": 2, **same}
            ),
            Node(
                "conv2d",
                "point",
                ["grouped", "point.w", "", "stem"],
                ["point"],
                {"epilogue": [["add"], ["relu"]]},
            ),
            Node("global_avg_pool2d", "pool", ["point"], ["pool"]),
            Node("flatten", "flat", ["pool"], ["flat"]),
            Node("linear", "head", ["flat", "head.w", "head.b"], ["y"]),
        ],
        {
            "stem.w": constant(16, 4, 3, 3),
            "stem.b": constant(16, 1)[:, 0],
            "depth.w": constant(16, 1, 3, 3),
            "grouped.w": constant(16, 8, 3, 3),
            "grouped.b": constant(16, 1)[:, 0],
            "point.w": constant(16, 16, 1, 1),
            "head.w": constant(5, 16),
            "head.b": constant(5, 1)[:, 0],
        },
    )


def samples(count: int, seed: int = 0) -> FloatArray:
    """Inputs whose pixels have something to do with their neighbours and with other channels."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((count, 4, 3, 3), np.float32).repeat(4, axis=2).repeat(4, axis=3)
    return (coarse + coarse[:, ::-1] + 0.3 * rng.standard_normal(coarse.shape)).astype(np.float32)


def multiply_adds(graph: Graph) -> dict[str, float]:
    """A machine on which a multiply-add with a weight that is not zero takes a microsecond, and nothing else."""
    return {count.layer: count.nonzero_macs / 1000 for count in count_layers(graph)}
