from __future__ import annotations

import numpy as np
import pytest

from converters.passes import optimize
from sparsenet.errors import GraphError
from sparsenet.graph import Graph
from tests.converters.passes.networks import Net, assert_same, describe


def residual_block() -> Graph:
    net = Net()
    x = net.op("relu", net.batch_norm(net.conv("x", 8, bias=False, name="stem")), name="r0")
    y = net.op("relu", net.batch_norm(net.conv(x, 8, bias=False, name="a")), name="r1")
    y = net.batch_norm(net.conv(y, 8, bias=False, name="b"))
    x = net.op("dropout", net.op("relu", net.op("add", y, x), name="r2"))
    pooled = net.op("reshape", net.op("global_avg_pool2d", x, name="g"), shape=[8])
    return net.graph(net.op("softmax", net.linear(pooled, 4, name="fc"), name="out"))


def test_residual_block_ends_as_one_node_per_layer() -> None:
    graph = residual_block()
    after = optimize(graph)
    assert_same(graph, after)
    assert describe(after) == [
        "conv2d(x)+relu -> r0.y",
        "conv2d(r0.y)+relu -> r1.y",
        "conv2d(r1.y)+add+relu -> r2.y",
        "global_avg_pool2d(r2.y) -> g.y",
        f"flatten(g.y) -> {after.nodes[4].output}",
        f"linear({after.nodes[4].output}) -> fc.y",
        "softmax(fc.y) -> out.y",
    ]


def test_mask_cnn_head_over_its_whole_input_takes_the_last_batch_norm() -> None:
    net = Net((3, 8, 8))
    x = net.batch_norm(net.op("relu", net.conv("x", 6)))
    x = net.batch_norm(net.op("relu", net.conv(x, 5)))
    graph = net.graph(net.op("flatten", net.conv(x, 2, 8, padding=0)))
    after = optimize(graph)
    assert_same(graph, after)
    assert [[step[0] for step in n.epilogue] for n in after.nodes] == [["relu", "affine"], ["relu"], [], []]


def test_reduce_is_an_option() -> None:
    graph = residual_block()
    graph.constants["a.weight"] = graph.constants["a.weight"] * (np.arange(8) % 2).reshape(
        -1, 1, 1, 1
    ).astype(np.float32)
    shapes = graph.shapes()
    kept = optimize(graph, reduce=False)
    assert all(shape == shapes[name] for name, shape in kept.shapes().items() if name not in kept.constants)
    assert optimize(graph).constants["a.weight"].shape[0] < 8


def test_an_invalid_graph_is_refused() -> None:
    graph = residual_block()
    graph.nodes[0].inputs[0] = "nowhere"
    with pytest.raises(GraphError, match="nowhere"):
        optimize(graph)


def _drops_an_output(graph: Graph) -> Graph:
    graph = graph.copy()
    graph.outputs = ["r0.y"]
    return graph


def _reads_nothing(graph: Graph) -> Graph:
    graph = graph.copy()
    graph.nodes[0].inputs[0] = "nowhere"
    return graph


@pytest.mark.parametrize("broken", [_drops_an_output, _reads_nothing])
def test_a_broken_pass_is_named(broken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optimize.__globals__, "PASSES", (broken,))
    with pytest.raises(GraphError, match=f"pass {broken.__name__}"):
        optimize(residual_block())
