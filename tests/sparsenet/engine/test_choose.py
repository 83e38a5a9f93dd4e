"""Ops that choose by value through the engine: the largest numbers, computed indices, boxes, parts of tensors."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo, reference
from sparsenet.errors import GraphError
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.engine.test_tensor_ops import graph_of

RNG = np.random.default_rng(5)


def same(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the engine makes of it, equal to what the oracle does, the second time too."""
    wanted = reference.run(graph, feeds)
    engine = Engine(graph, 1)
    for _ in range(2):
        got = engine.run(feeds)
        for name, value in wanted.items():
            np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)
    engine.close()
    numpy = Engine(graph, backend="numpy").run(feeds)
    for name, value in wanted.items():
        np.testing.assert_array_equal(numpy[name], value)
    return got


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis, count", [(1, 1), (1, 4), (2, 3), (3, 6), (3, 5)])
def test_top_k_of_equal_numbers_nan_and_infinity(axis: int, count: int, largest: bool) -> None:
    x = RNG.integers(0, 4, (2, 4, 5, 6)).astype(np.float32)
    x[0, 1, 2, 3], x[0, 1, 2, 4], x[0, 2, 2, 3], x[1, 1, 1, 0] = np.nan, np.inf, np.nan, -np.inf
    graph = graph_of("top_k", [(4, 5, 6)], axis=axis, count=count, largest=largest)
    same(graph, {"x0": x})


def test_top_k_sorts() -> None:
    x = RNG.permutation(500).astype(np.float32).reshape(1, 500)
    (got,) = same(graph_of("top_k", [(500,)], axis=1, count=500), {"x0": x}).values()
    assert x[0, got[0].astype(int)].tolist() == list(range(499, -1, -1))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_gather_elements(axis: int) -> None:
    shape = [4, 5, 6]
    shape[axis - 1] = 3
    indices = RNG.integers(-4, 4, (2, *shape)).astype(np.float32)
    same(graph_of("gather_elements", [(4, 5, 6), tuple(shape)], axis=axis),
         {"x0": RNG.standard_normal((2, 4, 5, 6)).astype(np.float32), "x1": indices})  # fmt: skip


@pytest.mark.parametrize("indices", [(2,), (7, 1), (3, 2), (2, 5, 3), (1, 1, 2)], ids=str)
def test_gather_nd(indices: tuple[int, ...]) -> None:
    numbers = RNG.integers(-4, 4, (2, *indices)).astype(np.float32)
    same(graph_of("gather_nd", [(4, 5, 6), indices]),
         {"x0": RNG.standard_normal((2, 4, 5, 6)).astype(np.float32), "x1": numbers})  # fmt: skip


def test_no_index_leads_outside() -> None:
    wild = np.array([[1e30, -1e30, np.nan, np.inf, -np.inf, 3, -4, 2.6, -0.2, 2**24]], np.float32)
    x = np.array([[10, 11, 12]], np.float32)
    got = same(graph_of("gather_elements", [(3,), (10,)], axis=1), {"x0": x, "x1": wild})["y"]
    assert got.tolist() == [[12, 10, 10, 12, 10, 12, 10, 12, 10, 12]]


def boxes_of(batch: int, groups: int, count: int) -> np.ndarray:
    corner = RNG.random((batch, groups, count, 2))
    return np.concatenate([corner, corner + 0.05 + 0.5 * RNG.random((batch, groups, count, 2))], -1).astype(
        np.float32
    )


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("count, iou", [(1, 0.0), (3, 0.3), (40, 0.5), (1000, 1.0)])
def test_nms(count: int, iou: float, center: bool) -> None:
    feeds = {"x0": boxes_of(2, 2, 40), "x1": RNG.random((2, 2, 3, 40)).astype(np.float32)}
    feeds["x0"][0, 0, 3:5] = np.nan
    feeds["x0"][0, 1, 7] = np.inf
    feeds["x1"][1, 0, 1] = 0.1
    feeds["x1"][0, 0, 1, ::5] = np.nan
    graph = graph_of(
        "nms", [(2, 40, 4), (2, 3, 40)], count=count, iou_threshold=iou, score_threshold=0.3, center=center
    )
    rows = same(graph, feeds)["y"]
    assert rows.shape == (2, 6 * min(count, 40), 3)
    assert (rows[1, -1] == -1).all()


