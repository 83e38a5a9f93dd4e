"""Channels in another order: the same outputs, fewer quads with weights."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from converters.passes.permute_channels import permute_channels, permuted
from converters.passes.quad_order import quad_order, quads_used
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.graph.types import QUAD
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.quantized import quantized

RNG = np.random.default_rng(0)


def _weight(*shape: int, density: float = 0.2) -> np.ndarray:
    return np.where(RNG.random(shape) < density, RNG.standard_normal(shape), 0).astype(np.float32)


def network() -> Graph:
    """Chains, a residual sum, depthwise, scale and shift, pooling, and a fully connected layer: 22 and 24 channels."""
    nodes = [
        Node("conv2d", "c1", ["x", "w1", "b1"], ["c1"], {"padding": [1, 1, 1, 1], "epilogue": [["relu"]]}),
        Node("conv2d", "dw", ["c1", "w2", "b2"], ["dw"], {"padding": [1, 1, 1, 1], "groups": 22}),
        Node("affine", "a", ["dw", "scale", "shift"], ["a"]),
        Node("conv2d", "c3", ["a", "w3", "b3"], ["c3"]),
        Node("conv2d", "c4", ["c3", "w4", "b4", "c1"], ["c4"], {"epilogue": [["add"], ["relu"]]}),
        Node("max_pool2d", "m", ["c4"], ["m"], {"kernel": [2, 2], "stride": [2, 2]}),
        Node("mul", "g", ["m", "gain"], ["g"]),
        Node("conv2d", "c5", ["g", "w5"], ["c5"], {"padding": [1, 1, 1, 1]}),
        Node("global_avg_pool2d", "p", ["c5"], ["p"]),
        Node("flatten", "f", ["p"], ["f"]),
        Node("linear", "y", ["f", "w6", "b6"], ["y"]),
    ]
    constants = {
        "w1": _weight(22, 3, 3, 3), "b1": _weight(22), "w2": _weight(22, 1, 3, 3, density=1), "b2": _weight(22),
        "scale": _weight(22, density=1), "shift": _weight(22), "w3": _weight(24, 22, 1, 1), "b3": _weight(24),
        "w4": _weight(22, 24, 1, 1), "b4": _weight(22), "gain": _weight(22, 1, 1, density=1),
        "w5": _weight(24, 22, 3, 3, density=0.1), "w6": _weight(5, 24), "b6": _weight(5),
    }  # fmt: skip
    graph = Graph("net", [TensorInfo("x", (None, 3, 8, 8))], ["y"], nodes, constants)
    graph.verify()
    return graph


def test_outputs_stay_and_quads_become_fewer() -> None:
    graph = network()
    other, count = permuted(graph)
    other.verify()
    feeds = random_feeds(graph)
    expected, got = (reference.run(g, feeds)["y"] for g in (graph, other))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert count.layers == 4
    assert count.after <= 0.92 * count.before
    assert {n: a.shape for n, a in other.constants.items()}.keys() != {}
    assert sum(int((a != 0).sum()) for a in other.constants.values()) == sum(
        int((a != 0).sum()) for a in graph.constants.values()
    )


def test_integers_stay_the_same_to_the_bit() -> None:
    graph = quantized(network())
    other = permute_channels(graph)
    other.verify()
    assert len(other.quantization) == len(graph.quantization)
    feeds = random_feeds(graph)
    np.testing.assert_array_equal(reference.run(other, feeds)["y"], reference.run(graph, feeds)["y"])


@pytest.mark.parametrize("groups, joined", [(2, False), (1, True)])
def test_groups_and_concatenations_keep_their_order(groups: int, joined: bool) -> None:
    nodes = [Node("conv2d", "a", ["x", "w1"], ["a"]), Node("conv2d", "b", ["x", "w2"], ["b"])]
    nodes.append(Node("concat", "j", ["a", "b"], ["j"]) if joined else Node("add", "j", ["a", "b"], ["j"]))
    width = 16 if joined else 8
    nodes.append(Node("conv2d", "y", ["j", "w3"], ["y"], {"groups": groups}))
    constants = {
        "w1": _weight(8, 8, 1, 1), "w2": _weight(8, 8, 1, 1), "w3": _weight(4, width // groups, 1, 1),
    }  # fmt: skip
    graph = Graph("fixed", [TensorInfo("x", (None, 8, 4, 4))], ["y"], nodes, constants)
    other, count = permuted(graph)
    assert count.layers == 0
    assert all(np.array_equal(other.constants[name], array) for name, array in graph.constants.items())


def test_an_order_is_as_good_as_any_of_six_channels() -> None:
    for seed in range(5):
        used = np.random.default_rng(seed).random((6, 9)) < 0.4
        order = quad_order(used)
        assert sorted(order.tolist()) == list(range(6))
        best = min(quads_used(used, np.array(other)) for other in permutations(range(6)))
        assert quads_used(used, order) <= best + 2


def test_channels_that_are_used_together_meet() -> None:
    used = np.kron(np.eye(8, dtype=bool), np.ones((QUAD, 3), bool))[RNG.permutation(32)]
    assert quads_used(used, quad_order(used)) == 24
