"""Transpositions meet and cancel; whatever stays computes the same."""

from __future__ import annotations

import numpy as np
import torch

from converters import from_torch, passes
from converters.passes.sink_transposes import sink_transposes
from sparsenet import Graph, Node, TensorInfo, reference
from tests.converters.architectures import ConvNeXtBlock

RNG = np.random.default_rng(4)


def assert_same(graph: Graph, changed: Graph) -> None:
    feeds = {t.name: RNG.standard_normal((2, *t.shape[1:])).astype(np.float32) for t in graph.inputs}
    changed.verify()
    for name, wanted in reference.run(graph, feeds).items():
        np.testing.assert_allclose(reference.run(changed, feeds)[name], wanted, rtol=1e-6, atol=1e-7)


def chain(*nodes: Node, outputs: list[str]) -> Graph:
    constants = {"c": RNG.standard_normal((3,)).astype(np.float32), "d": np.full((1,), 2, np.float32)}
    graph = Graph("turned", [TensorInfo("x", (None, 3, 4, 5))], outputs, list(nodes), constants)
    graph.drop_unused_constants()
    graph.verify()
    return graph


TO_LAST, TO_FIRST = {"perm": [0, 2, 3, 1]}, {"perm": [0, 3, 1, 2]}


def test_there_and_back_is_nothing() -> None:
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
        Node("mul", "m", ["c", "a"], ["b"]),
        Node("gelu", "g", ["b"], ["e"]),
        Node("div", "d", ["d", "e"], ["f"]),
        Node("transpose", "u", ["f"], ["y"], dict(TO_FIRST)),
        outputs=["y"],
    )
    changed = sink_transposes(graph)
    assert [node.op for node in changed.nodes] == ["mul", "gelu", "div"] + ["identity"] * (
        changed.nodes[-1].op == "identity"
    )
    assert_same(graph, changed)


def test_what_is_read_twice_stays() -> None:
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
        Node("relu", "r", ["a"], ["b"]),
        Node("add", "s", ["a", "b"], ["y"]),
        outputs=["y"],
    )
    changed = sink_transposes(graph)
    assert [node.op for node in changed.nodes] == ["transpose", "relu", "add"]
    assert_same(graph, changed)


def test_outputs_keep_their_order_of_axes() -> None:
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
        Node("relu", "r", ["a"], ["y"]),
        Node("transpose", "u", ["y"], ["z"], dict(TO_LAST)),
        outputs=["y", "z"],
    )
    assert_same(graph, sink_transposes(graph))


def test_a_channels_last_perceptron_is_two_fused_convolutions() -> None:
    torch.manual_seed(0)
    raw = from_torch(ConvNeXtBlock(8), torch.randn(1, 8, 6, 5), optimize=False)
    optimized = passes.optimize(raw)
    assert_same(raw, optimized)
    ops = [node.op for node in optimized.nodes]
    assert ops.count("transpose") == 2  # around the normalization over channels
    assert [n.epilogue[0][0] for n in optimized.nodes if n.op == "conv2d" and n.epilogue] == ["gelu", "add"]
