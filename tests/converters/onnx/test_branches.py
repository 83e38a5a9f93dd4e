"""ONNX If nodes: the branch that is known to be taken, and those that are not known."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters import from_onnx
from sparsenet import reference
from sparsenet.errors import SparsenetError, UnsupportedOpError
from tests.converters.onnx.models import assert_converts, model, node


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_whose_condition_is_known_is_taken(taken: bool) -> None:
    output = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    two = numpy_helper.from_array(np.float32([2]), "two")
    branches = {
        "then_branch": helper.make_graph(
            [helper.make_node("Mul", ["x", "two"], ["b"])], "t", [], output, [two]
        ),
        "else_branch": helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "e", [], output),
    }
    nodes = [helper.make_node("If", ["c"], ["d"], **branches), node("Relu", "d")]
    assert_converts(model(nodes, {"c": np.array(taken)}))


def test_integers_in_a_branch_are_divided_as_integers() -> None:
    body = [
        node("Cast", "x", "i", to=TensorProto.INT64),
        node("Div", "i seven", "q"),
        node("Cast", "q", "d", to=TensorProto.FLOAT),
    ]
    info = helper.make_tensor_value_info("d", TensorProto.FLOAT, None)
    seven = [numpy_helper.from_array(np.array(7), "seven")]
    branch = helper.make_graph(body, "branch", [], [info], seven)
    proto = model(
        [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        {"c": np.array(True)},
        shape=("N", 3),
    )
    x = np.float32([[3, 8, 20]])
    np.testing.assert_array_equal(reference.run(from_onnx(proto), {"x": x})["y"], [[0, 1, 2]])


def test_a_branch_reads_no_file() -> None:
    outside = numpy_helper.from_array(np.float32([2]), "two")
    outside.data_location = TensorProto.EXTERNAL
    entry = outside.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"
    output = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    body = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["b"])], "t", [], output, [outside])
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
    with pytest.raises(SparsenetError, match="'/etc/hostname'; give the path of the model"):
        from_onnx(model(nodes, {"c": np.array(True)}))


def test_a_branch_that_depends_on_the_input_is_refused() -> None:
    output = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "t", [], output)
    nodes = [
        node("ReduceMax", "x", "m"),
        helper.make_node("If", ["m"], ["y"], then_branch=body, else_branch=body),
    ]
    with pytest.raises(UnsupportedOpError, match=r"\(If\): which of its branches|\(ReduceMax"):
        from_onnx(model(nodes))
