"""What importing costs grows as the file does: counted in calls, which nothing disturbs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from converters import from_onnx
from sparsenet.errors import MemoryLimitError
from sparsenet.limits import MAX_NODES
from tests.converters.onnx.models import model, weights
from tests.converters.passes.test_cost import calls


def chain(op: str, count: int, *more: str) -> list[onnx.NodeProto]:
    names = ["x", *(f"t{i}" for i in range(count - 1)), "y"]
    return [helper.make_node(op, [names[i], *more], [names[i + 1]]) for i in range(count)]


def deep(count: int) -> onnx.ModelProto:
    return model(chain("Sigmoid", count))


def aliases(count: int) -> onnx.ModelProto:
    return model([*chain("Identity", count)[:-1], helper.make_node("Relu", [f"t{count - 2}"], ["y"])])


def one_weight(count: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Conv", ["x", "w"], [f"t{i}"], pads=[1, 1, 1, 1]) for i in range(count)]
    nodes.append(helper.make_node("Concat", [f"t{i}" for i in range(count)], ["y"], axis=1))
    return model(nodes, {"w": weights(3, 4, 3, 3)}, shape=("N", 4, 5, 5))


def renamed_outputs(count: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", ["x"], [f"a{i}"]) for i in range(count)]
    nodes += [helper.make_node("Identity", [f"a{i}"], [f"y{i}"]) for i in range(count)]
    return model(nodes, outputs=tuple(f"y{i}" for i in range(count)))


def operands(count: int) -> onnx.ModelProto:
    return model([helper.make_node("Sum", ["x"] * count, ["y"])])


def branches(count: int) -> onnx.ModelProto:
    info = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "b", [], info)
    nodes = [
        helper.make_node("If", ["flag"], [f"t{i}"], then_branch=body, else_branch=body) for i in range(count)
    ]
    nodes.append(helper.make_node("Concat", [f"t{i}" for i in range(count)], ["y"], axis=1))
    return model(nodes, {"flag": np.array(True)})


@pytest.mark.parametrize("network", [deep, aliases, one_weight, renamed_outputs, operands, branches])
def test_four_times_the_model_costs_four_times_as_much(network: Callable[[int], onnx.ModelProto]) -> None:
    small, large = (network(count).SerializeToString() for count in (60, 240))
    from_onnx(small)
    assert calls(lambda: from_onnx(large)) < 4.2 * calls(lambda: from_onnx(small))


def test_operands_that_become_too_many_nodes_are_refused() -> None:
    with pytest.raises(MemoryLimitError, match=rf"has {MAX_NODES + 1} nodes, the limit is {MAX_NODES}$"):
        from_onnx(operands(MAX_NODES + 5).SerializeToString())


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_branches_in_branches_are_taken(depth: int) -> None:
    info = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "b", [], info)
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "o", [], info)
    for _ in range(depth - 1):  # protobuf reads some thirty
        body = helper.make_graph(
            [helper.make_node("If", ["flag"], ["b"], then_branch=body, else_branch=other)], "b", [], info
        )
    outer = helper.make_node("If", ["flag"], ["y"], then_branch=body, else_branch=other)
    graph = from_onnx(model([outer], {"flag": np.array(True)}))
    assert [node.op for node in graph.nodes] != []
    assert "relu" not in {node.op for node in graph.nodes}
