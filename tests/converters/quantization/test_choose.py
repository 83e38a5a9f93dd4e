"""Which layers integers are to compute, how they are taken apart for it, and which tensors share a grid."""

from __future__ import annotations

import pytest

from converters import passes
from converters.passes.affine_as_depthwise import affine_as_depthwise
from converters.quantization.choose import choose, kept_float
from converters.quantization.split import split_epilogues
from sparsenet.errors import InputError
from tests.converters.passes.networks import Net, assert_same
from tests.converters.quantization.networks import mixed


def test_taking_apart_changes_no_number() -> None:
    graph = mixed()
    names = {node.name for node in graph.nodes}
    parts = split_epilogues(graph, names)
    assert len(parts.nodes) > len(graph.nodes)
    assert_same(graph, parts)
    assert_same(graph, affine_as_depthwise(parts, {node.name for node in parts.nodes}))
    assert split_epilogues(graph, ()).nodes == graph.nodes


def test_an_epilogue_of_everything() -> None:
    net = Net((3, 8, 8))
    x = net.conv("x", 5, 3)
    y = net.conv("x", 5, 3, bias=False, name="all")
    node = net.built.nodes[-1]
    scale, shift = net.constant("s", [1.0, -2, 0.5, 3, 1]), net.constant("t", [0.0, 1, 2, 3, 4])
    node.inputs = [*node.inputs[:2], "", x, scale, shift]
    node.attrs["epilogue"] = [
        ["add"],
        ["relu"],
        ["clip", 0.0, 3.0],
        ["silu"],
        ["affine"],
        ["leaky_relu", 0.1],
    ]
    graph = net.graph(net.op("softmax", net.head(y), axis=1))
    choice = choose(graph, ())
    assert_same(graph, choice.graph)
    done = {node.name: (node.op, [step[0] for step in node.epilogue]) for node in choice.nodes}
    assert done["all"] == ("conv2d", ["add", "relu", "clip"])
    assert done["all.silu"] == ("silu", [])
    assert done["all.affine"] == ("conv2d", ["leaky_relu"])


def test_what_is_computed_in_integers() -> None:
    choice = choose(mixed(), ())
    assert_same(mixed(), choice.graph)
    left = [node.op for node in choice.graph.nodes if node not in choice.nodes]
    assert left == ["softmax"]
    tables = [node.op for node in choice.nodes if not node.epilogue and node.op in ("silu", "hard_swish")]
    assert tables == ["silu", "hard_swish"]
    scaling = next(node for node in choice.nodes if node.name == "scaling")
    assert (scaling.op, scaling.attrs["groups"]) == ("conv2d", 16)


def test_tensors_that_share_a_grid() -> None:
    groups = choose(mixed(), ()).groups
    joined = {"stem.y", "sum.y", "pool.y", "pool2.y", "join.y"}
    assert {name for name in groups if groups[name] == groups["join.y"]} == joined
    assert choose(mixed(), ()).sources.count("join.y") == 0


def test_layers_that_stay_float32() -> None:
    graph = mixed()
    assert kept_float(graph, ["first"]) == {"stem"}
    head = graph.nodes[-2].name
    assert kept_float(graph, ["last"]) == {head}
    assert kept_float(graph, ["st*", "gate"]) == {"stem", "gate"}
    choice = choose(graph, ["first", "last", "block"])
    names = {node.name for node in choice.nodes}
    assert names.isdisjoint({"stem", head, "block", "block.silu"})
    assert "silu" in str(next(node.epilogue for node in choice.graph.nodes if node.name == "block"))
    with pytest.raises(InputError, match=r"no layer with weights is called 'sum'; there are stem, "):
        choose(graph, ["sum"])


def test_several_heads_and_stems() -> None:
    net = Net((3, 8, 8))
    a, b = net.conv("x", 4, name="a"), net.conv("x", 4, name="b")
    middle = net.conv(net.op("add", a, b), 4, name="middle")
    graph = net.graph(
        net.conv(middle, 2, name="boxes"), net.op("sigmoid", net.conv(middle, 2, name="scores"))
    )
    assert kept_float(graph, ["first"]) == {"a", "b"}
    assert kept_float(graph, ["last"]) == {"boxes", "scores"}


def test_a_layer_called_first_is_meant_by_its_name() -> None:
    net = Net((3, 8, 8))
    graph = net.graph(net.conv(net.conv("x", 4, name="other"), 4, name="first"))
    assert kept_float(graph, ["first"]) == {"first"}


def test_a_layer_that_scales_a_channel_much_is_one_for_integers() -> None:
    """As a batch normalization does with a channel that hardly varies."""
    net = Net((64, 6, 6))
    x = net.op("relu", net.conv("x", 4, 3))
    scale, shift = net.constant("scale", [1.0, 2000.0, 1.0, 1.0]), net.constant("shift", [0.0] * 4)
    graph = passes.optimize(net.graph(net.op("affine", x, scale, shift)))
    assert len(choose(graph, ()).nodes) == len(graph.nodes)
