"""Passes and planning cost what the network is large, not its square: counted in calls, which nothing disturbs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converters.passes import optimize
from sparsenet.graph import Graph, Node, TensorInfo, facts
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan

SAME = {"padding": [1, 1, 1, 1]}
MAP = {"kernel": [3, 3], "stride": [1, 1], **SAME}


def weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.5, shape).astype(np.float32)


def chain(count: int, *steps: tuple[str, list[str], dict[str, Any]], **constants: np.ndarray) -> Graph:
    """``steps`` over and over: op, what it reads more ("before": what the round began with), attributes."""
    nodes: list[Node] = []
    x = "x"
    while len(nodes) < count:
        before = x
        for op, more, attrs in steps:
            n = len(nodes)
            nodes.append(
                Node(
                    op, f"n{n}", [x, *(before if m == "before" else m for m in more)], [f"t{n}"], dict(attrs)
                )
            )
            x = f"t{n}"
    return Graph("chain", [TensorInfo("x", (None, 8, 6, 6))], [x], nodes, constants)


def layers(count: int) -> Graph:
    """One weight, read by every layer."""
    return chain(count, ("conv2d", ["w"], SAME), ("relu", [], {}), w=weight(8, 8, 3, 3))


def residuals(count: int) -> Graph:
    w = weight(8, 8, 1, 1)
    w[::2] = 0
    steps = [("conv2d", ["w"], {}), ("affine", ["s", "t"], {}), ("add", ["before"], {}), ("relu", [], {})]
    return chain(count, *steps, w=w, s=weight(8), t=weight(8))


def emptied(count: int) -> Graph:
    """No channel of any layer is alive."""
    steps = [("conv2d", ["w"], {}), ("affine", ["s", "t"], {}), ("conv2d", ["d"], {"groups": 8, **SAME})]
    zeros = {"w": np.zeros((8, 8, 1, 1), np.float32), "d": np.zeros((8, 1, 3, 3), np.float32)}
    return chain(count, *steps, s=weight(8), t=weight(8), **zeros)


def transposed(count: int) -> Graph:
    steps = [("transpose", [], {"perm": [0, 2, 3, 1]}), ("sigmoid", [], {}), ("mul", ["k"], {})]
    return chain(count, *steps, ("transpose", [], {"perm": [0, 3, 1, 2]}), k=weight(8))


def reshaped(count: int) -> Graph:
    return chain(
        count, ("reshape", [], {"shape": [8, 36]}), ("reshape", [], {"shape": [8, 6, 6]}), ("relu", [], {})
    )


def pools(count: int) -> Graph:
    return chain(count, ("relu", [], {}), ("max_pool2d", [], MAP), ("identity", [], {}))


def fan(count: int) -> Graph:
    """All alive at once: what everybody reads, outputs, and a concatenation of everything."""
    nodes = [Node(("relu", "sigmoid")[i % 2], f"n{i}", ["x"], [f"t{i}"]) for i in range(count)]
    names = [node.output for node in nodes]
    nodes.append(Node("concat", "all", names, ["y"], {"axis": 1}))
    return Graph("fan", [TensorInfo("x", (None, 8, 6, 6))], ["y", *names[::2]], nodes)


def inputs(count: int) -> Graph:
    names = [f"x{i}" for i in range(count)]
    node = Node("concat", "all", names, ["y"], {"axis": 1})
    return Graph("inputs", [TensorInfo(name, (None, 4)) for name in names], ["y"], [node])


NETWORKS = [layers, residuals, emptied, transposed, reshaped, pools, fan, inputs]


def calls(work: Callable[[], object]) -> int:
    """Calls of functions that ``work`` makes, Python's own and C's."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("network", NETWORKS)
def test_four_times_the_network_costs_four_times_as_much(network: Callable[[int], Graph]) -> None:
    small, large = network(120), network(480)
    make_plan(small, Options())  # what is found out once, of the machine and the kernels
    assert calls(lambda: optimize(large)) < 4.1 * calls(lambda: optimize(small))
    assert calls(lambda: make_plan(large, Options())) < 4.1 * calls(lambda: make_plan(small, Options()))


@pytest.mark.parametrize("network", [layers, residuals, emptied])
def test_shapes_are_inferred_a_bounded_number_of_times(
    network: Callable[[int], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    inferred: Counter[str] = Counter()
    infer = facts.infer_shape

    def counted(node: Node, *rest: Any) -> Any:
        inferred[node.name] += 1
        return infer(node, *rest)

    monkeypatch.setattr(facts, "infer_shape", counted)
    graph = network(60)
    optimized = optimize(graph)
    assert max(inferred.values()) <= 35
    inferred.clear()
    make_plan(optimized, Options())
    assert max(inferred.values()) == 1
