"""What lowerings of all targets ask of a node, held against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from sparsenet.graph import Shape
from sparsenet.plan.lowering.axes import AxisSplit, broadcast_strides, contiguous_strides, merge_axes
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.epilogue import as_fused_step, fused_steps
from sparsenet.plan.lowering.geometry import Geometry, reciprocals
from sparsenet.plan.lowering.matmul import Products
from sparsenet.plan.lowering.picks import Picks
from sparsenet.plan.lowering.reduction import Reduction


def test_strides_are_those_of_numpy() -> None:
    x = np.zeros((2, 3, 1, 5), np.int8)
    assert contiguous_strides(x.shape) == list(np.zeros(x.shape, np.int8).strides)
    assert broadcast_strides((3, 1, 5), (5, 5, 1), (2, 3, 4, 5)) == list(
        np.broadcast_to(x[0], (2, 3, 4, 5)).strides
    )


def test_axes_that_follow_each_other_are_one() -> None:
    assert merge_axes((2, 1, 3, 4), (12, 5, 4, 1), (0, 9, 4, 1)) == ([2, 12], [[12, 1], [0, 1]])
    assert merge_axes((1, 1), (7, 7)) == ([1], [[0]])


def test_an_axis_with_those_around_it() -> None:
    assert AxisSplit.of((2, 3, 4, 5), 2) == AxisSplit(6, 4, 5)


@pytest.mark.parametrize("kind, scale", [("mean", 1 / 15), ("max", 1.0)])
def test_a_mean_is_a_scaled_sum(kind: str, scale: float) -> None:
    node = Node("reduce", "node", ["x"], ["y"], {"kind": kind, "axes": [3, 1]})
    operation = "sum" if kind == "mean" else kind
    assert Reduction.of(node, (2, 3, 4, 5)) == Reduction(operation, (0, 2), (1, 3), scale)


def test_products_begin_where_their_operands_are_broadcast_from() -> None:
    products = Products.of((2, 1, 4, 6), (2, 3, 4, 5))
    assert (products.number, products.rows, products.depth, products.columns) == (6, 4, 6, 5)
    assert products.starts((2, 1, 4, 6), (24, 24, 6, 1)).tolist() == [0, 0, 0, 24, 24, 24]
    assert products.starts((3, 6, 5), (30, 5, 1)).tolist() == [0, 30, 60] * 2


def test_several_indices_lead_to_a_run() -> None:
    assert Picks.of((2, 3, 4, 5), (2, 7, 9, 2)) == Picks(63, 5, (3, 4), (20, 5))


def _windows(op: str, size: tuple[int, int], out: tuple[int, int], **attrs: object) -> tuple[Node, Geometry]:
    node = Node(op, "node", ["x", "w"], ["y"], attrs)
    shapes: dict[str, Shape] = {"x": (None, 3, *size), "w": (4, 3, 3, 2), "y": (None, 4, *out)}
    return node, Geometry.of(node, shapes)


def test_windows_of_a_convolution_take_their_size_from_its_weights() -> None:
    _, geometry = _windows("conv2d", (9, 8), (5, 8), stride=[2, 1], padding=[1, 0, 1, 1])
    assert geometry == Geometry((3, 2), (2, 1), (1, 0), (1, 1), (9, 8), (5, 8))
    assert geometry.halo == (1, 1, 1)


def test_padding_that_no_window_reaches_is_no_halo() -> None:
    _, geometry = _windows("conv2d", (8, 8), (4, 4), stride=[2, 2], padding=[1, 1, 1, 1])
    assert geometry.halo == (1, 0, 1)


@pytest.mark.parametrize("counted, want", [(True, [2, 2, 2]), (False, [1, 2, 1])])
def test_an_average_counts_the_image_or_also_its_padding(counted: bool, want: list[int]) -> None:
    node, geometry = _windows(
        "avg_pool2d", (4, 4), (3, 3), kernel=[2, 2], stride=[2, 2], padding=[1, 1, 1, 1], count_include_pad=counted
    )  # fmt: skip
    np.testing.assert_array_equal(1 / reciprocals(node, geometry, 0), np.float32(want))


def _convolution(op: str, weight: tuple[int, ...], size: tuple[int, int], **attrs: object) -> Convolution:
    groups = attrs.get("groups", 1)
    assert isinstance(groups, int)
    x = (None, weight[1] * groups, *(size if op == "conv2d" else ()))
    node = Node(op, "node", ["x", "w"], ["y"], attrs)
    graph = Graph("one", [TensorInfo("x", x)], ["y"], [node], {"w": np.ones(weight, np.float32)})
    return Convolution.of(graph, graph.verify().shapes, node)


def test_kinds_of_convolutions() -> None:
    depthwise = _convolution("conv2d", (6, 1, 3, 3), (5, 5), groups=6, padding=[1, 1, 1, 1])
    pointwise = _convolution("conv2d", (4, 6, 1, 1), (5, 5))
    pixel = _convolution("conv2d", (4, 6, 5, 5), (5, 5))
    linear = _convolution("linear", (4, 6), (1, 1))
    kinds = [(c.depthwise, c.pointwise, c.one_pixel) for c in (depthwise, pointwise, pixel, linear)]
    assert kinds == [(True, False, False), (False, True, False), (False, False, True), (False, True, True)]
    assert depthwise.counts(9) == {"macs": 6 * 9 * 25, "nnz": 9, "weights": 54}
    assert linear.bias.shape == (4,)
    assert not linear.bias.any()


def test_fused_steps_name_what_they_read() -> None:
    scale, shift = np.float32([1, 2]), np.float32([3, 4])
    epilogue = [["add"], ["affine"], ["clip", -1.0, 2.0]]
    nodes = [
        Node("relu", "first", ["x"], ["r"]),
        Node("mul", "second", ["r", "r", "x", "s", "t"], ["y"], {"epilogue": epilogue}),
    ]
    graph = Graph("two", [TensorInfo("x", (None, 2))], ["y"], nodes, {"s": scale, "t": shift})
    add, affine, clip = fused_steps(graph, nodes[1])
    assert (add.op, add.tensors, clip.op, clip.numbers) == ("add", ("x",), "clip", (-1.0, 2.0))
    assert affine.vectors[0] is scale
    assert affine.vectors[1] is shift
    assert as_fused_step(graph, nodes[0]).op == "relu"
    assert fused_steps(graph, nodes[0]) == []


def test_batch_normalization_is_an_affine_step() -> None:
    node = Node("batch_norm", "node", ["x", "g", "b", "m", "v"], ["y"], {"eps": 0.0})
    constants = {"g": np.float32([2]), "b": np.float32([1]), "m": np.float32([3]), "v": np.float32([4])}
    step = as_fused_step(Graph("one", [TensorInfo("x", (None, 1))], ["y"], [node], constants), node)
    assert step.op == "affine"
    assert [vector.tolist() for vector in step.vectors] == [[1.0], [-2.0]]
