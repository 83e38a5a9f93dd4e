"""Pooling, elementwise ops and data movement on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.errors import UnsupportedOpError
from sparsenet.graph.ops import ACTIVATIONS
from tests.full import crossed, spread
from tests.sparsenet.float32_ends import PARAMETERS, assert_close, exact, numbers, stated_bounds
from tests.sparsenet.one_node import one_node_graph
from tests.sparsenet.targets.cuda.against_oracle import assert_gpu_matches, pruned


@pytest.mark.parametrize(
    "op, attrs",
    crossed(
        ["max_pool2d", "avg_pool2d"],
        [
            {"kernel": [2, 2], "stride": [2, 2]},
            {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1], "ceil_mode": True},
            {"kernel": [3, 2], "stride": [1, 3], "padding": [0, 1, 2, 0]},
        ],
    ),
)
def test_pooling(op: str, attrs: dict[str, Any]) -> None:
    assert_gpu_matches(one_node_graph(op, {"x": (2, 3, 7, 6)}, attrs=attrs), batch=2)


def test_max_pooling_with_dilation_and_average_pooling_of_data_alone() -> None:
    window = {"kernel": [2, 2], "stride": [1, 1], "padding": [1, 1, 1, 1]}
    assert_gpu_matches(
        one_node_graph("max_pool2d", {"x": (1, 2, 6, 5)}, attrs={**window, "dilation": [2, 2]})
    )
    assert_gpu_matches(
        one_node_graph("avg_pool2d", {"x": (1, 2, 6, 5)}, attrs={**window, "count_include_pad": False})
    )


@pytest.mark.parametrize("size", spread([(7, 7), (1, 1), (17, 16)]))
def test_global_average_pooling_ignores_the_zeros_between_rows(size: tuple[int, int]) -> None:
    nodes = [
        Node("conv2d", "conv", ["x", "w"], ["c"], {"padding": [1, 1, 1, 1]}),
        Node("global_avg_pool2d", "pool", ["c"], ["y"]),
    ]
    weight = pruned((3, 2, 3, 3), 0.2)
    graph = Graph("pool", [TensorInfo("x", (None, 2, *size))], ["y"], nodes, {"w": weight})
    assert_gpu_matches(graph, batch=2)


@pytest.mark.filterwarnings("ignore:.*encountered in scalar:RuntimeWarning")  # by the simulator's NumPy
@pytest.mark.parametrize("word", ACTIVATIONS)
def test_activations_at_the_ends_of_float32(word: str) -> None:
    x = numbers(1, 80_000_003)
    got = Engine(one_node_graph(word, {"x": (1, x.size)}, attrs=PARAMETERS.get(word)), device="cuda")(x[None])
    assert_close(got[0], exact(word, 1, 80_000_003), stated_bounds()[word], x)


@pytest.mark.parametrize(
    "op, other",
    crossed(
        ["add", "sub", "mul", "div", "maximum", "minimum", "greater", "less", "equal"],
        ["as large", "channels", "constant"],
    ),
)
def test_arithmetic_broadcasts(op: str, other: str) -> None:
    full, channel = (2, 3, 4, 5), (2, 3, 1, 1)
    if other == "constant":
        constant = np.linspace(-1, 1.1, 15).reshape(3, 1, 5).astype(np.float32)
        graph = one_node_graph(op, {"a": full}, {"b": constant})
    else:
        graph = one_node_graph(op, {"a": full if other == "as large" else channel, "b": full})
    assert_gpu_matches(graph, batch=2)


def test_powers() -> None:
    x = np.array([[-2.0, -0.5, 0.0, 0.5, 3.0]], np.float32)
    graph = one_node_graph("pow", {"x": x.shape}, {"b": np.float32([2, 3, -1, 0.5, -2])})
    assert_gpu_matches(graph, feeds={"x": x + (x == 0)})


def test_powers_of_zero_below_zero_are_infinite() -> None:
    x = np.array([[0.0, -0.0, 0.0, -0.0, 0.0, -0.0]], np.float32)
    graph = one_node_graph("pow", {"x": x.shape}, {"b": np.float32([-3, -3, -2, -2, -0.5, -0.5])})
    got = Engine(graph, device="cuda")(x)
    np.testing.assert_array_equal(got, np.array([[1, -1, 1, 1, 1, 1]]) * np.inf)


@pytest.mark.parametrize(
    "shape, axis", spread([((2, 4, 3, 2), 1), ((3, 7), 1), ((2, 3, 4), 2), ((1, 2, 3, 4), 3)])
)
def test_softmax(shape: tuple[int, ...], axis: int) -> None:
    graph = one_node_graph("softmax", {"x": shape}, attrs={"axis": axis})
    assert_gpu_matches(graph, batch=shape[0])


MOVEMENTS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("flatten", (2, 3, 4, 2), {}),
    ("reshape", (2, 12), {"shape": [3, 2, 2]}),
    ("reshape", (2, 3, 4), {"shape": [2, -1]}),
    ("transpose", (2, 3, 4, 5), {"perm": [0, 2, 3, 1]}),
    ("transpose", (2, 3, 4, 5), {"perm": [0, 3, 1, 2]}),
    ("transpose", (2, 3, 4), {"perm": [0, 2, 1]}),
    ("slice", (2, 6, 4, 5), {"axis": 1, "start": 5, "count": 3, "step": -2}),
    ("slice", (2, 3, 4, 7), {"axis": 3, "start": 1, "count": 3, "step": 2}),
    ("expand", (2, 3, 1, 5), {"shape": [3, 4, 5]}),
    ("pad", (2, 3, 4, 5), {"padding": [1, 2, 0, 3], "value": -1.5}),
    ("resize", (1, 2, 3, 4), {"size": [7, 9]}),
    ("resize", (1, 2, 5, 4), {"size": [7, 3], "mode": "bilinear"}),
    ("resize", (1, 2, 5, 4), {"size": [3, 8], "mode": "bilinear", "coordinates": "align_corners"}),
    ("identity", (2, 3, 4, 5), {}),
    ("dropout", (2, 3), {}),
]


@pytest.mark.parametrize("op, shape, attrs", MOVEMENTS)
def test_movement(op: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    assert_gpu_matches(one_node_graph(op, {"x": shape}, attrs=attrs), batch=shape[0])


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat(axis: int) -> None:
    shapes = [(2, 3, 4, 5), (2, 3, 4, 5)]
    shapes[1] = tuple(2 if i == axis else size for i, size in enumerate(shapes[1]))  # type: ignore[assignment]
    graph = one_node_graph("concat", {"a": shapes[0], "b": shapes[1]}, attrs={"axis": axis})
    assert_gpu_matches(graph, batch=2)


def test_batch_norm_and_affine() -> None:
    one = np.linspace(0.5, 1.5, 3).astype(np.float32)
    constants = {"scale": one, "bias": -one, "mean": one / 2, "var": one}
    assert_gpu_matches(one_node_graph("batch_norm", {"x": (2, 3, 4, 4)}, constants), batch=2)
    assert_gpu_matches(one_node_graph("affine", {"x": (2, 3)}, {"scale": one, "shift": -one}), batch=2)


@pytest.mark.parametrize(
    "kind, over",
    crossed(
        ["sum", "mean", "max", "min", "prod"],
        [([1], True), ([2, 3], False), ([1, 2, 3], True), ([3], False), ([1, 2, 3], False)],
    ),
)
def test_reductions(kind: str, over: tuple[list[int], bool]) -> None:
    attrs = {"kind": kind, "axes": over[0], "keepdims": over[1]}
    assert_gpu_matches(one_node_graph("reduce", {"x": (2, 3, 4, 2)}, attrs=attrs), batch=2)


@pytest.mark.parametrize("axis, last", crossed([1, 2, 3], [False, True]))
def test_argmax(axis: int, last: bool) -> None:
    graph = one_node_graph("argmax", {"x": (2, 3, 4, 5)}, attrs={"axis": axis, "last": last})
    x = np.random.default_rng(0).integers(0, 3, (2, 3, 4, 5)).astype(np.float32)
    assert_gpu_matches(graph, feeds={"x": x})


def test_where_broadcasts() -> None:
    shapes = {"condition": (2, 1, 4, 5), "a": (2, 3, 4, 5)}
    constant = np.linspace(-1, 1, 3).reshape(3, 1, 1).astype(np.float32)
    graph = one_node_graph("where", shapes, {"b": constant})
    rng = np.random.default_rng(0)
    feeds = {
        "condition": (rng.random((2, 1, 4, 5)) < 0.5).astype(np.float32),
        "a": rng.standard_normal((2, 3, 4, 5)).astype(np.float32),
    }
    assert_gpu_matches(graph, feeds=feeds)


def test_a_nan_survives_a_reduction() -> None:
    x = np.ones((1, 4), np.float32)
    x[0, 1] = np.nan
    for kind in ("max", "min", "sum"):
        graph = one_node_graph("reduce", {"x": (1, 4)}, attrs={"kind": kind, "axes": [1]})
        assert np.isnan(Engine(graph, device="cuda")(x)).all()


def test_a_nan_survives_max_pooling_wherever_it_stands_in_the_window() -> None:
    graph = one_node_graph("max_pool2d", {"x": (1, 1, 2, 2)}, attrs={"kernel": [2, 2], "stride": [1, 1]})
    engine = Engine(graph, device="cuda")
    for place in range(4):
        x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
        x.reshape(-1)[place] = np.nan
        assert np.isnan(engine(x)).all()


def test_what_a_gpu_cannot_run_is_named_all_at_once() -> None:
    nodes = [
        Node("nonzero", "which", ["x"], ["a"]),
        Node("relu", "fine", ["a"], ["b"]),
        Node("nms", "best", ["boxes", "scores"], ["y"], {"count": 2}),
    ]
    inputs = [
        TensorInfo("x", (None, 3)),
        TensorInfo("boxes", (None, 1, 4, 4)),
        TensorInfo("scores", (None, 1, 2, 4)),
    ]
    graph = Graph("odd", inputs, ["b", "y"], nodes)
    with pytest.raises(
        UnsupportedOpError, match=r"2 nodes .*'which' \(nonzero\).*'best' \(nms\): the op has"
    ):
        Engine(graph, device="cuda")
