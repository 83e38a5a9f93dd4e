from __future__ import annotations

import pytest

from converters.passes import fuse_activation, fuse_add, fuse_affine
from sparsenet.graph import Graph
from tests.converters.passes.networks import Net, assert_same, describe


def fuse(graph: Graph) -> Graph:
    after = fuse_add(fuse_affine(fuse_activation(graph)))
    assert_same(graph, after)
    return after


@pytest.mark.parametrize(
    "op,attrs",
    [
        ("relu", {}),
        ("leaky_relu", {"slope": 0.2}),
        ("clip", {"max": 0.5, "min": -0.25}),  # parameters come in the table's order, not in the node's
        ("hard_swish", {}),
    ],
)
def test_activation_joins_its_producer(op: str, attrs: dict[str, float]) -> None:
    net = Net()
    graph = net.graph(net.op(op, net.conv("x", 4, name="c"), name="a", **attrs))
    after = fuse(graph)
    assert describe(after) == [f"conv2d(x)+{op} -> a.y"]


def test_two_limits_in_a_row_are_one() -> None:
    net = Net()
    graph = net.graph(net.op("clip", net.op("relu", "x"), name="c", min=-1.0, max=0.5))
    after = fuse(graph)
    assert describe(after) == ["clip(x) -> c.y"]
    assert after.nodes[0].attrs == {"min": 0.0, "max": 0.5}


def test_bn_after_relu_is_an_affine_epilogue() -> None:
    net = Net()
    x = net.op("tanh", net.affine(net.op("relu", net.conv("x", 4, name="c"))), name="t")
    assert describe(fuse(net.graph(x))) == ["conv2d(x)+relu+affine+tanh -> t.y"]


def test_a_tensor_somebody_else_wants_is_not_fused_away() -> None:
    net = Net()
    a, b = net.conv("x", 4, name="a"), net.conv("x", 4, name="b")
    graph = net.graph(net.op("relu", a), a, net.affine(b), net.op("tanh", b))
    assert fuse(graph).nodes == graph.nodes


def test_ops_without_epilogue_take_none() -> None:
    net = Net()
    x = net.op("max_pool2d", "x", kernel=[2, 2], stride=[2, 2])
    graph = net.graph(net.op("relu", x), net.affine(net.op("softmax", "x")))
    assert fuse(graph).nodes == graph.nodes


def test_residual_joins_the_convolution_that_executes_last() -> None:
    net = Net()
    main = net.conv(net.op("relu", net.conv("x", 4, name="a")), 4, name="b")
    shortcut = net.conv("x", 4, 1, name="s")
    graph = net.graph(net.op("relu", net.op("add", main, shortcut), name="out"))
    assert describe(fuse(graph)) == [
        "conv2d(x)+relu -> relu1.y",
        "conv2d(relu1.y) -> b.y",
        "conv2d(x)+add+relu -> out.y",
    ]


def test_residual_moves_behind_the_operand_it_waits_for() -> None:
    net = Net()
    early = net.conv("x", 3, name="early")
    late = net.op(
        "max_pool2d", net.op("tanh", "x"), kernel=[3, 3], stride=[1, 1], padding=[1] * 4, name="late"
    )
    graph = net.graph(net.op("add", late, early, name="out"))
    assert describe(fuse(graph))[-1] == "conv2d(x)+add -> out.y"


def test_residual_of_the_graph_input() -> None:
    net = Net()
    graph = net.graph(net.op("add", "x", net.op("relu", net.conv("x", 3)), name="out"))
    assert describe(fuse(graph)) == ["conv2d(x)+relu+add -> out.y"]


def test_a_node_adds_at_most_once() -> None:
    net = Net()
    y = net.op("add", net.conv("x", 3, name="c"), "x")
    graph = net.graph(net.op("add", y, net.op("tanh", "x"), name="out"))
    assert [n.op for n in fuse(graph).nodes] == ["conv2d", "tanh", "add"]


def test_an_add_that_already_adds_in_its_epilogue_stays() -> None:
    net = Net()
    graph = net.graph(net.op("add", net.conv("x", 3), "x", name="out"))
    graph.nodes[1].attrs["epilogue"] = [["relu"], ["add"]]
    graph.nodes[1].inputs.append("x")
    assert fuse(graph).nodes == graph.nodes


def test_an_add_that_broadcasts_is_not_fused() -> None:
    net = Net()
    gate = net.conv(net.op("global_avg_pool2d", "x"), 3, 1)
    position = net.constant("position", net.rng.normal(0, 1, (1, 3, 8, 8)))
    graph = net.graph(net.op("add", "x", gate), net.op("add", net.conv("x", 3), position))
    assert fuse_add(graph).nodes == graph.nodes


def test_adding_a_tensor_to_itself() -> None:
    net = Net()
    y = net.conv("x", 3)
    graph = net.graph(net.op("add", y, y))
    assert fuse(graph).nodes == graph.nodes


def test_linear_takes_a_residual() -> None:
    net = Net((5,))
    graph = net.graph(net.op("add", net.linear("x", 5), "x", name="out"))
    assert describe(fuse(graph)) == ["linear(x)+add -> out.y"]
