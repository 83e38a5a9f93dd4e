from __future__ import annotations

import pytest

from converters.passes import remove_redundant_relu
from tests.converters.passes.networks import Net, assert_same


@pytest.mark.parametrize(
    "op,attrs,removed",
    [
        ("relu", {}, True),
        ("sigmoid", {}, True),
        ("clip", {"min": 0.0, "max": 6.0}, True),
        ("clip", {"min": -0.5, "max": 6.0}, False),
        ("tanh", {}, False),
    ],
)
@pytest.mark.parametrize("pool", [False, True])
def test_relu_behind_what_is_never_negative(
    op: str, attrs: dict[str, float], removed: bool, pool: bool
) -> None:
    net = Net()
    x = net.op(op, net.conv("x", 4), **attrs)
    if pool:
        x = net.op("max_pool2d", net.op("dropout", x), kernel=[3, 3], stride=[2, 2], padding=[1] * 4)
    graph = net.graph(net.conv(net.op("relu", x, name="second"), 4), net.affine(x))
    after = remove_redundant_relu(graph)
    assert_same(graph, after)
    assert ("second" not in [n.name for n in after.nodes]) == removed


def test_only_the_end_of_an_epilogue_counts() -> None:
    net = Net()
    a, b = net.conv("x", 4, name="a"), net.conv("x", 4, name="b")
    graph = net.graph(net.op("relu", a), net.op("relu", b, name="second"), b)
    graph.nodes[0].attrs["epilogue"] = [["relu"], ["add"]]
    graph.nodes[0].inputs.append(b)
    graph.nodes[1].attrs["epilogue"] = [["tanh"], ["relu"]]
    graph.nodes.insert(0, graph.nodes.pop(1))
    after = remove_redundant_relu(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes].count("relu") == 1
