"""The small clean-ups: dead nodes, reshapes, constants as operands, explicit padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.passes import (
    batch_norm_to_affine,
    constant_operand_to_affine,
    eliminate_dead,
    fold_pad,
    simplify_reshape,
)
from tests.converters.passes.networks import Net, assert_same, describe


def test_dead_nodes_and_constants_go_inputs_stay() -> None:
    net = Net()
    x = net.op("relu", "x", name="r")
    net.op("tanh", net.conv(x, 4))
    net.constant("nobody", [1.0])
    graph = net.graph(x)
    after = eliminate_dead(graph)
    assert describe(after) == ["relu(x) -> r.y"]
    assert not after.constants
    assert_same(graph, after)


def test_a_graph_that_returns_its_input() -> None:
    net = Net()
    net.op("relu", "x")
    assert eliminate_dead(net.graph("x")).nodes == []


def test_reshape_chain_of_one_pixel_becomes_one_flatten() -> None:
    net = Net((6, 4, 4))
    x = net.op("global_avg_pool2d", "x", name="g")
    x = net.op("reshape", net.op("reshape", x, shape=[6]), shape=[6, 1, 1])
    graph = net.graph(net.op("flatten", net.op("reshape", x, shape=[-1]), name="f"))
    after = simplify_reshape(graph)
    assert_same(graph, after)
    assert describe(after) == ["global_avg_pool2d(x) -> g.y", "flatten(g.y) -> f.y"]


def test_reshape_to_the_same_shape_goes() -> None:
    net = Net((6, 4, 4))
    graph = net.graph(net.op("relu", net.op("reshape", "x", shape=[6, -1, 4]), name="r"))
    assert describe(simplify_reshape(graph)) == ["relu(x) -> r.y"]


def test_reshape_that_others_read_stays() -> None:
    net = Net((6, 4, 4))
    x = net.op("reshape", "x", shape=[4, 6, 4])
    graph = net.graph(net.op("relu", x), net.op("flatten", x, name="f"))
    after = simplify_reshape(graph)
    assert_same(graph, after)
    assert "flatten(x) -> f.y" in describe(after)


def test_batch_norm_is_one_affine_in_float64() -> None:
    net = Net()
    graph = net.graph(net.batch_norm("x", name="bn"))
    graph.nodes[0].attrs["eps"] = 1e-3
    after = batch_norm_to_affine(graph)
    assert_same(graph, after, tolerance=1e-6)
    assert describe(after) == ["affine(x) -> bn.y"]
    assert len(after.constants) == 2
    gamma, variance = (graph.constants[f"bn.{key}"].astype(np.float64) for key in ("scale", "var"))
    np.testing.assert_array_equal(
        after.constants[after.nodes[0].inputs[1]], (gamma / np.sqrt(variance + 1e-3)).astype(np.float32)
    )


def test_batch_norms_that_share_their_constants() -> None:
    net = Net()
    first = net.batch_norm("x", name="bn")
    graph = net.graph(
        first, net.op("batch_norm", first, "bn.scale", "bn.bias", "bn.mean", "bn.bias", name="second")
    )
    graph.constants["bn.bias"] = np.abs(graph.constants["bn.bias"])
    assert_same(graph, batch_norm_to_affine(graph))


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("constant_first", [False, True])
def test_constant_operands_become_affine(op: str, shape: tuple[int, ...], constant_first: bool) -> None:
    net = Net()
    c = net.constant("c", net.rng.normal(0, 1, shape))
    graph = net.graph(net.op(op, *((c, "x") if constant_first else ("x", c))))
    graph.nodes[0].attrs["epilogue"] = [["relu"], ["add"]]
    graph.nodes[0].inputs.append("x")
    after = constant_operand_to_affine(graph)
    assert_same(graph, after)
    assert after.nodes[0].op == "affine"
    assert [step[0] for step in after.nodes[0].epilogue] == ["relu", "add"]


@pytest.mark.parametrize("shape", [(8,), (1, 8), (3, 8, 1), (1, 3, 8, 8)])
def test_constants_that_vary_along_the_map_stay(shape: tuple[int, ...]) -> None:
    net = Net()
    graph = net.graph(net.op("mul", "x", net.constant("c", net.rng.normal(0, 1, shape))))
    assert constant_operand_to_affine(graph).nodes == graph.nodes


def test_constants_along_features() -> None:
    net = Net((5,))
    graph = net.graph(net.op("add", "x", net.constant("c", net.rng.normal(0, 1, (5,)))))
    after = constant_operand_to_affine(graph)
    assert_same(graph, after)
    assert after.nodes[0].op == "affine"


def test_a_constant_that_widens_the_tensor_stays() -> None:
    net = Net((1, 4, 4))
    graph = net.graph(net.op("add", "x", net.constant("c", net.rng.normal(0, 1, (5, 1, 1)))))
    assert constant_operand_to_affine(graph).nodes == graph.nodes


@pytest.mark.parametrize("attrs", [{}, {"stride": [2, 2]}, {"dilation": [2, 1]}])
def test_pad_before_convolution(attrs: dict[str, Any]) -> None:
    net = Net((4, 9, 7))
    x = net.op("pad", net.op("pad", "x", padding=[1, 0, 2, 0]), padding=[0, 1, 0, 3])
    graph = net.graph(net.conv(x, 5, **attrs), net.conv(x, 4, groups=4, padding=0))
    after = fold_pad(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes] == ["conv2d", "conv2d"]
    assert after.nodes[0].attrs["padding"] == [2, 2, 3, 4]


@pytest.mark.parametrize(
    "own,folded",
    [
        ({}, True),
        ({"padding": [1, 1, 1, 1]}, True),
        ({"padding": [2, 1, 1, 1]}, False),  # three rows of padding do not fit a kernel of three
        ({"count_include_pad": False}, True),
        ({"padding": [1, 0, 0, 0], "count_include_pad": False}, False),
        ({"ceil_mode": True}, False),
    ],
)
def test_pad_before_average_pool(own: dict[str, Any], folded: bool) -> None:
    net = Net((4, 9, 8))
    x = net.op("pad", "x", padding=[1, 0, 1, 1])
    graph = net.graph(net.op("avg_pool2d", x, kernel=[3, 3], stride=[2, 2], **own))
    after = fold_pad(graph)
    assert_same(graph, after)
    assert len(after.nodes) == (1 if folded else 2)


@pytest.mark.parametrize("value,op", [(0.5, "conv2d"), (0.0, "max_pool2d")])
def test_pads_that_do_not_fold(value: float, op: str) -> None:
    net = Net()
    x = net.op("pad", "x", padding=[1] * 4, value=value)
    y = net.conv(x, 4) if op == "conv2d" else net.op(op, x, kernel=[3, 3], stride=[1, 1])
    graph = net.graph(y)
    assert fold_pad(graph).nodes == graph.nodes


def test_padding_with_the_image_itself_does_not_fold() -> None:
    net = Net()
    graph = net.graph(net.conv(net.op("pad", "x", padding=[1] * 4, mode="reflect"), 4))
    assert fold_pad(graph).nodes == graph.nodes


def test_a_variance_below_zero_is_no_number() -> None:
    net = Net((4, 5, 6))
    graph = net.graph(net.batch_norm("x"))
    graph.constants[graph.nodes[0].inputs[4]][:] = -1
    after = batch_norm_to_affine(graph)
    assert np.isnan(after.constants[after.nodes[0].inputs[1]]).all()
