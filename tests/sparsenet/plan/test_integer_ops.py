"""Averages, sums, products and activations in integers: the oracle's results to the bit."""

from __future__ import annotations

from typing import Any

import pytest

from sparsenet import Graph, Node, TensorInfo
from sparsenet.plan.builder import Options
from sparsenet.targets.target import Target
from tests.full import chosen
from tests.sparsenet.plan.test_integer import EVERYTHING_STREAMS, HOSTS, assert_exact, formats
from tests.sparsenet.quantized import quantized


def one_op(op: str, *shapes: tuple[int, ...], **attrs: Any) -> Graph:
    """One node whose inputs have these shapes, grids on all of its tensors."""
    names = [f"x{number}" for number in range(len(shapes))]
    inputs = [TensorInfo(name, (None, *shape)) for name, shape in zip(names, shapes, strict=True)]
    graph = Graph(op, inputs, ["y"], [Node(op, "node", names, ["y"], attrs)])
    graph.verify()
    return quantized(graph)


MAP, SMALL, WIDE, PLAIN = (6, 9, 37), (9, 7, 7), (5, 3, 70), (21,)
CASES: dict[str, Any] = {
    "average": ("avg_pool2d", MAP, {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1]}),
    "average-of-pixels": (
        "avg_pool2d", MAP,
        {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 1, 1, 0], "count_include_pad": False},
    ),
    "average-of-more-than-16-bits-hold": (
        "avg_pool2d", (3, 20, 24), {"kernel": [17, 18], "stride": [1, 1], "padding": [0] * 4},
    ),
    "average-flattened": ("avg_pool2d", SMALL, {"kernel": [2, 2], "stride": [1, 1], "padding": [0, 0, 1, 1]}),
    "all-pixels": ("global_avg_pool2d", MAP, {}),
    "all-pixels-flattened": ("global_avg_pool2d", SMALL, {}),
    "all-of-many-rows": ("global_avg_pool2d", (3, 300, 20), {}),
    "table": ("sigmoid", WIDE, {}),
    "table-flattened": ("silu", SMALL, {}),
    "table-plain": ("sigmoid", PLAIN, {}),
    "sum": ("add", WIDE, WIDE, {"epilogue": [["leaky_relu", 0.25], ["clip", -0.5, 1.5]]}),
    "sum-flattened": ("add", SMALL, SMALL, {}),
    "sum-plain": ("add", PLAIN, PLAIN, {}),
    "product": ("mul", WIDE, WIDE, {"epilogue": [["leaky_relu", 0.01]]}),
    "product-plain": ("mul", PLAIN, PLAIN, {"epilogue": [["relu"]]}),
    "gates": ("mul", WIDE, (5, 1, 1), {}),
    "gates-flattened": ("mul", (9, 1, 1), SMALL, {"epilogue": [["clip", 0.0, 1.0]]}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_op(name: str) -> None:
    op, *shapes, attrs = CASES[name]
    engine = assert_exact(one_op(op, *shapes, **attrs))
    assert formats(engine) == ["int8"]


def excited() -> Graph:
    """A map that is squeezed, excited and added to itself, between two activations: every op here at once."""
    graph = Graph("se", [TensorInfo("x", (None, 10, 12, 35))], ["y"], [])
    window = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1]}
    graph.nodes = [
        Node("silu", "a", ["x"], ["a"]),
        Node("avg_pool2d", "p", ["a"], ["p"], window),
        Node("global_avg_pool2d", "g", ["p"], ["g"]),
        Node("sigmoid", "s", ["g"], ["s"]),
        Node("mul", "m", ["p", "s"], ["m"]),
        Node("add", "y", ["m", "a"], ["y"], {"epilogue": [["relu"]]}),
    ]
    graph.verify()
    return quantized(graph)


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_stream_through_all(threads: int) -> None:
    engine = assert_exact(excited(), Options(threads=threads, target=EVERYTHING_STREAMS))
    assert formats(engine) == ["int8"] * 6


@pytest.mark.parametrize("target", chosen(HOSTS[:1], HOSTS), ids=lambda target: target.name)
def test_other_instruction_sets(target: Target) -> None:
    assert_exact(excited(), Options(target=target))
