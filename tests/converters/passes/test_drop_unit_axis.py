"""Images in a batch of one of their own: what is between two reshapes works without that axis."""

from __future__ import annotations

import numpy as np
import pytest

from converters.passes import drop_unit_axis, optimize, simplify_reshape
from tests.converters.passes.networks import Net, assert_same, describe


def test_layers_meet() -> None:
    net = Net((3, 8, 8))
    x = net.op("reshape", net.conv("x", 4), shape=[1, 4, 8, 8])
    scaled = net.op("mul", x, net.constant("c", net.rng.normal(size=(1, 4, 1, 1))))
    y = net.op("add", net.op("sigmoid", scaled), net.op("sub", net.constant("one", [1.0]), x))
    y = net.op("concat", x, y, axis=2)
    graph = net.graph(net.conv(net.op("reshape", y, shape=[8, 8, 8]), 2))
    after = simplify_reshape(drop_unit_axis(graph))
    assert not any(node.op == "reshape" for node in after.nodes)
    assert_same(graph, after)
    assert len(optimize(graph).nodes) < len(graph.nodes)


def test_an_output_keeps_its_shape() -> None:
    net = Net((3, 8, 8))
    x = net.op("relu", net.op("reshape", "x", shape=[1, 3, 8, 8]), name="r")
    graph = net.graph(x)
    after = drop_unit_axis(graph)
    assert describe(after) == ["relu(x) -> r.y.lean", "reshape(r.y.lean) -> r.y"]
    assert_same(graph, after)


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 1, 2, 3, 1, 1)], ids=str)
def test_a_constant_that_has_the_axis_keeps_it(shape: tuple[int, ...]) -> None:
    net = Net((3, 4, 4))
    x = net.op("reshape", "x", shape=[1, 3, 4, 4])
    if len(shape) == 4:
        x = net.op("add", x, net.constant("c", np.ones(shape)))
    else:
        x = net.op("concat", x, x, axis=1)
    graph = net.graph(net.op("relu", x))
    after = drop_unit_axis(graph)
    assert [node.op for node in after.nodes] == [node.op for node in graph.nodes]
    assert_same(graph, after)


def test_a_shared_constant_serves_both() -> None:
    net = Net((3, 4, 4))
    c = net.constant("c", net.rng.normal(size=(1, 3, 1, 1)))
    x = net.op("add", net.op("reshape", "x", shape=[1, 3, 4, 4]), c)
    graph = net.graph(net.op("mul", x, c), net.op("sub", "x", c))
    assert_same(graph, drop_unit_axis(graph))
