from __future__ import annotations

from converters.passes import remove_identity
from tests.converters.passes.networks import Net, assert_same, describe


def test_in_the_middle() -> None:
    net = Net()
    x = net.op("dropout", net.op("identity", net.op("relu", "x", name="r")))
    graph = net.graph(net.op("tanh", x, name="t"), net.op("silu", x, name="s"))
    after = remove_identity(graph)
    assert_same(graph, after)
    assert describe(after) == ["relu(x) -> r.y", "tanh(r.y) -> t.y", "silu(r.y) -> s.y"]


def test_at_the_output_the_tensor_before_takes_the_name() -> None:
    net = Net()
    x = net.op("relu", "x", name="r")
    other = net.op("tanh", x, name="t")
    graph = net.graph(net.op("identity", net.op("dropout", x), name="out"), other)
    after = remove_identity(graph)
    assert_same(graph, after)
    assert describe(after) == ["relu(x) -> out.y", "tanh(out.y) -> t.y"]


def test_between_input_and_output_it_stays_as_identity() -> None:
    net = Net()
    graph = net.graph(net.op("dropout", "x", name="out", p=0.1))
    after = remove_identity(graph)
    assert_same(graph, after)
    assert describe(after) == ["identity(x) -> out.y"]


def test_between_two_outputs_it_stays() -> None:
    net = Net()
    a = net.op("relu", "x", name="a")
    graph = net.graph(a, net.op("identity", a, name="b"), net.op("identity", a, name="c"))
    after = remove_identity(graph)
    assert_same(graph, after)
    assert len(after.nodes) == 3
