"""Every function of numbers against float64 at the ends of float32: denormals, overflow, infinity, NaN."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Engine
from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.reference.registry import OPERATIONS
from sparsenet.targets.registry import BROADCAST_OPERATIONS
from tests.full import at_each_length
from tests.sparsenet.float32_ends import PARAMETERS, THRESHOLDS, assert_close, exact, numbers, stated_bounds
from tests.sparsenet.one_node import one_node_graph

REACH, STEP = 2000, 9973


def test_a_bound_is_stated_for_every_activation() -> None:
    assert set(stated_bounds()) == {*ACTIVATIONS, "softmax", "pow"}


@pytest.mark.parametrize("lanes, word", at_each_length(list(ACTIVATIONS)), indirect=["lanes"])
def test_activations(lanes: int, word: str) -> None:
    x = numbers(REACH, STEP)
    graph = one_node_graph(word, {"x": (1, x.size)}, attrs=PARAMETERS.get(word))
    got = Engine(graph, 1)(x[None])[0]
    assert_close(got, exact(word, REACH, STEP), stated_bounds()[word], x)


@pytest.mark.parametrize("axis", [1, 2])
def test_softmax_of_two(lanes: int, axis: int) -> None:
    """Of (x, 0), whose difference needs no rounding; an infinite one is NaN."""
    x = numbers(20, 99991)
    pairs = np.stack([x, np.zeros_like(x)], axis=2 - axis)[None]
    with np.errstate(all="ignore"):
        want = OPERATIONS["softmax"]([pairs.astype(np.float64)], {"axis": axis})
    got = Engine(one_node_graph("softmax", {"x": pairs.shape}, attrs={"axis": axis}), 1)(pairs)
    assert_close(got.ravel(), want.ravel(), stated_bounds()["softmax"], np.zeros(want.size, np.float32))


@pytest.mark.parametrize("lanes, op", at_each_length(BROADCAST_OPERATIONS), indirect=["lanes"])
def test_arithmetic(lanes: int, op: str) -> None:
    """Rounded once from the exact result; powers to within their bound."""
    some = np.array([*THRESHOLDS, np.inf], np.float32)
    some = np.concatenate([some, -some, [np.float32(np.nan)]])
    a, b = (side.ravel() for side in np.meshgrid(some, some))
    with np.errstate(all="ignore"):
        want = OPERATIONS[op]([a.astype(np.float64), b.astype(np.float64)], {}).astype(np.float64)
    got = Engine(one_node_graph(op, {"a": (1, a.size), "b": (1, a.size)}), 1).run(
        {"a": a[None], "b": b[None]}
    )
    bound = stated_bounds()["pow"] if op == "pow" else (0.5, 0)
    assert_close(got["y"][0], want, bound, a)
