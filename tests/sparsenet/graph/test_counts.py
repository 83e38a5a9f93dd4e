from __future__ import annotations

import numpy as np

from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.graph.counts import Totals, count_layers, total


def network() -> Graph:
    weight = np.zeros((4, 1, 3, 3), np.float32)
    weight[0, 0, 0, :2] = weight[3, 0, 2, 2] = 1
    head = np.ones((2, 4), np.float32)
    head[1] = 0
    attrs = {"groups": 2, "padding": [1, 1, 1, 1], "stride": [2, 1]}
    return Graph(
        "net",
        [TensorInfo("x", (None, 2, 6, 5))],
        ["y"],
        [
            Node("conv2d", "conv", ["x", "conv.weight"], ["a"], attrs),
            Node("global_avg_pool2d", "pool", ["a"], ["b"]),
            Node("flatten", "flat", ["b"], ["c"]),
            Node("linear", "head", ["c", "head.weight"], ["y"]),
        ],
        {"conv.weight": weight, "head.weight": head},
    )


def test_counts_per_layer() -> None:
    conv, head = count_layers(network())
    assert (conv.layer, conv.op, conv.weights, conv.nnz) == ("conv", "conv2d", 36, 3)
    assert (conv.macs, conv.nonzero_macs) == (36 * 3 * 5, 3 * 3 * 5)
    assert (head.weights, head.nnz, head.macs, head.nonzero_macs) == (8, 4, 8, 4)


def test_totals() -> None:
    sums = total(count_layers(network()))
    assert sums == Totals(44, 7, 548, 49)
    assert sums.sparsity == 1 - 7 / 44


def test_a_network_without_weights_has_no_sparsity() -> None:
    graph = Graph("net", [TensorInfo("x", (None, 3))], ["y"], [Node("relu", "relu", ["x"], ["y"])])
    assert total(count_layers(graph)) == Totals(0, 0, 0, 0)
    assert total([]).sparsity == 0.0
