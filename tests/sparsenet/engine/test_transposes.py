"""Axes in another order through the engine: every order, sizes below, at and above a vector, rows before and behind."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsenet import Engine, Graph, Node, TensorInfo
from tests.sparsenet.against_reference import assert_engine_matches, random_feeds

RNG = np.random.default_rng(5)


def turned(shape: tuple[int, ...], perm: tuple[int, ...], *, between: bool = False) -> Graph:
    """One transposition; ``between``: of what a ReLU makes, for another to read, besides."""
    order = [0, *(axis + 1 for axis in perm)]
    nodes = [Node("transpose", "t", ["x"], ["y"], {"perm": order})]
    if between:
        nodes += [
            Node("relu", "before", ["x"], ["a"]),
            Node("transpose", "u", ["a"], ["b"], {"perm": order}),
            Node("relu", "behind", ["b"], ["z"]),
        ]
    graph = Graph("turned", [TensorInfo("x", (None, *shape))], ["y", "z"][: 1 + between], nodes)
    graph.verify()
    return graph


@pytest.mark.parametrize(
    "shape", [(6, 7), (16, 16), (33, 18), (3, 50), (50, 3), (8, 64), (64, 8), (1, 9), (9, 1)], ids=str
)
@pytest.mark.parametrize("threads", [1, 2])
def test_matrices(shape: tuple[int, ...], threads: int) -> None:
    assert_engine_matches(turned(shape, (1, 0)), threads=threads)


@pytest.mark.parametrize(
    "shape",
    [(3, 5, 9), (5, 9, 3), (17, 4, 16), (20, 33, 40), (2, 3, 1), (1, 5, 4), (40, 1, 7), (7, 7, 20)],
    ids=str,
)
def test_every_order_of_three(shape: tuple[int, ...]) -> None:
    for perm in permutations(range(3)):
        for threads in (1, 2):
            assert_engine_matches(turned(shape, perm, between=True), threads=threads, batch=2)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 2, 6, 17), (4, 20, 3, 33)], ids=str)
def test_every_order_of_four(shape: tuple[int, ...]) -> None:
    for perm in permutations(range(4)):
        assert_engine_matches(turned(shape, perm))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_order_of_any_axes(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 7, 8, 17]), min_size=2, max_size=6)))
    if np.prod(shape) > 50_000:
        return
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    assert_engine_matches(turned(shape, perm, between=data.draw(st.booleans())), threads=2)


def test_large_images_stream_through() -> None:
    """Channels last at both ends of a network whose maps do not fit the cache."""
    weight = RNG.standard_normal((16, 3, 3, 3)).astype(np.float32)
    graph = Graph(
        "borders",
        [TensorInfo("x", (None, 160, 200, 3))],
        ["y"],
        [
            Node("transpose", "in", ["x"], ["a"], {"perm": [0, 3, 1, 2]}),
            Node("conv2d", "conv", ["a", "w"], ["b"], {"padding": [1, 1, 1, 1], "stride": [1, 1]}),
            Node("transpose", "out", ["b"], ["y"], {"perm": [0, 2, 3, 1]}),
        ],
        {"w": weight},
    )
    graph.verify()
    for threads in (1, 2):
        assert_engine_matches(graph, threads=threads)


def test_what_is_read_and_returned_is_both() -> None:
    """A result that the network reads again is not made where only the caller's floats may be touched."""
    graph = Graph(
        "twice",
        [TensorInfo("x", (None, 5, 7))],
        ["y", "z"],
        [
            Node("transpose", "t", ["x"], ["y"], {"perm": [0, 2, 1]}),
            Node("softmax", "s", ["y"], ["z"], {"axis": 2}),
        ],
    )
    graph.verify()
    assert_engine_matches(graph)
    seen = Graph("seen", graph.inputs, ["y", "v"], [graph.nodes[0], Node("flatten", "f", ["y"], ["v"])])
    seen.verify()
    feeds = random_feeds(seen, 3)
    got = Engine(seen, 1).run(feeds)
    assert np.array_equal(got["v"], got["y"].reshape(3, -1))
    assert np.array_equal(got["y"], feeds["x"].transpose(0, 2, 1))
