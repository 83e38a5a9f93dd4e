"""The Graph: shapes, readers and makers of tensors, and every rule ``verify`` holds it to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from sparsenet.errors import GraphError

F32 = np.float32


def small() -> Graph:
    """conv → relu → add(conv) → y, and a constant that nobody reads."""
    return Graph(
        "small",
        [TensorInfo("x", (None, 3, 8, 8))],
        ["y"],
        [
            Node("conv2d", "conv", ["x", "w", "b"], ["c"], {"padding": [1, 1, 1, 1], "stride": [2, 2]}),
            Node("relu", "act", ["c"], ["r"]),
            Node("add", "sum", ["r", "c"], ["y"]),
        ],
        {"w": np.ones((4, 3, 3, 3), F32), "b": np.zeros(4, F32), "spare": np.zeros(2, F32)},
        {"key": "value"},
    )


def test_shapes() -> None:
    graph = small()
    graph.verify()
    shapes = graph.shapes()
    assert shapes["x"] == (None, 3, 8, 8)
    assert shapes["w"] == (4, 3, 3, 3)
    assert shapes["c"] == shapes["r"] == shapes["y"] == (None, 4, 4, 4)
    assert graph.output_infos() == [TensorInfo("y", (None, 4, 4, 4))]


def test_makers_and_readers() -> None:
    graph = small()
    conv, act, add = graph.nodes
    assert graph.producer("c") is conv
    assert graph.producer("x") is None
    assert graph.producer("w") is None
    assert graph.consumers("c") == [act, add]
    assert graph.consumers("y") == []
    counts = graph.use_counts()
    assert (counts["c"], counts["y"], counts["spare"], counts[""]) == (2, 1, 0, 0)


def test_absent_inputs_are_not_counted() -> None:
    graph = small()
    graph.nodes[0].inputs[2] = ""
    graph.verify()
    assert graph.use_counts()[""] == 0
    graph.drop_unused_constants()
    assert list(graph.constants) == ["w"]


def test_weights_are_those_of_convolutions_and_linear() -> None:
    graph = small()
    assert [(node.name, name) for node, name, _ in graph.weights()] == [("conv", "w")]


def test_weights_must_be_constants() -> None:
    graph = Graph(
        "dynamic",
        [TensorInfo("x", (None, 3))],
        ["y"],
        [Node("relu", "r", ["w"], ["v"]), Node("linear", "fc", ["x", "v"], ["y"])],
        {"w": np.ones((2, 3), F32)},
    )
    with pytest.raises(GraphError, match=r"'fc' .* needs a constant where it reads 'v'"):
        graph.verify()


def test_everything_must_depend_on_an_input() -> None:
    graph = small()
    graph.nodes.append(Node("relu", "idle", ["b"], ["i"]))
    with pytest.raises(GraphError, match=r"'idle' .* does not depend on any input"):
        graph.verify()
    graph.nodes.pop()
    graph.outputs.append("b")
    with pytest.raises(GraphError, match="output 'b' is made by no node"):
        graph.verify()


@pytest.mark.parametrize(
    "epilogue, inputs",
    [([["relu"]] * 9, []), ([["affine"]] * 6, ["b"] * 12), ([["add"]] * 4, ["c0"] * 4)],
)
def test_an_epilogue_must_fit_a_kernel(epilogue: list[list[str]], inputs: list[str]) -> None:
    graph = small()
    graph.nodes[0].attrs["epilogue"] = epilogue
    graph.nodes[0].inputs += inputs
    with pytest.raises(GraphError, match=r"an epilogue of . steps; at most 8 are allowed"):
        graph.verify()


def test_constants_have_elements() -> None:
    graph = small()
    graph.constants["spare"] = np.zeros((3, 0), F32)
    with pytest.raises(GraphError, match=r"'spare' of shape \(3, 0\) has no elements"):
        graph.verify()


def test_the_batch_stays_the_first_dimension() -> None:
    nodes = [
        Node("global_avg_pool2d", "pool", ["x"], ["p"]),
        Node("flatten", "flat", ["p"], ["f"]),
        Node("add", "sum", ["f", "p"], ["y"]),  # (N, 3) aligned with the last two of (N, 3, 1, 1)
    ]
    graph = Graph("bad", [TensorInfo("x", (None, 3, 8, 8))], ["y"], nodes)
    with pytest.raises(GraphError, match="batch would become another dimension"):
        graph.verify()


@pytest.mark.parametrize("number", [1e39, -(10**40), float("inf"), float("nan")])
def test_numbers_must_fit_float32(number: float) -> None:
    graph = small()
    graph.nodes[0].attrs["epilogue"] = [["clip", 0, number]]
    with pytest.raises(GraphError, match="which float32 cannot hold"):
        graph.verify()
    graph.nodes[1] = Node("leaky_relu", "act", ["c"], ["r"], {"slope": number})
    graph.nodes[0].attrs.pop("epilogue")
    with pytest.raises(GraphError, match="which float32 cannot hold"):
        graph.verify()


def test_copy_is_free_of_the_original_but_shares_arrays() -> None:
    graph = small()
    other = graph.copy()
    other.nodes[0].attrs["stride"] = [1, 1]
    other.nodes[0].inputs[0] = "z"
    other.nodes.pop()
    other.outputs.append("r")
    other.constants.pop("spare")
    other.metadata.clear()
    assert graph.nodes[0].attrs["stride"] == [2, 2]
    assert graph.nodes[0].inputs[0] == "x"
    assert len(graph.nodes) == 3
    assert graph.outputs == ["y"]
    assert "spare" in graph.constants
    assert graph.metadata == {"key": "value"}
    assert other.constants["w"] is graph.constants["w"]


def test_node_shorthands() -> None:
    node = Node("conv2d", "n", ["x"], ["y"], {"epilogue": [["relu"]]})
    assert node.output == "y"
    assert node.epilogue == [["relu"]]
    node.epilogue.append(["relu"])
    assert node.attrs["epilogue"] == [["relu"]]
    assert Node("relu", "n", ["x"], ["y"]).epilogue == []


def set_input(info: TensorInfo) -> Callable[[Graph], None]:
    return lambda graph: graph.inputs.__setitem__(0, info)


def set_constant(name: str, array: np.ndarray) -> Callable[[Graph], None]:
    return lambda graph: graph.constants.__setitem__(name, array)


def set_node(index: int, node: Node) -> Callable[[Graph], None]:
    return lambda graph: graph.nodes.__setitem__(index, node)


@pytest.mark.parametrize(
    "change, message",
    [
        (set_input(TensorInfo("x", (1, 3, 8, 8))), r"'x' has shape \(1, 3, 8, 8\); only .* may be None"),
        (set_input(TensorInfo("x", (None, 3, None, 8))), "only .* may be None"),
        (set_input(TensorInfo("x", (None, 3, 0, 8))), "only .* may be None"),
        (set_input(TensorInfo("x", ())), "only .* may be None"),
        (set_input(TensorInfo("x", (None, 3, 8, 8), "float64")), "dtype float64; only float32"),
        (set_input(TensorInfo("", (None, 3, 8, 8))), "graph input has an empty name"),
        (set_constant("x", np.zeros(1, F32)), r"'x' is defined twice \(again as constant\)"),
        (set_constant("w", np.ones((4, 3, 3, 3))), "'w' has dtype float64"),
        (set_constant("w", np.full((4, 3, 3, 3), np.nan, F32)), "'w' holds NaN or infinity"),
        (set_constant("b", np.array([0, 0, 0, np.inf], F32)), "'b' holds NaN or infinity"),
        (set_constant("b", np.zeros(3, F32)), r"'conv' \(conv2d\) .* bias must be \(4,\), got \(3,\)"),
        (set_node(1, Node("relu", "conv", ["c"], ["r"])), "two nodes are named 'conv'"),
        (set_node(1, Node("relu", "act", ["c"], ["c"])), "'c' is defined twice"),
        (
            set_node(1, Node("relu", "act", ["c"], ["w"])),
            r"'w' is defined twice \(again as output of node 'act'\)",
        ),
        (set_node(1, Node("relu", "act", ["c"], [""])), "empty name"),
        (
            set_node(1, Node("relu", "act", ["nowhere"], ["r"])),
            r"'act' \(relu\) reads 'nowhere', which no",
        ),
        (set_node(1, Node("relu", "act", ["y"], ["r"])), "'act' .* reads 'y', which no"),
        (set_node(1, Node("relu", "act", ["r"], ["r"])), "'act' .* reads 'r', which no"),
        (lambda graph: graph.outputs.clear(), "no outputs"),
        (lambda graph: graph.outputs.append("z"), "output 'z' is made by no node"),
    ],
)
def test_verify_names_the_broken_rule(change: Callable[[Graph], None], message: str) -> None:
    graph = small()
    change(graph)
    with pytest.raises(GraphError, match=message):
        graph.verify()


def test_tensors_of_very_many_dimensions_are_refused() -> None:
    shape = (None, *[1] * 31)
    Graph("g", [TensorInfo("x", shape)], ["y"], [Node("relu", "r", ["x"], ["y"])]).shapes()
    wide = Graph("g", [TensorInfo("x", (*shape, 1))], ["y"], [Node("relu", "r", ["x"], ["y"])])
    with pytest.raises(GraphError, match="input 'x' has 33 dimensions, the limit is 32"):
        wide.shapes()
    reshape = Node("reshape", "r", ["x"], ["y"], {"shape": [1] * 40})
    made = Graph("g", [TensorInfo("x", (None, 1))], ["y"], [reshape])
    with pytest.raises(GraphError, match=r"node 'r' \(reshape\) .*: shape has 40 sizes, the limit is 32"):
        made.shapes()