def test_nonzero() -> None:
    x = RNG.integers(0, 2, (2, 3, 4)).astype(np.float32)
    x[0, 1, 1] = np.nan
    got = same(graph_of("nonzero", [(3, 4)]), {"x0": x})["y"]
    np.testing.assert_array_equal(got[0][:, got[0, 0] >= 0], np.argwhere(x[0] != 0).T)


def detector(tail: list[Node], outputs: list[str]) -> Graph:
    """20 boxes of 3 classes; `part`: rows [b, class, box] of those kept, `n` how many; then what ``tail`` adds."""
    nodes = [
        Node(
            "nms",
            "rows",
            ["boxes", "scores"],
            ["rows"],
            {"count": 6, "iou_threshold": 0.1, "score_threshold": 0.6},
        ),
        Node("slice", "column", ["rows"], ["column"], {"axis": 2, "start": 0, "count": 1}),
        Node("greater", "there", ["column", "none"], ["there"]),
        Node("reduce", "n", ["there"], ["n"], {"kind": "sum", "axes": [1], "keepdims": False}),
        Node("first", "part", ["rows", "n"], ["part"], {"axis": 1}),
        *tail,
    ]
    infos = [TensorInfo("boxes", (None, 1, 20, 4)), TensorInfo("scores", (None, 1, 3, 20))]
    return Graph("detector", infos, outputs, nodes, {"none": np.array([-0.5], np.float32)})


PICK = [
    Node("slice", "of", ["part"], ["of"], {"axis": 2, "start": 2, "count": 1}),
    Node("reshape", "flat_boxes", ["boxes"], ["flat_boxes"], {"shape": [20, 4]}),
    Node("gather_nd", "kept", ["flat_boxes", "of"], ["kept"]),
    Node("relu", "positive", ["kept"], ["positive"]),
    Node("concat", "y", ["part", "positive"], ["y"], {"axis": 2}),
]


def feeds_of(batch: int) -> dict[str, np.ndarray]:
    return {"boxes": boxes_of(batch, 1, 20), "scores": RNG.random((batch, 1, 3, 20)).astype(np.float32)}


def test_outputs_are_as_long_as_what_was_found() -> None:
    graph = detector(PICK, ["y", "rows"])
    graph.verify()
    feeds = feeds_of(3)
    got = same(graph, feeds)
    counts = (got["rows"][:, :, 0] >= 0).sum(1)
    assert len(set(counts)) > 1
    assert got["y"].shape == (3, max(counts), 7)
    for sample, count in enumerate(counts):
        box = got["rows"][sample, :count, 2].astype(int)
        np.testing.assert_array_equal(got["y"][sample, :count, 3:], feeds["boxes"][sample, 0, box])
        assert np.isnan(got["y"][sample, count:]).all()
    info = graph.output_infos()[0]
    assert info.shape == (None, 18, 7)
    assert info.partial is not None
    assert (info.partial.axis, info.partial.count) == (1, "n")


def test_nothing_found() -> None:
    graph = detector(PICK, ["y"])
    graph.nodes[0].attrs["score_threshold"] = 2.0
    assert same(graph, feeds_of(2))["y"].shape == (2, 0, 7)
    assert Engine(graph, 1).run({k: v[:0] for k, v in feeds_of(1).items()})["y"].shape == (0, 0, 7)


