"""The exact oracle of integer nodes: against arithmetic by hand, and within a step of rounding in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.graph.integer import KINDS, Rounding, integer_nodes
from sparsenet.graph.ops import OPS
from sparsenet.graph.quantization import Quantization
from sparsenet.reference.oracle import compute

RNG = np.random.default_rng(7)


def _graph(nodes: list[Node], constants: dict[str, Any], grids: dict[str, Quantization], *inputs: TensorInfo):
    floats = {name: np.asarray(array, np.float32) for name, array in constants.items()}
    graph = Graph("small", list(inputs), [nodes[-1].output], nodes, floats, {}, grids)
    graph.verify()
    return graph


def _u8(scale: float, zero: int) -> Quantization:
    return Quantization.of_activations(scale, zero)


def _integers(graph: Graph) -> frozenset[str]:
    return integer_nodes(graph, graph.shapes())


def _without_grids(graph: Graph, feeds: dict[str, Any]) -> Any:
    """The result where only inputs, weights and the result are rounded, in float64."""
    plain = graph.copy()
    plain.quantization = {}
    for name, grid in graph.quantization.items():
        if name in graph.constants:
            plain.constants[name] = grid.numbers(grid.round(graph.constants[name]))
    rounded = {
        name: graph.quantization[name].numbers(graph.quantization[name].round(x)) for name, x in feeds.items()
    }
    return compute(plain, rounded)[graph.outputs[0]]


def test_every_kind_has_an_op():
    assert {schema.integer for schema in OPS.values()} == KINDS | {""}


def test_a_linear_layer_by_hand():
    # q(x) = 10, 7 with the zero point 4; weights 3, -2; bias 2 / (0.5 * 0.25) = 16
    grids = {"x": _u8(0.5, 4), "w": Quantization.of_weights([0.25]), "y": _u8(1.0, 20)}
    graph = _graph([Node("linear", "n", ["x", "w", "b"], ["y"])], {"w": [[0.75, -0.5]], "b": [2.0]}, grids,
                   TensorInfo("x", (None, 2)))  # fmt: skip
    assert _integers(graph) == {"n"}
    # sum = 6 * 3 - 3 * 2 + 16 = 28, times 0.125 = 3.5, rounded half to even: 4
    assert compute(graph, {"x": np.float32([[3.0, 1.5]])})["y"].tolist() == [[4.0]]


@pytest.mark.parametrize("epilogue", [[], [["relu"]], [["add"], ["leaky_relu", 0.2], ["clip", -0.3, 2.0]]])
def test_a_convolution_is_within_a_step_of_rounding_in_float64(epilogue: list[Any]):
    weight = RNG.standard_normal((6, 5, 3, 3)) * (RNG.random((6, 5, 3, 3)) < 0.5)
    grids = {
        "x": _u8(0.03, 100), "r": _u8(0.05, 3), "y": _u8(0.04, 60),
        "w": Quantization.of_weights(np.abs(weight).reshape(6, -1).max(axis=1) / 127),
    }  # fmt: skip
    added = ["r"] if ["add"] in epilogue else []
    node = Node(
        "conv2d", "c", ["x", "w", "b", *added], ["y"], {"padding": [1, 1, 1, 1], "epilogue": epilogue}
    )
    if not added:
        del grids["r"]
    infos = [TensorInfo("x", (None, 5, 7, 6)), *(TensorInfo(name, (None, 6, 7, 6)) for name in added)]
    graph = _graph([node], {"w": weight, "b": RNG.standard_normal(6)}, grids, *infos)
    feeds = {info.name: RNG.standard_normal((2, *info.shape[1:])).astype(np.float32) for info in infos}
    assert _integers(graph) == {"c"}
    ours = grids["y"].round(compute(graph, feeds)["y"]).astype(int)
    near = grids["y"].round(_without_grids(graph, feeds)).astype(int)
    assert np.abs(ours - near).max() <= 1
    assert (ours != near).mean() < 0.02


def _unary(op: str, attrs: dict[str, Any], out: Quantization) -> Graph:
    return _graph([Node(op, "n", ["x"], ["y"], attrs)], {}, {"x": _u8(0.05, 90), "y": out},
                  TensorInfo("x", (None, 3, 6, 6)))  # fmt: skip


@pytest.mark.parametrize(
    "op, attrs, out",
    [
        ("global_avg_pool2d", {}, _u8(0.01, 128)),
        ("avg_pool2d", {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1], "count_include_pad": False},
         _u8(0.02, 90)),
        ("max_pool2d", {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]}, _u8(0.05, 90)),
        ("resize", {"scale": [2.0, 2.0]}, _u8(0.05, 90)),
        ("pad", {"padding": [1, 0, 2, 1]}, _u8(0.05, 90)),
        ("hard_swish", {}, _u8(0.02, 20)),
        ("sigmoid", {}, _u8(1 / 256, 0)),
    ],
)  # fmt: skip
def test_other_ops_are_within_a_step(op: str, attrs: dict[str, Any], out: Quantization):
    graph = _unary(op, attrs, out)
    x = (RNG.standard_normal((2, 3, 6, 6)) * 3).astype(np.float32)
    assert _integers(graph) == {"n"}
    ours = out.round(compute(graph, {"x": x})["y"]).astype(int)
    assert np.abs(ours - out.round(_without_grids(graph, {"x": x})).astype(int)).max() <= 1


@pytest.mark.parametrize(
    "op, attrs, out",
    [
        ("max_pool2d", {"kernel": [2, 2], "stride": [2, 2]}, _u8(0.04, 90)),  # another grid
        ("resize", {"scale": [2.0, 2.0], "mode": "bilinear"}, _u8(0.05, 90)),
        ("pad", {"padding": [1, 0, 0, 0], "value": 1.0}, _u8(0.05, 90)),
        ("softmax", {"axis": 1}, _u8(0.05, 90)),
    ],
)
def test_what_has_no_meaning_in_integers_stays_float(op: str, attrs: dict[str, Any], out: Quantization):
    assert _integers(_unary(op, attrs, out)) == set()


def test_a_slope_is_part_of_the_rounding_before_the_limits():
    def of(*epilogue: list[Any]) -> Rounding | None:
        return Rounding.of(Node("linear", "n", ["x"], ["y"], {"epilogue": list(epilogue)}), _u8(0.5, 100))

    for steps, expected in (
        ([["leaky_relu", 0.25], ["clip", -2.0, 1.0]], (96, 102, 0.25)),
        ([["clip", -2.0, 1.0], ["leaky_relu", 0.25]], (99, 102, 0.25)),
        ([["leaky_relu", 0.0]], (100, 255, 0.0)),
        ([["leaky_relu", 0.5], ["leaky_relu", 0.5]], (0, 255, 0.25)),
        ([["relu"]], (100, 255, None)),
    ):
        found = of(*steps)
        assert found is not None
        assert (int(found.low), int(found.high), found.bend) == expected
    for step in (["leaky_relu", 1.5], ["leaky_relu", -0.5], ["silu"]):
        assert of(step) is None


def test_a_layer_whose_sums_may_pass_int32_stays_float():
    size = 2**17
    grids = {"x": _u8(1.0, 0), "w": Quantization.of_weights(1.0), "y": _u8(1.0, 0)}
    graph = _graph([Node("linear", "n", ["x", "w"], ["y"])], {"w": np.ones((1, size))}, grids,
                   TensorInfo("x", (None, size)))  # fmt: skip
    assert _integers(graph) == set()


def test_float_nodes_between_see_the_numbers_that_the_bytes_stand_for():
    grids = {"x": _u8(0.1, 0), "w": Quantization.of_weights(1.0), "a": _u8(0.25, 0)}
    nodes = [Node("linear", "n", ["x", "w"], ["a"]), Node("exp", "e", ["a"], ["y"])]
    graph = _graph(nodes, {"w": [[1.0] * 8]}, grids, TensorInfo("x", (None, 8)))
    assert _integers(graph) == {"n"}
    assert compute(graph, {"x": np.float32([[0.6] + [0.0] * 7])})["y"].tolist() == [
        [np.float32(np.exp(0.5)).item()]
    ]
