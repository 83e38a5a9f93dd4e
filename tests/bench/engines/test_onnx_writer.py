"""What is written as ONNX computes what the NumPy reference computes, op by op and over whole networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.engines.onnx_writer import WRITERS, Affine, to_onnx, write_onnx
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.graph.ops import OPS
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.one_node import one_node_graph
from tests.sparsenet.sample_graphs import minixception, tiny_graph


def assert_onnx_matches(graph: Graph, batch: int = 2, affine: Affine = "mul_add") -> None:
    feeds = random_feeds(graph, batch)
    expected = reference.run(graph, feeds)
    session = onnxruntime.InferenceSession(to_onnx(graph, batch, affine).SerializeToString())
    for name, got in zip(graph.outputs, session.run(graph.outputs, feeds), strict=True):
        assert got.shape == expected[name].shape
        np.testing.assert_allclose(got, expected[name], rtol=1e-4, atol=1e-4)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_what_is_written_is_in_the_table() -> None:
    assert set(WRITERS) <= set(OPS)


@pytest.mark.parametrize(
    "weight, attrs",
    [
        ((5, 3, 3, 3), {"padding": [1, 1, 1, 1]}),
        ((5, 3, 3, 2), {"stride": [2, 1], "padding": [0, 1, 2, 0]}),
        ((6, 1, 3, 3), {"groups": 3, "dilation": [2, 2], "padding": [2, 2, 2, 2]}),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_conv2d(weight: tuple[int, ...], attrs: dict[str, Any], bias: bool) -> None:
    constants = {"w": numbers(*weight), **({"b": numbers(weight[0])} if bias else {})}
    assert_onnx_matches(one_node_graph("conv2d", {"x": (2, 3, 9, 8)}, constants, attrs))


@pytest.mark.parametrize("affine", ["mul_add", "batch_norm"])
def test_epilogue_words_come_in_order(affine: Affine) -> None:
    constants = {"w": numbers(4, 3, 1, 1), "scale": numbers(4, seed=1), "shift": numbers(4, seed=2)}
    attrs = {"epilogue": [["relu"], ["affine"], ["add"], ["clip", -0.5, 0.75]]}
    inputs = ["x", "w", "", "scale", "shift", "skip"]
    activations = {"x": (2, 3, 5, 5), "skip": (2, 4, 5, 5)}
    assert_onnx_matches(one_node_graph("conv2d", activations, constants, attrs, inputs), affine=affine)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool) -> None:
    constants = {"w": numbers(3, 6), **({"b": numbers(3)} if bias else {})}
    assert_onnx_matches(one_node_graph("linear", {"x": (2, 6)}, constants, {"epilogue": [["silu"]]}))


@pytest.mark.parametrize("affine", ["mul_add", "batch_norm"])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 4)])
def test_per_channel(shape: tuple[int, ...], affine: Affine) -> None:
    scale, shift = numbers(3), numbers(3, seed=1)
    assert_onnx_matches(
        one_node_graph("affine", {"x": shape}, {"scale": scale, "shift": shift}), affine=affine
    )
    statistics = {"s": scale, "b": shift, "m": numbers(3, seed=2), "v": numbers(3, seed=3) ** 2 + 0.5}
    assert_onnx_matches(one_node_graph("batch_norm", {"x": shape}, statistics, {"eps": 1e-3}))


POOLS: list[dict[str, Any]] = [
    {"kernel": [2, 2], "stride": [2, 2]},
    {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]},
    {"kernel": [3, 3], "stride": [2, 2], "padding": [0, 0, 1, 1]},
    {"kernel": [3, 3], "stride": [2, 2], "ceil_mode": True},
    {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 1, 1, 0], "ceil_mode": True},
    {"kernel": [3, 3], "stride": [3, 3], "padding": [1, 1, 1, 1], "ceil_mode": True},
]


@pytest.mark.parametrize("attrs", POOLS)
@pytest.mark.parametrize("side", [8, 9, 10])
def test_pooling(attrs: dict[str, Any], side: int) -> None:
    assert_onnx_matches(one_node_graph("max_pool2d", {"x": (2, 3, side, side + 1)}, attrs=attrs))
    for counted in (True, False):
        assert_onnx_matches(
            one_node_graph(
                "avg_pool2d", {"x": (2, 3, side, side + 1)}, attrs={**attrs, "count_include_pad": counted}
            )
        )


def test_dilated_pooling() -> None:
    attrs = {"kernel": [2, 2], "stride": [2, 2], "dilation": [2, 3], "ceil_mode": True}
    assert_onnx_matches(one_node_graph("max_pool2d", {"x": (2, 3, 9, 10)}, attrs=attrs))


@pytest.mark.parametrize("size", [(10, 6), (7, 5), (2, 9), (5, 3), (12, 11)])
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "nearest"},
        {"mode": "bilinear", "coordinates": "half_pixel"},
        {"mode": "bilinear", "coordinates": "align_corners"},
    ],
)
def test_resize(size: tuple[int, int], how: dict[str, str]) -> None:
    assert_onnx_matches(one_node_graph("resize", {"x": (2, 3, 5, 3)}, attrs={"size": list(size), **how}))


@pytest.mark.parametrize(
    "op, shape, attrs",
    [
        ("global_avg_pool2d", (2, 3, 5, 4), {}),
        ("relu", (2, 3, 4, 4), {}),
        ("leaky_relu", (2, 3, 4, 4), {"slope": 0.1}),
        ("clip", (2, 7), {"min": 0.0, "max": 6.0}),
        ("sigmoid", (2, 7), {}),
        ("tanh", (2, 7), {}),
        ("silu", (2, 7), {}),
        ("hard_sigmoid", (2, 7), {}),
        ("hard_swish", (2, 3, 4, 4), {}),
        ("softmax", (2, 3, 4, 4), {"axis": 1}),
        ("softmax", (2, 5, 2), {"axis": 2}),
        ("flatten", (2, 3, 4, 5), {}),
        ("reshape", (2, 3, 4, 5), {"shape": [6, -1]}),
        ("transpose", (2, 3, 4, 5), {"perm": [0, 2, 3, 1]}),
        ("pad", (2, 3, 4, 5), {"padding": [1, 0, 2, 3], "value": 0.5}),
        ("depth_to_space", (2, 8, 3, 5), {"block": [2, 2]}),
        ("depth_to_space", (2, 8, 3, 5), {"block": [2, 2], "depth_first": True}),
        ("identity", (2, 3), {}),
        ("dropout", (2, 3), {"p": 0.4}),
    ],
)
def test_one_input(op: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    assert_onnx_matches(one_node_graph(op, {"x": shape}, attrs=attrs))


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_arithmetic(op: str) -> None:
    assert_onnx_matches(one_node_graph(op, {"a": (2, 3, 4, 4), "b": (2, 3, 1, 1)}))
    constants = {"c": numbers(1, 3, 1, 1)}
    assert_onnx_matches(one_node_graph(op, {"a": (2, 3, 4, 4)}, constants))
    assert_onnx_matches(one_node_graph(op, {"a": (2, 3, 4, 4)}, constants, inputs=["c", "a"]))


def test_concat() -> None:
    assert_onnx_matches(one_node_graph("concat", {"a": (2, 3, 4, 4), "b": (2, 5, 4, 4)}, attrs={"axis": 1}))


def test_several_outputs() -> None:
    assert_onnx_matches(tiny_graph())


def test_a_shared_constant_is_written_once() -> None:
    """One weight for two layers; one scale over images, and in another shape over rows of features."""
    graph = Graph(
        "shared",
        [TensorInfo("x", (None, 3, 4, 4))],
        ["y"],
        [
            Node("conv2d", "first", ["x", "w", "", "s", "s"], ["a"], {"epilogue": [["affine"]]}),
            Node("conv2d", "second", ["a", "w"], ["b"]),
            Node("global_avg_pool2d", "pool", ["b"], ["p"]),
            Node("flatten", "flat", ["p"], ["f"]),
            Node("affine", "last", ["f", "s", "s"], ["y"]),
        ],
        {"w": numbers(3, 3, 1, 1), "s": numbers(3)},
    )
    graph.verify()
    assert_onnx_matches(graph)
    names = [i.name for i in to_onnx(graph).graph.initializer]
    assert len(names) == len(set(names)) == 3, names


def test_network_keeps_its_zeros(tmp_path: Path) -> None:
    graph = minixception((32,), sparsity=0.9)
    write_onnx(graph, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    written = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    for _, name, weight in graph.weights():
        assert np.array_equal(written[name], weight)
    assert_onnx_matches(graph, batch=1)


TENSOR_OPS: dict[str, list[dict[str, Any]]] = {
    **{op: [{}] for op in ("div", "maximum", "minimum", "greater", "less", "equal", "matmul")},
    "reduce": [
        {"kind": kind, "axes": [1, 3], "keepdims": kind != "min"}
        for kind in ("sum", "mean", "max", "min", "prod")
    ],
    "argmax": [{"axis": 2}, {"axis": 3, "last": True}],
    "top_k": [{"axis": 2, "count": 4}, {"axis": 3, "count": 1, "largest": False}],
    "normalize": [{"axis": 2, "eps": 1e-3}],
    "slice": [{"axis": 2, "start": 5, "count": 3, "step": -2}, {"axis": 3, "start": 1, "count": 4}],
    "gather": [{"axis": 1, "indices": [2, 0, 2]}],
    "depth_to_space": [{"block": [1, 3], "depth_first": first} for first in (False, True)],
    "space_to_depth": [
        {"block": block, "depth_first": first} for block in ([2, 2], [3, 2]) for first in (False, True)
    ],
    "pad": [{"padding": [1, 2, 0, 3], "mode": mode} for mode in ("reflect", "edge")],
    **{op: [{}] for op in ("gelu", "softplus", "erf", "exp", "abs", "floor", "round", "reciprocal")},
    "elu": [{"alpha": 0.5}],
}


@pytest.mark.parametrize("op", TENSOR_OPS)
def test_ops_on_tensors(op: str) -> None:
    shapes = {"a": (2, 3, 6, 6), "b": (2, 3, 6, 6)} if len(OPS[op].inputs) == 2 else {"a": (2, 3, 6, 6)}
    for attrs in TENSOR_OPS[op]:
        assert_onnx_matches(one_node_graph(op, shapes, {}, attrs))


def test_a_choice_and_a_constant() -> None:
    constants = {"c": (numbers(6, 6) > 0).astype(np.float32), "b": numbers(3, 1, 1)}
    graph = one_node_graph("where", {"a": (2, 3, 6, 6)}, constants, {}, ["c", "a", "b"])
    assert_onnx_matches(graph)
    assert_onnx_matches(one_node_graph("expand", {"x": (2, 1, 5)}, {}, {"shape": [4, 5]}))
    positive = one_node_graph("pow", {"x": (2, 3, 4)}, {"two": np.full(1, 2, np.float32)})
    assert_onnx_matches(positive)


def test_computed_indices() -> None:
    best = Node("top_k", "best", ["x"], ["i"], {"axis": 2, "count": 3})
    picked = Node("gather_elements", "picked", ["x", "i"], ["p"], {"axis": 2})
    place = Node("reshape", "place", ["i"], ["r"], {"shape": [6, 2]})
    rows = Node("gather_nd", "rows", ["x", "r"], ["y"])
    graph = Graph("chosen", [TensorInfo("x", (None, 4, 4))], ["p", "y"], [best, picked, place, rows])
    assert_onnx_matches(graph)


@pytest.mark.parametrize("op", ["nms", "nonzero", "first", "fill"])
def test_what_onnx_cannot_say(op: str) -> None:
    shapes = {"nms": [(2, 1, 5, 4), (2, 1, 2, 5)], "nonzero": [(2, 3)], "first": [(2, 3), (2, 1)]}.get(
        op, [(2, 3), (2, 1)]
    )
    attrs = {"nms": {"count": 2}, "nonzero": {}, "first": {"axis": 1}, "fill": {"axis": 1, "value": 0.5}}[op]
    graph = one_node_graph(op, {f"x{i}": shape for i, shape in enumerate(shapes)}, {}, attrs)
    with pytest.raises(NotImplementedError, match=op):
        to_onnx(graph)
