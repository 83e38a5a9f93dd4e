"""Every op of the table through the engine, alone and between convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo
from tests.sparsenet.against_reference import assert_engine_matches

RNG = np.random.default_rng(5)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(
    op: str,
    shapes: list[tuple[int, ...]],
    attrs: dict[str, Any] | None = None,
    constants: dict[str, np.ndarray] | None = None,
) -> Graph:
    """One node over inputs of these shapes (without batch), constants after them."""
    constants = constants or {}
    infos = [TensorInfo(f"x{i}", (None, *shape)) for i, shape in enumerate(shapes)]
    node = Node(op, "node", [info.name for info in infos] + list(constants), ["y"], attrs or {})
    graph = Graph("op", infos, ["y"], [node], constants)
    graph.verify()
    return graph


MAP, FLAT, WIDE = (5, 9, 21), (37,), (3, 6, 70)

ACTIVATION_ATTRS: dict[str, dict[str, float]] = {
    "leaky_relu": {"slope": 0.2},
    "clip": {"min": -0.5, "max": 0.5},
}


@pytest.mark.parametrize("shape", [MAP, FLAT, WIDE, (4, 1, 1), (6, 7)], ids=str)
@pytest.mark.parametrize(
    "op",
    [
        "relu",
        "leaky_relu",
        "clip",
        "sigmoid",
        "tanh",
        "silu",
        "hard_sigmoid",
        "hard_swish",
        "identity",
        "dropout",
    ],
)
def test_activations(op: str, shape: tuple[int, ...]) -> None:
    assert_engine_matches(graph_of(op, [shape], ACTIVATION_ATTRS.get(op)))


@pytest.mark.parametrize("shape", [MAP, FLAT, WIDE], ids=str)
def test_affine_and_batch_norm(shape: tuple[int, ...]) -> None:
    channels = shape[0]
    assert_engine_matches(graph_of("affine", [shape], None, {"s": array(channels), "t": array(channels)}))
    statistics = {
        "g": array(channels),
        "b": array(channels),
        "m": array(channels),
        "v": array(channels) ** 2 + 0.1,
    }
    assert_engine_matches(graph_of("batch_norm", [shape], None, statistics))


def test_a_variance_below_zero_is_no_number() -> None:
    statistics = {name: array(4) for name in "gbm"} | {"v": -np.ones(4, np.float32)}
    graph = graph_of("batch_norm", [(4, 5, 6)], None, statistics)
    x = np.zeros((1, 4, 5, 6), np.float32)
    assert np.isnan(Engine(graph, 1)(x)).all()


@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    "shape, attrs",
    [
        ((3, 12, 20), {"kernel": [2, 2], "stride": [2, 2]}),
        ((3, 13, 21), {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]}),
        ((3, 14, 34), {"kernel": [3, 3], "stride": [2, 2], "padding": [0, 0, 1, 1]}),
        ((3, 9, 9), {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1]}),
        ((3, 9, 40), {"kernel": [3, 2], "stride": [3, 3], "padding": [1, 0, 0, 1], "ceil_mode": True}),
        ((3, 11, 11), {"kernel": [3, 3], "stride": [2, 2], "ceil_mode": True}),
        ((2, 7, 7), {"kernel": [7, 7], "stride": [1, 1]}),
        ((2, 40, 40), {"kernel": [19, 19], "stride": [2, 2], "padding": [9, 9, 9, 9]}),
        ((2, 16, 16), {"kernel": [1, 1], "stride": [2, 2]}),
        ((2, 15, 70), {"kernel": [5, 4], "stride": [4, 5], "padding": [2, 1, 2, 1]}),
    ],
    ids=str,
)
def test_pooling(op: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    assert_engine_matches(graph_of(op, [shape], attrs))


def test_max_pool_dilation_and_all_negative_borders() -> None:
    attrs = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [2, 2]}
    assert_engine_matches(graph_of("max_pool2d", [(3, 11, 19)], attrs))
    graph = Graph(
        "negative",
        [TensorInfo("x", (None, 2, 6, 6))],
        ["y"],
        [
            Node("affine", "down", ["x", "s", "t"], ["d"]),
            Node(
                "max_pool2d",
                "pool",
                ["d"],
                ["y"],
                {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]},
            ),
        ],
        {"s": np.ones(2, np.float32), "t": np.full(2, -100, np.float32)},
    )
    assert_engine_matches(graph)


def test_avg_pool_without_counting_the_padding() -> None:
    attrs = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1], "count_include_pad": False}
    assert_engine_matches(graph_of("avg_pool2d", [(3, 12, 37)], attrs))
    assert_engine_matches(
        graph_of("avg_pool2d", [(3, 12, 37)], {**attrs, "stride": [1, 1], "ceil_mode": True})
    )


@pytest.mark.parametrize("shape", [(6, 7, 7), (3, 2, 50), (5, 1, 1)], ids=str)
def test_global_avg_pool(shape: tuple[int, ...]) -> None:
    assert_engine_matches(graph_of("global_avg_pool2d", [shape]))


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize(
    "a, b",
    [(MAP, MAP), (FLAT, FLAT), (MAP, (5, 1, 1)), ((5, 1, 1), MAP), (MAP, (1, 9, 21)), ((6, 7), (6, 7))],
    ids=str,
)
def test_arithmetic(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert_engine_matches(graph_of(op, [a, b]))


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize("constant", [(1,), (5, 1, 1), (1, 5, 1, 1), (21,)], ids=str)
def test_arithmetic_with_constants(op: str, constant: tuple[int, ...]) -> None:
    assert_engine_matches(graph_of(op, [MAP], None, {"c": array(*constant)}))


def test_arithmetic_epilogues() -> None:
    for op in ("add", "sub", "mul"):
        for shapes in ([MAP, MAP], [FLAT, FLAT], [MAP, (5, 1, 1)]):
            assert_engine_matches(graph_of(op, shapes, {"epilogue": [["relu"]]}))


@pytest.mark.parametrize(
    "shape, axis", [((10,), 1), ((6, 7), 1), ((6, 7), 2), ((4, 5, 6), 1), ((4, 5, 6), 3)], ids=str
)
def test_softmax(shape: tuple[int, ...], axis: int) -> None:
    assert_engine_matches(graph_of("softmax", [shape], {"axis": axis}))


@pytest.mark.parametrize(
    "shapes, axis",
    [
        ([(3, 5, 20), (4, 5, 20)], 1),
        ([(3, 5, 20), (3, 2, 20)], 2),
        ([(3, 5, 20), (3, 5, 9)], 3),
        ([(3,), (20,)], 1),
        ([(4, 3), (9, 3)], 1),
        ([(4, 3), (4, 5)], 2),
    ],
    ids=str,
)
def test_concat(shapes: list[tuple[int, ...]], axis: int) -> None:
    assert_engine_matches(graph_of("concat", shapes, {"axis": axis}))


def test_data_movement() -> None:
    assert_engine_matches(graph_of("flatten", [MAP]))
    assert_engine_matches(graph_of("reshape", [MAP], {"shape": [9, -1]}))
    assert_engine_matches(graph_of("transpose", [MAP], {"perm": [0, 2, 3, 1]}))
    assert_engine_matches(graph_of("transpose", [(6, 7)], {"perm": [0, 2, 1]}))
    assert_engine_matches(graph_of("pad", [MAP], {"padding": [1, 2, 0, 3]}))
    assert_engine_matches(graph_of("pad", [MAP], {"padding": [1, 0, 2, 1], "value": -1.5}))


@pytest.mark.parametrize("size", [(18, 42), (5, 10), (9, 21), (20, 50), (1, 1)], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "half_pixel", "align_corners"])
def test_resize(size: tuple[int, int], mode: str) -> None:
    attrs = {"size": list(size), "mode": "nearest"}
    if mode != "nearest":
        attrs = {"size": list(size), "mode": "bilinear", "coordinates": mode}
    assert_engine_matches(graph_of("resize", [MAP], attrs))


@pytest.mark.parametrize("c_in, c_out", [(1, 1), (5, 4), (64, 10), (33, 70), (130, 17)])
@pytest.mark.parametrize("sparsity", [0.0, 0.9])
def test_linear(c_in: int, c_out: int, sparsity: float) -> None:
    weight = array(c_out, c_in)
    weight[RNG.random(weight.shape) < sparsity] = 0
    assert_engine_matches(
        graph_of("linear", [(c_in,)], {"epilogue": [["relu"]]}, {"w": weight, "b": array(c_out)})
    )


def test_linear_of_more_inputs_than_16_bits_number() -> None:
    weight = array(5, 70_000)
    weight[RNG.random(weight.shape) < 0.99] = 0
    assert_engine_matches(graph_of("linear", [(70_000,)], {}, {"w": weight, "b": array(5)}))


def test_rearranged_maps_feed_convolutions() -> None:
    """A tensor written in C order, read through a halo: the conversion must zero what the window sees."""
    weight = array(4, 21, 3, 3)
    graph = Graph(
        "mixed",
        [TensorInfo("x", (None, *MAP))],
        ["y", "z"],
        [
            Node("transpose", "t", ["x"], ["t"], {"perm": [0, 3, 2, 1]}),
            Node("conv2d", "c", ["t", "w"], ["y"], {"padding": [1, 1, 1, 1], "stride": [1, 1]}),
            Node("conv2d", "s", ["t", "w"], ["z"], {"padding": [1, 1, 1, 1], "stride": [2, 2]}),
        ],
        {"w": weight},
    )
    assert_engine_matches(graph)
