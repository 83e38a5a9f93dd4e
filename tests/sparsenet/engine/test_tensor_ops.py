"""Ops on tensors of any rank through the engine: arithmetic, choices, reductions, products, picking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo, reference
from tests.sparsenet.against_reference import assert_engine_matches

RNG = np.random.default_rng(8)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(op: str, operands: list[tuple[int, ...] | np.ndarray], **attrs: Any) -> Graph:
    """One node; operands are shapes without batch, or constants."""
    infos, constants, names = [], {}, []
    for i, operand in enumerate(operands):
        names.append(f"x{i}")
        if isinstance(operand, np.ndarray):
            constants[names[-1]] = operand
        else:
            infos.append(TensorInfo(names[-1], (None, *operand)))
    graph = Graph("op", infos, ["y"], [Node(op, "node", names, ["y"], attrs)], constants)
    graph.verify()
    return graph


PAIRS: dict[str, list[tuple[int, ...] | np.ndarray]] = {
    "maps": [(3, 5, 9), (3, 5, 9)],
    "per channel": [(3, 5, 9), (3, 1, 1)],
    "both broadcast": [(3, 1, 9), (1, 5, 1)],
    "flat": [(37,), (37,)],
    "constant": [(3, 5, 9), array(5, 1)],
    "number": [array(1), (4, 7)],
    "rank 6": [(2, 3, 1, 4, 5), (1, 3, 2, 1, 5)],
    "pixels": [(4, 1, 1), (4, 1, 1)],
}


@pytest.mark.parametrize("operands", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("op", ["sub", "div", "maximum", "minimum", "greater", "less", "equal"])
def test_arithmetic_broadcasts(op: str, operands: list[tuple[int, ...] | np.ndarray]) -> None:
    assert_engine_matches(graph_of(op, operands), tolerance=1e-5)


def test_powers_of_negative_numbers() -> None:
    x = np.array([[-2.0, 0.0, 3.0, 2.0, -8.0]], np.float32)
    exponent = np.array([3.0, 0.0, -2.0, 0.5, 1 / 3], np.float32)
    graph = graph_of("pow", [(5,), exponent])
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(Engine(graph, 1)(x), x**exponent, rtol=1e-6)


@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_nan_wins(op: str) -> None:
    a = np.array([[np.nan, 1, np.nan, 2]], np.float32)
    b = np.array([[1, np.nan, np.nan, 3]], np.float32)
    result = Engine(graph_of(op, [(4,), (4,)]), 1)(a, b)
    assert np.isnan(result).tolist() == [[True, True, True, False]]


def test_where_takes_what_the_condition_says_and_no_more() -> None:
    graph = graph_of("where", [(3, 1, 4), (1, 5, 1), array(3, 5, 4)])
    condition = np.array([0, 1, np.nan, -1] * 3, np.float32).reshape(1, 3, 1, 4)
    feeds = {"x0": condition, "x1": np.full((1, 1, 5, 1), np.nan, np.float32)}
    wanted = reference.run(graph, feeds)["y"]
    np.testing.assert_array_equal(Engine(graph, 1).run(feeds)["y"], wanted)
    assert np.isfinite(wanted[..., 0]).all()
    assert np.isnan(wanted[..., 1:]).all()


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [[1], [2], [3], [1, 3], [2, 3], [3, 2, 1]], ids=str)
@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
def test_reductions(kind: str, axes: list[int], keepdims: bool) -> None:
    graph = graph_of("reduce", [(4, 5, 3)], kind=kind, axes=axes, keepdims=keepdims)
    assert_engine_matches(graph)


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
def test_a_reduction_keeps_nan(kind: str) -> None:
    x = np.ones((1, 2, 3), np.float32)
    x[0, 1, 1] = np.nan
    result = Engine(graph_of("reduce", [(2, 3)], kind=kind, axes=[2]), 1)(x)
    assert np.isnan(result).reshape(-1).tolist() == [False, True]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_argmax_of_equal_numbers_and_nan(axis: int, last: bool) -> None:
    x = RNG.integers(0, 3, (2, 4, 5, 6)).astype(np.float32)
    x[0, 2, 1, 3] = x[0, 3, 1, 3] = np.nan
    graph = graph_of("argmax", [(4, 5, 6)], axis=axis, last=last)
    np.testing.assert_array_equal(Engine(graph, 1)(x), reference.run(graph, {"x0": x})["y"])


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_normalize(axis: int) -> None:
    assert_engine_matches(graph_of("normalize", [(4, 5, 17)], axis=axis, eps=1e-3), tolerance=1e-5)


@pytest.mark.parametrize("offset, scale", [(1e3, 1.0), (0.0, 1e22), (1e20, 1e22), (0.0, 1e-22), (-5e5, 30.0)])
@pytest.mark.parametrize("size", [7, 100, 3000])
def test_normalize_far_from_one(offset: float, scale: float, size: int) -> None:
    graph = graph_of("normalize", [(3, size)], axis=2, eps=0.0)
    x = (offset + scale * RNG.standard_normal((2, 3, size))).astype(np.float32)
    np.testing.assert_allclose(
        Engine(graph, 1)(x), reference.run(graph, {"x0": x})["y"], rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (3, 4, 50), (2, 200, 3)], ids=str)
@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
def test_reductions_of_many_numbers(kind: str, shape: tuple[int, ...]) -> None:
    """Lanes along the axis that goes, across it, and what is left over at both ends; long sums stay exact."""
    for axis in range(1, len(shape) + 1):
        graph = graph_of("reduce", [shape], kind=kind, axes=[axis], keepdims=False)
        assert_engine_matches(graph, batch=2)
    long = graph_of("reduce", [(9000, 3)], kind=kind, axes=[1], keepdims=False)
    x = 1 + 1e-3 * RNG.standard_normal((1, 9000, 3)).astype(np.float32)
    np.testing.assert_allclose(Engine(long, 1)(x), reference.run(long, {"x0": x})["y"], rtol=2e-6)


@pytest.mark.parametrize("shape", [(5,), (100,), (3, 40), (40, 3), (2, 19, 17)], ids=str)
def test_softmax_of_large_numbers_and_infinity(shape: tuple[int, ...]) -> None:
    x = (100 * RNG.standard_normal((2, *shape))).astype(np.float32)
    x[1].reshape(-1)[:3] = -np.inf
    for axis in range(1, len(shape) + 1):
        graph = graph_of("softmax", [shape], axis=axis)
        np.testing.assert_allclose(
            Engine(graph, 1)(x), reference.run(graph, {"x0": x})["y"], rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize(
    "a, b",
    [
        ((9, 33), (33, 70)),
        ((5, 7), (7, 3)),
        ((5, 7), array(7, 33)),
        (array(4, 5), (5, 16)),
        ((2, 3, 5, 4), (3, 4, 20)),
        ((2, 1, 5, 4), (1, 3, 4, 17)),
        ((3, 5, 4), array(4, 2)),
        ((3, 5, 4), array(3, 4, 2)),
    ],
    ids=str,
)
def test_matmul(a: tuple[int, ...] | np.ndarray, b: tuple[int, ...] | np.ndarray) -> None:
    if isinstance(b, tuple) and isinstance(a, tuple) and len(b) < len(a):
        b = (1,) * (len(a) - len(b)) + b
    assert_engine_matches(graph_of("matmul", [a, b]))


@pytest.mark.parametrize(
    "axis, start, count, step",
    [(1, 0, 2, 1), (1, 2, 3, 1), (1, 4, 3, -2), (2, 1, 3, 2), (3, 8, 9, -1), (3, 3, 1, 1)],
)
def test_slice(axis: int, start: int, count: int, step: int) -> None:
    attrs = {"axis": axis, "start": start, "count": count, "step": step}
    assert_engine_matches(graph_of("slice", [(5, 6, 9)], **attrs))
    flat = Graph(
        "between",
        [TensorInfo("x", (None, 5, 6, 9))],
        ["y"],
        [
            Node("relu", "before", ["x"], ["a"]),
            Node("slice", "node", ["a"], ["b"], attrs),
            Node("relu", "behind", ["b"], ["y"]),
        ],
    )
    assert_engine_matches(flat)


@pytest.mark.parametrize("axis, indices", [(1, [0, 0, 4]), (2, [5, 2]), (3, list(range(8, -1, -1)))])
def test_gather(axis: int, indices: list[int]) -> None:
    assert_engine_matches(graph_of("gather", [(5, 6, 9)], axis=axis, indices=indices))


@pytest.mark.parametrize("shape, target", [((1,), [7]), ((3, 1, 5), [3, 4, 5]), ((1, 4, 1), [2, 4, 3])])
def test_expand(shape: tuple[int, ...], target: list[int]) -> None:
    assert_engine_matches(graph_of("expand", [shape], shape=target))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_padding_modes(mode: str) -> None:
    assert_engine_matches(graph_of("pad", [(3, 5, 6)], padding=[1, 2, 4, 0], mode=mode))


FUNCTIONS: dict[str, dict[str, float]] = {
    "elu": {"alpha": 0.7},
    "gelu": {},
    "softplus": {},
    "erf": {},
    "exp": {},
    "log": {},
    "sqrt": {},
    "abs": {},
    "floor": {},
    "round": {},
    "reciprocal": {},
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions_over_their_whole_range(op: str) -> None:
    scales = np.array([1e-30, 1e-6, 1e-3, 0.05, 0.5, 1, 3, 10, 80, 1e4, 1e30], np.float32)
    x = (RNG.standard_normal((1, 11, 64)).astype(np.float32) * scales[:, None]).reshape(1, -1)
    special = np.array([[0, 0.5, 1.5, 2.5, -0.5, 1, -1, np.inf, -np.inf, np.nan, 88.8, -110]], np.float32)
    x = np.concatenate([x, special], 1)
    graph = graph_of(op, [(x.shape[1],)], **FUNCTIONS[op])
    got, wanted = Engine(graph, 1)(x), reference.run(graph, {"x0": x})["y"]
    # elu, softplus and erf are the difference of numbers near 1; what is below float32's normal range may be 0.
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=3e-7 if op in ("elu", "erf", "gelu") else 2e-37)
