"""Normalisation, products, gathering and other ops on tensors of any rank, on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.targets.cuda.lower import matmul
from tests.full import chosen, crossed, spread
from tests.sparsenet.one_node import one_node_graph
from tests.sparsenet.targets.cuda.against_oracle import assert_gpu_matches, pruned


def kernels(engine: Engine) -> list[str]:
    return [decision.kernel.partition("__")[0] for decision in engine.explain()]


# --- normalisation


@pytest.mark.parametrize(
    "shape, axis",
    spread(
        [
            ((2, 3, 4, 5), 1),
            ((3, 7), 1),
            ((2, 3, 5), 2),
            ((2, 3, 4, 5), 3),
            ((2, 3, 4, 5), 2),
            ((1, 1, 1), 1),
            ((2, 2, 3, 2, 3), 3),
            ((2, 2, 3, 2, 3), 4),
            ((1, 2, 70), 2),
        ]
    ),
)
def test_normalize(shape: tuple[int, ...], axis: int) -> None:
    assert_gpu_matches(one_node_graph("normalize", {"x": shape}, attrs={"axis": axis}), batch=shape[0])


@pytest.mark.parametrize("size, threads", chosen([(300, 64)], [(70, 16), (300, 64), (1100, 256)]))
def test_many_threads_normalize_a_long_run(size: int, threads: int) -> None:
    engine = assert_gpu_matches(one_node_graph("normalize", {"x": (1, size)}, attrs={"axis": 1}))
    assert engine.explain()[0].kernel.endswith(f"_{threads}x1")


def test_a_small_variance_far_from_zero_is_kept() -> None:
    """One pass over x and x² would keep nothing of it: 1e8 has no place for 1 in float32."""
    x = (1e4 + np.random.default_rng(0).standard_normal((2, 100))).astype(np.float32)
    graph = one_node_graph("normalize", {"x": x.shape}, attrs={"axis": 1})
    assert_gpu_matches(graph, feeds={"x": x}, tolerance=1e-5)


def test_a_constant_run_and_a_nan() -> None:
    x = np.full((3, 5), 3e8, np.float32)
    x[1, 2], x[2] = np.nan, np.arange(5)
    engine = Engine(one_node_graph("normalize", {"x": x.shape}, attrs={"axis": 1}), device="cuda")
    y = engine(x)
    assert isinstance(y, np.ndarray)
    assert (y[0] == 0).all()
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[2]).all()


@pytest.mark.parametrize(
    "shape, axis", chosen([((1, 40, 2, 3), 1)], [((1, 70), 1), ((2, 3, 40), 2), ((1, 40, 2, 3), 1)])
)
def test_several_threads_share_a_line_of_softmax(shape: tuple[int, ...], axis: int) -> None:
    engine = assert_gpu_matches(one_node_graph("softmax", {"x": shape}, attrs={"axis": axis}), batch=shape[0])
    assert int(engine.explain()[0].kernel.rpartition("_")[2].split("x")[0]) > 1


def test_softmax_of_large_numbers_and_of_a_nan() -> None:
    x = np.zeros((2, 40), np.float32)
    x[0, 30:], x[1, 17] = 1e30, np.nan
    y = Engine(one_node_graph("softmax", {"x": x.shape}), device="cuda")(x)
    assert isinstance(y, np.ndarray)
    np.testing.assert_allclose(y[0], x[0] / 1e31, atol=1e-7)
    assert np.isnan(y[1]).all()


# --- products


@pytest.mark.parametrize(
    "a, b",
    spread(
        [
            ((2, 1, 2, 3), (2, 3, 3, 2)),
            ((1, 3, 4), (1, 4, 5)),
            ((2, 3, 17, 9), (2, 3, 9, 18)),
            ((1, 2, 2, 2, 3), (1, 2, 1, 3, 4)),
            ((2, 1, 1), (2, 1, 1)),
        ]
    ),
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert_gpu_matches(one_node_graph("matmul", {"a": a, "b": b}), batch=a[0])


@pytest.mark.parametrize("shape", spread([(2, 4, 3), (4, 3), (1, 4, 3)]))
def test_matmul_by_a_constant_from_either_side(shape: tuple[int, ...]) -> None:
    constant = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    assert_gpu_matches(one_node_graph("matmul", {"a": (2, 2, 5, 4)}, {"b": constant}), batch=2)
    graph = one_node_graph("matmul", {"b": (2, 2, 3, 5)}, {"a": constant}, inputs=["a", "b"])
    assert_gpu_matches(graph, batch=2)


@pytest.mark.parametrize("tile", spread(matmul.TILES[::-1]))
def test_every_tile_of_matmul(tile: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """One row and column more than a tile has, and one term more than a step."""
    monkeypatch.setattr(matmul, "TILES", (tile,))
    rows, columns, depth = tile[0] * tile[2] + 1, tile[1] * tile[3] + 1, tile[4] + 1
    assert_gpu_matches(one_node_graph("matmul", {"a": (1, rows, depth), "b": (1, depth, columns)}))


# --- places


REARRANGED: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("gather", (2, 5), {"axis": 1, "indices": [4, 0, 0, 2]}, "take"),
    ("gather", (2, 4, 3, 5), {"axis": 1, "indices": [3, 1, 0]}, "take"),
    ("gather", (2, 3, 4, 5), {"axis": 2, "indices": [2, 2, 0]}, "take"),
    ("gather", (2, 3, 4, 5), {"axis": 3, "indices": [1, 4, 2]}, "take"),
    ("gather", (2, 3, 4, 5), {"axis": 3, "indices": [4, 2, 0]}, "relayout"),
    ("gather", (2, 3, 4, 2, 3), {"axis": 4, "indices": [0, 2]}, "take"),
    ("transpose", (2, 2, 3, 2, 2, 3), {"perm": [0, 2, 1, 4, 3, 5]}, "take"),
    ("transpose", (2, 3, 2, 2, 4), {"perm": [0, 2, 1, 3, 4]}, "relayout"),
    ("transpose", (2, 2, 3, 1, 4), {"perm": [0, 1, 2, 4, 3]}, "relayout"),
    ("slice", (2, 3, 2, 4, 3), {"axis": 4, "start": 2, "count": 2, "step": -2}, "take"),
    ("slice", (2, 3, 2, 4, 3), {"axis": 3, "start": 1, "count": 2}, "relayout"),
    ("expand", (2, 3, 1, 2, 1), {"shape": [3, 2, 2, 4]}, "take"),
    *[
        (op, shape, {"block": [2, 3], "depth_first": first}, "take")
        for op, shape in (("depth_to_space", (2, 12, 3, 4)), ("space_to_depth", (2, 2, 4, 9)))
        for first in (False, True)
    ],
    ("pad", (2, 3, 4, 5), {"padding": [1, 2, 0, 3], "mode": "reflect"}, "take"),
    ("pad", (2, 3, 2, 3), {"padding": [1, 2, 3, 1], "mode": "edge"}, "take"),
    ("pad", (2, 3, 2, 3), {"padding": [1, 2, 3, 4], "mode": "wrap"}, "take"),
]


#: The last of each op, kernel and kind of padding.
KINDS_OF_REARRANGED = {(case[0], case[3], case[2].get("mode")): case for case in REARRANGED}


@pytest.mark.parametrize("op, shape, attrs, kernel", chosen(KINDS_OF_REARRANGED.values(), REARRANGED))
def test_rearrangement(op: str, shape: tuple[int, ...], attrs: dict[str, Any], kernel: str) -> None:
    engine = assert_gpu_matches(one_node_graph(op, {"x": shape}, attrs=attrs), batch=shape[0])
    assert kernels(engine) == [f"f32_{kernel}_none_maps"]


@pytest.mark.parametrize("axis", chosen([4], [3, 4, 5]))
def test_concat_of_many_axes(axis: int) -> None:
    shapes = [
        tuple(count if i == axis else size for i, size in enumerate((2, 2, 3, 2, 3, 2))) for count in (1, 3)
    ]
    graph = one_node_graph("concat", {"a": shapes[0], "b": shapes[1]}, attrs={"axis": axis})
    assert_gpu_matches(graph, batch=2)


def test_broadcasting_over_many_axes() -> None:
    full, thin = (2, 2, 3, 2, 3), (2, 2, 1, 2, 1)
    assert_gpu_matches(one_node_graph("mul", {"a": full, "b": thin}), batch=2)
    for shape in ((1, 2, 1, 2, 1), (2, 1)):
        constant = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        assert_gpu_matches(one_node_graph("sub", {"a": full}, {"b": constant}), batch=2)


@pytest.mark.parametrize("op, axis", crossed(["softmax", "argmax", "top_k", "gather_elements"], [1, 3, 4]))
def test_axes_among_many(op: str, axis: int) -> None:
    shape = (2, 2, 3, 2, 3, 2)
    attrs: dict[str, Any] = {"axis": axis} | ({"count": 2} if op == "top_k" else {})
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal(shape).astype(np.float32)}
    if op == "gather_elements":
        feeds["i"] = rng.integers(0, 2, shape).astype(np.float32)
    assert_gpu_matches(
        one_node_graph(op, {name: a.shape for name, a in feeds.items()}, attrs=attrs), feeds=feeds
    )


@pytest.mark.parametrize("axes", chosen([[3], [5, 1, 3]], [[1], [3], [2, 4], [5, 1, 3], [1, 2, 3, 4, 5]]))
def test_reductions_over_some_axes_of_many(axes: list[int]) -> None:
    for keepdims in (True, False) if len(axes) < 5 else (True,):
        attrs = {"kind": "mean", "axes": axes, "keepdims": keepdims}
        assert_gpu_matches(one_node_graph("reduce", {"x": (2, 2, 3, 2, 3, 2)}, attrs=attrs), batch=2)


# --- choices


@pytest.mark.parametrize(
    "case, largest",
    crossed([((2, 7), 1, 3), ((2, 4, 3), 1, 4), ((2, 3, 6), 2, 1), ((2, 2, 3, 4), 3, 2)], [True, False]),
)
def test_top_k(case: tuple[tuple[int, ...], int, int], largest: bool) -> None:
    """Numbers that repeat, and infinities."""
    shape, axis, count = case
    x = np.random.default_rng(0).integers(0, 3, shape).astype(np.float32)
    x.reshape(-1)[:2] = np.inf, -np.inf
    attrs = {"axis": axis, "count": count, "largest": largest}
    assert_gpu_matches(one_node_graph("top_k", {"x": shape}, attrs=attrs), feeds={"x": x})


def test_top_k_puts_nan_first() -> None:
    x = np.array([[1, np.nan, 3, np.nan, np.inf]], np.float32)
    for largest in (True, False):
        graph = one_node_graph("top_k", {"x": x.shape}, attrs={"axis": 1, "count": 5, "largest": largest})
        assert_gpu_matches(graph, feeds={"x": x})


#: Whole and broken, counted from the back, beyond both ends, no number at all.
INDICES = [0, 1, 2, -1, -3, 1.4, 1.5, -0.5, -0.7, 7, -9, 1e30, -1e30, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("axis", chosen([1, 3], [1, 2, 3]))
def test_gather_elements(axis: int) -> None:
    shape = tuple(4 if i == axis else size for i, size in enumerate((2, 3, 2, 2)))
    indices = np.random.default_rng(0).permutation(INDICES * 4)[: np.prod(shape)].reshape(shape)
    x = np.random.default_rng(1).standard_normal((2, 3, 2, 2)).astype(np.float32)
    graph = one_node_graph("gather_elements", {"x": x.shape, "i": shape}, attrs={"axis": axis})
    assert_gpu_matches(graph, feeds={"x": x, "i": indices.astype(np.float32)})


def test_a_large_index_is_not_rounded_to_its_neighbour() -> None:
    """2^23 + 1 and a half lies between two numbers of float32."""
    from sparsenet.targets.cuda.kernels.pick import _index

    for index in (2**23 + 1, 2**24 - 1):
        assert _index(np.float32(index), 2**24) == index
    assert _index(np.float32(-1), 2**24) == 2**24 - 1


@pytest.mark.parametrize("depth", chosen([1, 3], [1, 2, 3]))
def test_gather_nd(depth: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 4)).astype(np.float32)
    indices = np.random.default_rng(1).permutation(INDICES * 3)[: 2 * 3 * 2 * depth].reshape(2, 3, 2, depth)
    graph = one_node_graph("gather_nd", {"x": x.shape, "i": indices.shape})
    assert_gpu_matches(graph, feeds={"x": x, "i": indices.astype(np.float32)})


# --- the zeros between rows


@pytest.mark.parametrize(
    "node, extra",
    [
        (Node("normalize", "op", ["b"], ["c"], {"axis": 2}), {}),
        (Node("matmul", "op", ["b", "m"], ["c"]), {"m": pruned((5, 5), 0)}),
        (Node("softmax", "op", ["b"], ["c"], {"axis": 2}), {}),
        (Node("top_k", "op", ["b"], ["c"], {"axis": 3, "count": 5}), {}),
        (Node("gather", "op", ["b"], ["c"], {"axis": 2, "indices": [3, 0, 2, 1]}), {}),
        (Node("gather_elements", "op", ["b", "b"], ["c"], {"axis": 2}), {}),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else "",
)
def test_a_convolution_that_follows_finds_its_padding(node: Node, extra: dict[str, np.ndarray]) -> None:
    """What stood in the memory before, ones everywhere, must not be read as padding."""
    nodes = [
        Node("affine", "ones", ["x"], ["a"]),
        Node("slice", "part", ["a"], ["p"], {"axis": 1, "start": 0, "count": 60}),
        Node("reshape", "maps", ["p"], ["b"], {"shape": [3, 4, 5]}),
        node,
        Node("conv2d", "conv", ["c", "w"], ["y"], {"padding": [1, 1, 1, 1]}),
    ]
    nodes[0].inputs += ["scale", "shift"]
    constants = {
        "w": pruned((2, 3, 3, 3), 0),
        "scale": np.full(300, 0.1, np.float32),
        "shift": np.ones(300, np.float32),
        **extra,
    }
    graph = Graph("padded", [TensorInfo("x", (None, 300))], ["y"], nodes, constants)
    assert_gpu_matches(graph, batch=2, tolerance=1e-5)
