"""Two ops added from outside the package go all the way: import, passes, oracle, plan, engine, file.

It is what docs/extending.md tells of a new op, and nothing else is needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from converters import from_onnx, from_torch
from converters.onnx.ops.table import RULES as ONNX_RULES
from converters.passes import optimize
from converters.torch.ops.table import RULES as TORCH_RULES
from sparsenet import Engine, Graph, Node, TensorInfo, reference, save
from sparsenet.engine import load
from sparsenet.errors import GraphError, UnsupportedOpError
from sparsenet.graph.ops import OPS, OpSchema, parts
from sparsenet.graph.ops.attribute import integer
from sparsenet.graph.ops.sizes import Attrs, Shapes, axis_in, broadcast, present
from sparsenet.graph.types import Shape
from sparsenet.plan.builder import Builder
from sparsenet.reference.operation import Array
from sparsenet.reference.registry import OPERATIONS
from sparsenet.targets.cpu.lower import LOWER
from tests.sparsenet.against_reference import assert_engine_matches

TABLES: tuple[dict[str, Any], ...] = (
    OPS,
    OPERATIONS,
    LOWER,
    ONNX_RULES,
    TORCH_RULES,
)


def mirror_shape(shapes: Shapes, attrs: Attrs) -> Shape:
    """The shape of x, which must have the axis."""
    axis_in(attrs["side"], present(shapes[0]))
    return present(shapes[0])


def hypot(inputs: list[Array], _attrs: Attrs) -> Array:
    """Length √(a² + b²)."""
    return np.hypot(inputs[0], inputs[1])


def mirror(inputs: list[Array], attrs: Attrs) -> Array:
    """One axis from its end to its beginning."""
    return np.flip(inputs[0], attrs["side"])


def lower_hypot(builder: Builder, node: Node) -> None:
    """Both squares, and their sum with the root as its epilogue."""
    squares = []
    for role, tensor in zip("ab", node.inputs, strict=True):
        square = Node("mul", node.name, [tensor, tensor], [f"{node.output}//{role}"])
        builder.shapes[square.output] = builder.shapes[tensor]
        LOWER["mul"](builder, square)
        squares.append(square.output)
    LOWER["add"](builder, Node("add", node.name, squares, node.outputs, {"epilogue": [["sqrt"]]}))


def lower_mirror(builder: Builder, node: Node) -> None:
    """A slice that goes backwards."""
    axis = node.attrs["side"]
    size = builder.shape(node.inputs[0])[axis]
    attrs = {"axis": axis, "start": size - 1, "count": size, "step": -1}
    LOWER["slice"](builder, Node("slice", node.name, node.inputs, node.outputs, attrs))


def enter_hypot() -> None:
    """Everything that there is to say of an elementwise op."""
    OPS.add(
        "hypot", OpSchema(("a", "b"), broadcast, partial=parts.broadcast, elementwise=True, arithmetic=True)
    )
    OPERATIONS.add("hypot", hypot)
    LOWER.add("hypot", lower_hypot)
    ONNX_RULES.add("outside::Hypot", lambda c: c.binary("hypot", c.operand(0), c.operand(1)))
    TORCH_RULES.add("hypot.default", lambda c: c.binary("hypot", c["self"], c["other"]))


def enter_mirror() -> None:
    """Everything that there is to say of an op with an attribute."""
    OPS.add("mirror", OpSchema(("x",), mirror_shape, {"side": integer(1)}, sign_keeping=True))
    OPERATIONS.add("mirror", mirror)
    LOWER.add("mirror", lower_mirror)
    ONNX_RULES.add("outside::Mirror", lambda c: c.unary("mirror", side=c.axis(c.attrs["axis"])))


@pytest.fixture(autouse=True)
def entered() -> Iterator[None]:
    before = [dict(table) for table in TABLES]
    enter_hypot()
    enter_mirror()
    yield
    for table, entries in zip(TABLES, before, strict=True):
        table.clear()
        table.update(entries)


def onnx_model() -> onnx.ModelProto:
    """Lengths of (x, offset) with rows and columns exchanged before and after, mirrored, its negative numbers cut."""
    offset = np.linspace(-1, 1, 5, dtype=np.float32).reshape(1, 1, 1, 5)
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("Hypot", ["turned", "offset"], ["length"], domain="outside"),
        helper.make_node("Transpose", ["length"], ["back"], perm=[0, 1, 3, 2]),
        helper.make_node("Relu", ["back"], ["positive"]),
        helper.make_node("Mirror", ["positive"], ["mirrored"], axis=-1, domain="outside"),
        helper.make_node("Relu", ["mirrored"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "outside",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 5, 7])],
        [onnx.numpy_helper.from_array(offset, "offset")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("outside", 1)]
    return helper.make_model(graph, opset_imports=opsets)


def expected(x: np.ndarray) -> np.ndarray:
    """What ``onnx_model`` computes."""
    offset = np.linspace(-1, 1, 5, dtype=np.float32).reshape(5, 1)
    return np.flip(np.hypot(x, offset), 3)


X = np.random.default_rng(3).standard_normal((2, 3, 5, 7)).astype(np.float32)


def test_from_onnx_through_passes_oracle_and_engine() -> None:
    graph = from_onnx(onnx_model())
    # Transpositions met behind what is elementwise, and a mirror of what is never negative needs no second ReLU.
    assert [node.op for node in graph.nodes] == ["hypot", "relu", "mirror"]
    np.testing.assert_allclose(reference.run(graph, {"x": X})["y"], expected(X), rtol=1e-6)
    np.testing.assert_allclose(Engine(graph).run({"x": X})["y"], expected(X), rtol=1e-5)


def test_from_torch() -> None:
    class Lengths(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.hypot(x, x.relu())

    graph = from_torch(Lengths(), torch.zeros(1, 3, 5, 7))
    assert [node.op for node in graph.nodes] == ["relu", "hypot"]
    want = torch.hypot(torch.from_numpy(X), torch.from_numpy(X).relu()).numpy()
    (got,) = Engine(graph).run({graph.inputs[0].name: X}).values()
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 5, 21), (7,), (4, 6)], ids=str)
def test_the_engine_computes_what_the_oracle_computes(shape: tuple[int, ...]) -> None:
    nodes = [Node("hypot", "h", ["x", "z"], ["h"]), Node("mirror", "y", ["h"], ["y"], {"side": len(shape)})]
    inputs = [TensorInfo("x", (None, *shape)), TensorInfo("z", (None, *shape))]
    assert_engine_matches(optimize(Graph("outside", inputs, ["y"], nodes)), tolerance=1e-5)


def test_a_file_holds_it(tmp_path: Path) -> None:
    graph = from_onnx(onnx_model())
    save(graph, tmp_path / "outside.sparse")
    np.testing.assert_array_equal(
        load(tmp_path / "outside.sparse").run({"x": X})["y"], Engine(graph).run({"x": X})["y"]
    )


def test_what_does_not_fit_is_named() -> None:
    graph = from_onnx(onnx_model())
    (node,) = (node for node in graph.nodes if node.op == "mirror")
    node.attrs["side"] = 4
    with pytest.raises(
        GraphError, match=rf"node '{node.name}' \(mirror\) .*axis must be an integer from 1 to 3"
    ):
        Engine(graph)


def test_a_gpu_without_a_lowering_says_so() -> None:
    from sparsenet.targets.cuda.builder import Options
    from sparsenet.targets.cuda.make import make_plan

    with pytest.raises(UnsupportedOpError) as info:
        make_plan(from_onnx(onnx_model()), Options())
    assert [reason.partition("(")[2] for reason in info.value.reasons] == [
        "hypot): the op has no CUDA kernel",
        "mirror): the op has no CUDA kernel",
    ]


def test_an_entry_is_made_once() -> None:
    with pytest.raises(ValueError, match="'hypot' is in the table already"):
        OPS.add("hypot", OPS["add"])


def test_the_document_shows_it_as_it_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
    for function in (mirror_shape, mirror, lower_mirror, enter_mirror):
        assert inspect.getsource(function) in text, function.__name__
