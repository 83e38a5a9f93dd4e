"""A product with its own sigmoid is one activation."""

from __future__ import annotations

import pytest

from converters.passes import fuse_gate, optimize
from tests.converters.passes.networks import Net, assert_same


@pytest.mark.parametrize("gate, fused", [("sigmoid", "silu"), ("hard_sigmoid", "hard_swish")])
@pytest.mark.parametrize("first", [True, False])
def test_gates(gate: str, fused: str, first: bool) -> None:
    net = Net()
    x = net.conv("x", 4)
    s = net.op(gate, x)
    graph = net.graph(net.op("mul", *((s, x) if first else (x, s))))
    assert [node.op for node in fuse_gate(graph).nodes] == ["conv2d", fused]
    assert_same(graph, fuse_gate(graph))
    assert [node.epilogue for node in optimize(graph).nodes] == [[[fused]]]


def test_another_gate_stays() -> None:
    net = Net()
    x, y = net.conv("x", 4), net.conv("x", 4)
    gate = net.op("sigmoid", x)
    graph = net.graph(net.op("mul", y, gate), net.op("mul", gate, gate))
    assert [node.op for node in fuse_gate(graph).nodes] == [node.op for node in graph.nodes]


def test_a_gate_that_others_read_stays_beside_it() -> None:
    net = Net()
    gate = net.op("sigmoid", "x")
    graph = net.graph(net.op("mul", "x", gate), net.op("relu", gate))
    assert [node.op for node in fuse_gate(graph).nodes] == ["sigmoid", "silu", "relu"]
    assert_same(graph, fuse_gate(graph))
