"""Where elements go, held against the oracle: the sum of an element's places is the number of the element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest

from sparsenet import Node, reference
from sparsenet.plan.lowering.axes import contiguous_strides
from sparsenet.plan.lowering.places import REARRANGE, evenly_spaced, joined, places_of, rearranged, repeated
from tests.sparsenet.one_node import one_node_graph

MAP = (2, 12, 4, 6)
CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("transpose", (2, 3, 4, 5), {"perm": [0, 3, 1, 2]}),
    ("transpose", (2, 3, 4, 5, 2), {"perm": [0, 4, 2, 1, 3]}),
    ("slice", MAP, {"axis": 2, "start": 3, "count": 2, "step": -2}),
    ("slice", (1, 7), {"axis": 1, "start": 1, "count": 3, "step": 2}),
    ("gather", MAP, {"axis": 1, "indices": [3, 0, 0, 11]}),
    ("gather", MAP, {"axis": 3, "indices": [5, 2]}),
    ("expand", (2, 1, 4, 1), {"shape": [5, 4, 3]}),
    ("pad", MAP, {"padding": [2, 1, 0, 3], "mode": "reflect"}),
    ("pad", MAP, {"padding": [1, 0, 2, 2], "mode": "edge"}),
    *(
        (op, MAP, {"block": [2, 3], "depth_first": first})
        for op in ("depth_to_space", "space_to_depth")
        for first in (False, True)
    ),
]


def test_every_op_is_among_the_cases() -> None:
    assert {op for op, _, _ in CASES} == REARRANGE.keys()


@pytest.mark.parametrize("op, shape, attrs", CASES, ids=str)
def test_places_of_the_output_are_those_of_the_oracle(
    op: str, shape: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    graph = one_node_graph(op, {"x": shape}, attrs=attrs)
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    (want,) = reference.run(graph, {"x": numbers}).values()
    places = rearranged(graph.nodes[0], places_of(shape, contiguous_strides(shape)), want.shape)
    got = reduce(np.add.outer, places)
    np.testing.assert_array_equal(got, want)


def test_evenly_spaced_elements_have_a_start_and_strides() -> None:
    node = Node("slice", "node", ["x"], ["y"], {"axis": 1, "start": 5, "count": 3, "step": -2})
    places = rearranged(node, places_of((2, 6, 4), (24, 4, 1)), (2, 3, 4))
    assert evenly_spaced(places) == (20, [24, -8, 1])
    assert evenly_spaced([np.array([0, 1, 3])]) is None
    assert evenly_spaced([repeated(np.array([7]), 3), np.array([2])]) == (9, [0, 0])


def test_axes_are_joined_with_the_last_one_fastest() -> None:
    assert joined([np.array([0, 10]), np.array([1, 3, 2])]).tolist() == [1, 3, 2, 11, 13, 12]
    assert joined([]).tolist() == [0]