def test_nan_in_the_input_takes_nothing_down() -> None:
    feeds = feeds_of(1)
    for value in feeds.values():
        value[:] = np.nan
    assert same(detector(PICK, ["y"]), feeds)["y"].shape == (1, 0, 7)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_fill(axis: int) -> None:
    graph = graph_of("fill", [(3, 4, 5), (1,)], axis=axis, value=-7.0)
    counts = np.array([[0], [2], [9], [np.nan], [-1], [1.5]], np.float32)
    same(graph, {"x0": RNG.standard_normal((6, 3, 4, 5)).astype(np.float32), "x1": counts})


def test_filled_up_it_is_data_like_any_other() -> None:
    tail = [
        Node("fill", "full", ["part", "n"], ["full"], {"axis": 1, "value": 0.0}),
        Node("reduce", "y", ["full"], ["y"], {"kind": "sum", "axes": [1]}),
    ]
    graph, feeds = detector(tail, ["y", "rows"]), feeds_of(2)
    got = same(graph, feeds)
    assert graph.output_infos()[0].partial is None
    np.testing.assert_array_equal(got["y"], got["rows"].clip(0).sum(1, keepdims=True))
    graph.nodes[-2].inputs[1] = "other"
    other = Node("reduce", "other", ["column"], ["other"], {"kind": "max", "axes": [1], "keepdims": False})
    graph.nodes.insert(2, other)
    with pytest.raises(GraphError, match="not padded up to that count"):
        graph.verify()


REFUSED = {
    "a sum": Node("reduce", "bad", ["part"], ["bad"], {"kind": "sum", "axes": [1]}),
    "the largest": Node("top_k", "bad", ["part"], ["bad"], {"axis": 1, "count": 2}),
    "softmax": Node("softmax", "bad", ["part"], ["bad"], {"axis": 1}),
    "the end": Node("slice", "bad", ["part"], ["bad"], {"axis": 1, "start": 1, "count": 3}),
    "end to end": Node("concat", "bad", ["part", "part"], ["bad"], {"axis": 1}),
    "mixed": Node("reshape", "bad", ["part"], ["bad"], {"shape": [54]}),
    "whole and part": Node("add", "bad", ["part", "rows"], ["bad"]),
    "a part of a part": Node("first", "bad", ["part", "n"], ["bad"], {"axis": 2}),
    "linear": Node("matmul", "bad", ["turned", "part"], ["bad"]),
}


@pytest.mark.parametrize("node", REFUSED.values(), ids=REFUSED)
def test_what_needs_all_elements_is_refused(node: Node) -> None:
    turn = Node("transpose", "turned", ["part"], ["turned"], {"perm": [0, 2, 1]})
    with pytest.raises(GraphError, match=r"'bad'.*depends on the data"):
        detector([turn, node], ["bad"]).verify()


def test_ops_beside_the_axis_pass_it_on() -> None:
    tail = [
        Node("transpose", "turned", ["part"], ["turned"], {"perm": [0, 2, 1]}),
        Node("reduce", "sums", ["turned"], ["sums"], {"kind": "sum", "axes": [1], "keepdims": False}),
        Node("reshape", "column2", ["sums"], ["column2"], {"shape": [1, 18, 1]}),
        Node("expand", "wide", ["column2"], ["wide"], {"shape": [4, 18, 1]}),
        Node("softmax", "soft", ["wide"], ["soft"], {"axis": 1}),
        Node("mul", "product", ["soft", "column2"], ["product"]),
        Node("slice", "few", ["product"], ["few"], {"axis": 2, "start": 0, "count": 5}),
        Node("matmul", "square", ["part", "turned3"], ["square"]),
    ]
    tail.insert(1, Node("slice", "some", ["rows"], ["some"], {"axis": 1, "start": 0, "count": 3}))
    tail.insert(2, Node("transpose", "turned3", ["some"], ["turned3"], {"perm": [0, 2, 1]}))
    graph = detector(tail, ["product", "few", "square", "sums"])
    graph.verify()
    axes = {info.name: info.partial.axis for info in graph.output_infos() if info.partial}
    assert axes == {"product": 2, "few": 2, "square": 1, "sums": 1}
    same(graph, random_feeds(graph, 2))
