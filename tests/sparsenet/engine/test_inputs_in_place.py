"""The caller's arrays, of any rank, are read where they stand, and only their own floats.

``SPARSENET_GUARD=end`` puts them at the end of a readable page, so that a read too far is a crash.
"""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparsenet import Engine, Graph, Node, TensorInfo
from tests.sparsenet.against_reference import assert_engine_matches, random_feeds

SIZES = st.lists(st.sampled_from([1, 2, 3, 5, 7, 16, 17]), min_size=1, max_size=5)


@st.composite
def movements(draw: st.DrawFn) -> Graph:
    """Ops that only move numbers, each reading the input or a result; all that nobody reads is returned."""
    first = tuple(draw(SIZES))
    assume(prod(first) <= 20_000)
    shapes, nodes = {"x": first}, list[Node]()
    for n in range(draw(st.integers(1, 5))):
        x = draw(st.sampled_from(list(shapes)))
        shape = shapes[x]
        rank, out = len(shape), f"t{n}"
        axis = draw(st.integers(0, rank - 1))
        op = draw(st.sampled_from(["transpose", "reshape", "slice", "gather", "expand", "concat"]))
        attrs: dict[str, object] = {}
        if op == "transpose":
            perm = draw(st.permutations(range(rank)))
            attrs, shape = {"perm": [0, *(p + 1 for p in perm)]}, tuple(shape[p] for p in perm)
        elif op == "reshape":
            shape = draw(st.sampled_from([(prod(shape),), (1, *shape), (shape[0], prod(shape[1:]))]))
            attrs = {"shape": list(shape)}
        elif op == "slice":
            step = draw(st.sampled_from([s for s in (1, 2, 3, -1, -2) if abs(s) <= shape[axis]]))
            count = draw(st.integers(1, -(-shape[axis] // abs(step))))
            start = (count - 1) * -step if step < 0 else shape[axis] - (count - 1) * step - 1
            attrs = {"axis": axis + 1, "start": start, "count": count, "step": step}
            shape = (*shape[:axis], count, *shape[axis + 1 :])
        elif op == "gather":
            indices = draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=3))
            attrs = {"axis": axis + 1, "indices": indices}
            shape = (*shape[:axis], len(indices), *shape[axis + 1 :])
        elif op == "expand":
            shape = tuple(draw(st.sampled_from([size, 19])) if size == 1 else size for size in shape)
            attrs = {"shape": list(shape)}
        elif op == "concat":
            attrs, shape = {"axis": axis + 1}, (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])
        if len(shape) > 5 or prod(shape) > 50_000:
            continue
        nodes.append(Node(op, f"n{n}", [x] * (1 + (op == "concat")), [out], attrs))
        shapes[out] = shape
    if draw(st.booleans()):  # it reads whole vectors, for which the input is copied
        nodes.append(Node("softmax", "s", [draw(st.sampled_from(list(shapes)))], ["s"], {"axis": 1}))
    assume(nodes)
    read = {name for node in nodes for name in node.inputs}
    outputs = [node.output for node in nodes if node.output not in read]
    graph = Graph("moves", [TensorInfo("x", (None, *first))], outputs, nodes)
    graph.verify()
    return graph


@settings(max_examples=80, deadline=None)
@given(movements(), st.sampled_from([1, 3]), st.sampled_from([1, 2]))
def test_any_movement(graph: Graph, batch: int, threads: int) -> None:
    moves_only = all(node.op != "softmax" for node in graph.nodes)
    assert_engine_matches(graph, batch=batch, threads=threads, tolerance=1e-12 if moves_only else 2e-6)


WINDOWS = Node("transpose", "t", ["x"], ["y"], {"perm": [0, 1, 3, 2, 4]})


@pytest.mark.parametrize(
    "node",
    [
        WINDOWS,
        Node("slice", "s", ["x"], ["y"], {"axis": 2, "start": 1, "count": 2}),
        Node("slice", "two", ["x"], ["y"], {"axis": 4, "start": 1, "count": 3, "step": 2}),
        Node("slice", "back", ["x"], ["y"], {"axis": 4, "start": 5, "count": 6, "step": -1}),
        Node("gather", "even", ["x"], ["y"], {"axis": 4, "indices": [0, 3]}),
        Node("concat", "c", ["x", "x"], ["y"], {"axis": 3}),
        Node("pad", "p", ["x"], ["y"], {"padding": [1, 0, 2, 3]}),
    ],
    ids=lambda node: node.name,
)
def test_one_step_suffices(node: Node) -> None:
    """Neither the input nor the output is copied beside the movement itself."""
    shape = (3, 4, 5) if node.op == "pad" else (3, 4, 5, 6)
    graph = Graph("one", [TensorInfo("x", (None, *shape))], ["y"], [node])
    graph.verify()
    assert {step for steps in assert_engine_matches(graph, batch=3).plan.layers for step in steps} == {
        node.name
    }


def test_a_view_of_the_input_is_returned_and_read() -> None:
    graph = Graph(
        "views",
        [TensorInfo("x", (None, 4, 6))],
        ["v", "w", "s"],
        [
            Node("reshape", "r", ["x"], ["v"], {"shape": [2, 3, 4]}),
            Node("reshape", "q", ["v"], ["w"], {"shape": [24]}),
            Node("softmax", "s", ["v"], ["s"], {"axis": 3}),
        ],
    )
    graph.verify()
    feeds = random_feeds(graph, 3)
    got = Engine(graph, 1).run(feeds)
    assert np.array_equal(got["v"].reshape(3, 4, 6), feeds["x"])
    assert np.array_equal(got["w"].reshape(3, 4, 6), feeds["x"])
    assert_engine_matches(graph, batch=3)
