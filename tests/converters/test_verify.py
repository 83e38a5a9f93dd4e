"""The comparison layer by layer: it must pass what is right and catch what is wrong."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from converters import passes
from converters.onnx_import import OnnxSource
from converters.torch_import import TorchSource
from converters.verify import VerificationError, relative_error, verify
from sparsenet.errors import GraphError
from sparsenet.graph import Graph


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(torch.relu(self.stem(x)))
        return self.head((x + self.body(x)).mean((2, 3)))


@pytest.fixture
def source() -> TorchSource:
    torch.manual_seed(0)
    module = Residual()
    nn.init.uniform_(module.bn.running_mean, 0.1, 0.5)
    gone = [1, 5]
    with (
        torch.no_grad()
    ):  # two channels pruned on both sides of the addition, which the reduction then removes
        for layer in (module.stem, module.body[0], module.body[1]):
            layer.weight[gone] = 0
        for values in (module.stem.bias, module.bn.bias, module.bn.running_mean, module.body[1].bias):
            values[gone] = 0
    return TorchSource(module, torch.randn(2, 3, 9, 7))


def test_every_layer_is_compared_on_both_backends(source: TorchSource) -> None:
    graph = passes.optimize(source.graph(), reduce=False)
    report = verify(graph, source)
    assert report.passed
    assert report.worst.max_rel < 1e-5
    assert report.output_error("reference") <= report.worst.max_rel
    compared = [(error.layer, error.backend) for error in report.layers]
    assert ("stem", "reference") in compared
    assert ("stem", "engine") in compared
    assert len(compared) == 2 * len({layer for layer, _ in compared})
    assert {error.layer for error in report.layers} == {
        node.name for node in graph.nodes if "pool" not in node.name
    }
    assert "conv2d+relu+affine" in {error.op for error in report.layers}


def test_reduced_layers_are_compared_on_the_channels_that_are_left(source: TorchSource) -> None:
    full = passes.optimize(source.graph(), reduce=False)
    graph = passes.reduce_channels(full)
    report = verify(graph, source, kept=passes.kept_channels(full))
    assert report.passed
    assert any(left < before for left, before in (error.channels for error in report.layers))


def test_reduced_layers_need_to_know_which_channels_are_left(source: TorchSource) -> None:
    graph = passes.optimize(source.graph())
    with pytest.raises(GraphError, match="has shape"):
        verify(graph, source)


def wrong(graph: Graph, value: float) -> Graph:
    graph = graph.copy()
    name = next(name for _, name, _ in graph.weights() if name.startswith("body"))
    graph.constants[name] = graph.constants[name].copy()
    graph.constants[name].flat[0] += value
    return graph


@pytest.mark.parametrize("value", [0.01, float("nan")])
def test_a_wrong_weight_is_found_where_it_is(source: TorchSource, value: float) -> None:
    graph = passes.optimize(source.graph(), reduce=False)
    graph.verify()
    broken = wrong(graph, value)
    if np.isnan(value):
        with pytest.raises(GraphError, match="NaN"):
            verify(broken, source)
        return
    report = verify(broken, source)
    assert not report.passed
    first = next(error for error in report.layers if error.max_rel > report.tolerance)
    assert first.layer.startswith("body")
    text = str(VerificationError("Residual", report))
    assert "more than 0.0001" in text
    assert report.worst.layer in text


def test_nan_in_a_layer_does_not_pass(source: TorchSource) -> None:
    graph = passes.optimize(source.graph(), reduce=False)
    x = np.full((1, 3, 9, 7), np.nan, np.float32)
    report = verify(graph, source, {"input": x})
    assert not report.passed
    assert np.isnan(report.worst.max_rel)


def test_tolerance_decides(source: TorchSource) -> None:
    graph = passes.optimize(source.graph(), reduce=False)
    assert not verify(graph, source, tolerance=1e-12).passed


def test_graph_of_another_network(source: TorchSource) -> None:
    other = TorchSource(nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(3 * 63, 4)), torch.zeros(1, 3, 9, 7))
    graph = other.graph()
    graph.nodes[-1].outputs = graph.outputs = ["different"]
    with pytest.raises(GraphError, match="converted from another network"):
        verify(graph, source)


def test_relative_error() -> None:
    expected = np.array([1.0, -4.0])
    assert relative_error(expected, expected) == 0.0
    assert relative_error(expected + 0.4, expected) == pytest.approx(0.1)
    assert relative_error(np.zeros(3), np.zeros(3)) == 0.0
    assert relative_error(np.ones(3), np.zeros(3)) > 1e20


def small(*nodes: onnx.NodeProto, kind: int = onnx.TensorProto.FLOAT) -> OnnxSource:
    x = onnx.helper.make_tensor_value_info("x", kind, [1, 4, 6, 6])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(list(nodes), "g", [x], [y])
    return OnnxSource(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    )


@pytest.mark.parametrize("op", ["Log", "Sqrt"])
def test_nan_of_the_source_is_right(op: str) -> None:
    source = small(onnx.helper.make_node(op, ["x"], ["y"]))
    graph = passes.optimize(source.graph())
    assert np.isnan(source.values(source.example())["y"]).any()
    report = verify(graph, source)
    assert report.passed
    assert all(error.max_abs <= error.allowed for error in report.layers)
    other = small(onnx.helper.make_node("Abs", ["x"], ["y"]))
    with np.errstate(invalid="ignore"):
        wrong = verify(passes.optimize(other.graph()), source)
    assert not wrong.passed


def test_truth_values_are_tried_as_such() -> None:
    source = small(onnx.helper.make_node("Cast", ["x"], ["y"], to=1), kind=onnx.TensorProto.BOOL)
    assert set(np.unique(source.example()["x"])) == {0, 1}
    assert verify(passes.optimize(source.graph()), source).passed
