from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.passes import fold_affine, fold_affine_forward, merge_affine
from tests.converters.passes.networks import Net, assert_same, describe


def test_affines_in_a_row_are_one() -> None:
    net = Net()
    graph = net.graph(net.affine(net.affine(net.affine("x", name="a")), name="c"))
    after = merge_affine(graph)
    assert_same(graph, after)
    assert describe(after) == ["affine(x) -> c.y"]


def test_affines_with_something_between_them_stay() -> None:
    net = Net()
    a = net.affine("x", name="a")
    graph = net.graph(net.affine(a, name="b"), net.op("relu", a))
    assert merge_affine(graph).nodes == graph.nodes
    fused = Net()
    graph = fused.graph(fused.affine(fused.affine("x", name="a"), name="b"))
    graph.nodes[0].attrs["epilogue"] = [["relu"]]
    assert merge_affine(graph).nodes == graph.nodes


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_affine_folds_into_the_convolution_before_it(bias: bool, groups: int) -> None:
    net = Net((6, 5, 5))
    graph = net.graph(net.affine(net.affine(net.conv("x", 12, bias=bias, groups=groups)), name="b"))
    net.kill(graph.nodes[0].name, [0, 3])
    after = fold_affine(graph)
    assert_same(graph, after)
    assert describe(after) == ["conv2d(x) -> b.y"]
    weight = next(after.weights())[2]
    assert not weight[[0, 3]].any()


def test_affine_folds_into_the_linear_layer_before_it() -> None:
    net = Net((6,))
    graph = net.graph(net.affine(net.linear("x", 4, bias=False)))
    after = fold_affine(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes] == ["linear"]


def test_affine_keeps_its_epilogue_when_folded() -> None:
    net = Net((6, 5, 5))
    y = net.conv("x", 4, bias=False)
    other = net.conv("x", 4, 1, name="other")
    graph = net.graph(net.affine(y, name="a"))
    graph.nodes[2].attrs["epilogue"] = [["add"], ["relu"]]
    graph.nodes[2].inputs.append(other)
    after = fold_affine(graph)
    assert_same(graph, after)
    assert describe(after) == ["conv2d(x) -> other.y", "conv2d(x)+add+relu -> a.y"]


def test_affine_behind_relu_or_beside_another_reader_is_not_folded() -> None:
    net = Net()
    y = net.conv("x", 4)
    z = net.conv("x", 4)
    graph = net.graph(net.affine(net.op("relu", y)), net.affine(z), z)
    assert fold_affine(graph).nodes == graph.nodes
    fused = Net()
    graph = fused.graph(fused.affine(fused.conv("x", 4)))
    graph.nodes[0].attrs["epilogue"] = [["relu"]]
    assert fold_affine(graph).nodes == graph.nodes


def test_weights_shared_by_two_convolutions_are_scaled_for_one_only() -> None:
    net = Net()
    a = net.affine(net.conv("x", 4, name="a"))
    graph = net.graph(a, net.op("conv2d", "x", "a.weight", "a.bias"))
    assert_same(graph, fold_affine(graph))


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("bias", [False, True])
def test_affine_folds_forward_into_an_unpadded_convolution(groups: int, bias: bool) -> None:
    net = Net((6, 5, 5))
    x = net.affine(net.op("relu", "x"))
    graph = net.graph(net.conv(x, 12, bias=bias, groups=groups, padding=0, name="c"))
    graph.nodes[-1].attrs["epilogue"] = [["relu"]]
    after = fold_affine_forward(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes] == ["relu", "conv2d"]


def test_affine_never_folds_across_zero_padding() -> None:
    net = Net()
    graph = net.graph(net.conv(net.affine(net.op("relu", "x")), 4, padding=1))
    assert fold_affine_forward(graph).nodes == graph.nodes


def test_scale_without_shift_folds_across_zero_padding() -> None:
    net = Net()
    graph = net.graph(net.conv(net.affine(net.op("relu", "x"), name="a"), 4, bias=False))
    graph.constants["a.shift"] = np.zeros(3, np.float32)
    after = fold_affine_forward(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes] == ["relu", "conv2d"]
    assert after.nodes[-1].inputs[2] == ""


@pytest.mark.parametrize(
    "op, attrs", [("flatten", {}), ("reshape", {"shape": [60]})], ids=["flatten", "reshape"]
)
def test_affines_fold_through_flattening_into_linear(op: str, attrs: dict[str, Any]) -> None:
    net = Net((3, 4, 5))
    x = net.op(op, net.affine(net.affine(net.op("relu", "x"))), **attrs)
    graph = net.graph(net.linear(x, 4))
    after = fold_affine_forward(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes] == ["relu", op, "linear"]
    assert after.nodes[1].output not in graph.shapes()  # it holds other numbers now, so it has another name


def test_a_row_of_affines_folds_forward_from_its_end() -> None:
    net = Net()
    graph = net.graph(net.conv(net.affine(net.affine(net.op("relu", "x"))), 4, 1))
    after = fold_affine_forward(graph)
    assert_same(graph, after)
    assert [n.op for n in after.nodes] == ["relu", "conv2d"]


def test_affine_that_others_read_stays() -> None:
    net = Net()
    x = net.affine("x")
    graph = net.graph(net.conv(x, 4, 1), x)
    assert fold_affine_forward(graph).nodes == graph.nodes


def test_what_leaves_float32_is_infinite() -> None:
    net = Net((6,))
    graph = net.graph(net.affine(net.affine("x", name="a"), name="b"))
    for name in graph.constants:
        graph.constants[name] = np.full_like(graph.constants[name], 1e30)
    after = merge_affine(graph)
    assert all(np.isposinf(array).all() for array in after.constants.values())
