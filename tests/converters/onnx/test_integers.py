"""Networks that other tools quantized: imported as annotations, they compute what ONNX Runtime does, in integers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from converters import from_onnx
from sparsenet import reference
from sparsenet.graph import Graph
from sparsenet.graph.integer import integer_nodes
from tests.converters.onnx.models import model, node, run_onnxruntime, weights

RNG = np.random.default_rng(3)
X = RNG.standard_normal((8, 4, 7, 9)).astype(np.float32)


def _sparse(*shape: int) -> np.ndarray:
    return np.where(np.random.default_rng(len(shape)).random(shape) < 0.6, 0, weights(*shape)).astype(
        np.float32
    )


def network() -> onnx.ModelProto:
    """Convolution, depthwise convolution, residual add, pooling and a fully connected layer."""
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1], group=8),
        node("Conv", "c2 w3", "c3"),
        node("Add", "c3 r1", "a"),
        node("Relu", "a", "r2"),
        node("MaxPool", "r2", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "m", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w4 b4", "y", transB=1),
    ]
    constants = {
        "w1": _sparse(8, 4, 3, 3), "b1": weights(8), "w2": weights(8, 1, 3, 3), "w3": _sparse(8, 8, 1, 1),
        "w4": _sparse(5, 8), "b4": weights(5),
    }  # fmt: skip
    proto = model(nodes, constants)
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 5]))
    return proto


def branches() -> onnx.ModelProto:
    """Concatenations of tensors with grids of their own, one read twice, a gate, a transposed convolution."""
    nodes = [
        node("Conv", "x w1", "c1", pads=[1, 1, 1, 1]),
        node("HardSigmoid", "c1", "s"),
        node("Mul", "c1 s", "g"),
        node("Conv", "g w2", "c2"),
        node("Relu", "c2", "r2"),
        node("Concat", "r2 c1", "both", axis=1),
        node("ConvTranspose", "both w3", "t", strides=[2, 2]),
        node("Sigmoid", "t", "l"),
        node("Concat", "l t", "y", axis=1),
    ]
    constants = {"w1": _sparse(8, 4, 3, 3), "w2": 3 * _sparse(8, 8, 1, 1), "w3": _sparse(16, 4, 2, 2)}
    proto = model(nodes, constants)
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 8, 14, 18]))
    return proto


class _Batches(CalibrationDataReader):
    def __init__(self) -> None:
        self._left = iter([{"x": X[i : i + 1]} for i in range(len(X))])

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        return next(self._left, None)


def _static(form: QuantFormat, **how: object) -> Callable[[str, str], None]:
    return lambda source, target: quantize_static(source, target, _Batches(), quant_format=form, **how)


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "float.onnx"
    onnx.save(network(), str(path))
    return str(path)


def _agrees(proto: onnx.ModelProto, graph: Graph, tolerance: float) -> None:
    (wanted,) = run_onnxruntime(proto, X)
    got = reference.run(graph, {"x": X})["y"]
    assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.parametrize(
    "quantize",
    [
        _static(QuantFormat.QDQ, per_channel=True),
        _static(QuantFormat.QDQ, activation_type=QuantType.QInt8),
        _static(QuantFormat.QOperator, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8),
    ],
    ids=["QDQ-u8-per-channel", "QDQ-s8", "QOperator"],
)
def test_a_network_that_onnxruntime_quantized_runs_in_integers(
    source: str, tmp_path: Path, quantize: Callable[[str, str], None]
) -> None:
    target = str(tmp_path / "quantized.onnx")
    quantize(source, target)
    graph = from_onnx(target)
    floats = [node.op for node in graph.nodes if node.name not in integer_nodes(graph, graph.shapes())]
    assert floats == []
    assert sum(node.op == "conv2d" for node in graph.nodes) == 3
    assert all(name in graph.quantization for _, name in graph.weight_names())
    assert np.mean(graph.constants[graph.nodes[0].inputs[1]] == 0) > 0.5
    _agrees(onnx.load(target), graph, 0.03)


def test_functions_between_two_grids(tmp_path: Path) -> None:
    """``x * sigmoid(x)`` is a table, a leaky ReLU part of the layer before it: no limit of a grid is in the way."""
    nodes = [
        node("Conv", "x w1", "c"),
        node("Sigmoid", "c", "s"),
        node("Mul", "c s", "m"),
        node("Conv", "m w2", "d"),
        node("LeakyRelu", "d", "y", alpha=0.2),
    ]
    source, target = str(tmp_path / "float.onnx"), str(tmp_path / "quantized.onnx")
    onnx.save(model(nodes, {"w1": weights(8, 4, 1, 1), "w2": weights(8, 8, 1, 1)}), source)
    _static(QuantFormat.QDQ)(source, target)
    graph = from_onnx(target)
    assert [node.op for node in graph.nodes] == ["conv2d", "silu", "conv2d"]
    assert len(integer_nodes(graph, graph.shapes())) == 3
    _agrees(onnx.load(target), graph, 0.03)


def test_a_grid_between_floats_does_not_keep_layers_apart(tmp_path: Path) -> None:
    nodes = [
        node("Softmax", "x", "a", axis=1),
        node("Conv", "a w", "c"),
        node("LeakyRelu", "c", "d", alpha=0.2),
        node("Softmax", "d", "y", axis=1),
    ]
    source, target = str(tmp_path / "float.onnx"), str(tmp_path / "quantized.onnx")
    onnx.save(model(nodes, {"w": weights(4, 4, 1, 1)}), source)
    _static(QuantFormat.QDQ)(source, target)
    graph = from_onnx(target)
    assert [(node.op, len(node.epilogue)) for node in graph.nodes] == [
        ("softmax", 0),
        ("conv2d", 2),
        ("softmax", 0),
    ]
    assert set(graph.quantization) == {name for _, name in graph.weight_names()}
    _agrees(onnx.load(target), graph, 0.03)


def test_tensors_that_meet_in_a_concatenation_are_rounded_to_its_grid(tmp_path: Path) -> None:
    source, target = (str(tmp_path / name) for name in ("float.onnx", "quantized.onnx"))
    onnx.save(branches(), source)
    _static(QuantFormat.QDQ, per_channel=True)(source, target)
    graph = from_onnx(target)
    assert [node.op for node in graph.nodes if node.name not in integer_nodes(graph, graph.shapes())] == []
    _agrees(onnx.load(target), graph, 0.03)


def test_dynamic_quantization_gives_floats_with_int8_weights(source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "dynamic.onnx")
    quantize_dynamic(source, target)
    graph = from_onnx(target)
    assert [node.op for node in graph.nodes] == [node.op for node in from_onnx(source).nodes]
    _agrees(onnx.load(target), graph, 0.05)


def _qdq(proto_nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    return model(proto_nodes, constants)


def test_a_range_that_stands_for_an_activation_is_kept() -> None:
    """A network of TensorFlow Lite's has relu6 as the range 0 to 6 of a rounding, also where it runs in floats."""
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q"),
        node("DequantizeLinear", "q s z", "y"),
    ]
    proto = _qdq(nodes, w=5 * weights(8, 4, 1, 1), s=np.float32(6 / 255), z=np.uint8(0))
    (wanted,) = run_onnxruntime(proto, X)
    got = reference.run(from_onnx(proto), {"x": X})["y"]
    assert np.abs(got - wanted).max() <= 6 / 255
    assert got.min() == 0
    assert got.max() == pytest.approx(6)


def test_two_roundings_of_one_tensor() -> None:
    """The first would be an annotation, if integers had a use for it; the second, which differs, is computed."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "a"),
        node("QuantizeLinear", "x t z", "r"),
        node("DequantizeLinear", "r t z", "b"),
        node("Sub", "a b", "y"),
    ]
    proto = _qdq(nodes, s=np.float32(0.05), t=np.float32(0.5), z=np.uint8(128))
    graph = from_onnx(proto)
    (wanted,) = run_onnxruntime(proto, X)
    assert np.abs(reference.run(graph, {"x": X})["y"] - wanted).max() <= 0.025 + 1e-6
    assert graph.quantization == {}


def test_bytes_that_are_computed_with_are_the_bytes() -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("Transpose", "q", "t", perm=[0, 2, 3, 1]),
        node("Cast", "t", "y", to=onnx.TensorProto.FLOAT),
    ]
    proto = _qdq(nodes, s=np.float32(0.02), z=np.int8(-5))
    (wanted,) = run_onnxruntime(proto, X)
    np.testing.assert_array_equal(reference.run(from_onnx(proto), {"x": X})["y"], wanted)


def test_sums_that_the_model_scales_itself() -> None:
    numbers = RNG.integers(0, 256, (5, 4, 3, 3)).astype(np.uint8)
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("ConvInteger", "q w z v", "i", pads=[1, 1, 1, 1]),
        node("Cast", "i", "f", to=onnx.TensorProto.FLOAT),
        node("Mul", "f u", "y"),
    ]
    proto = _qdq(nodes, s=np.float32(0.05), z=np.uint8(100), w=numbers, v=np.uint8(128), u=np.float32(0.001))
    (wanted,) = run_onnxruntime(proto, X)
    got = reference.run(from_onnx(proto), {"x": X})["y"]
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_pruned_weight_of_all_zeros_in_a_channel_and_a_scale_of_zero() -> None:
    numbers = np.zeros((3, 4, 1, 1), np.int8)
    numbers[0] = 7
    nodes = [
        node("QuantizeLinear", "x a z", "q"),
        node("DequantizeLinear", "q a z", "d"),
        node("DequantizeLinear", "w s", "f", axis=0),
        node("Conv", "d f", "y"),
    ]
    proto = _qdq(nodes, a=np.float32(0.04), z=np.uint8(128), w=numbers, s=np.float32([0.5, 0, 0.25]))
    graph = from_onnx(proto)
    (wanted,) = run_onnxruntime(proto, X)
    assert np.abs(reference.run(graph, {"x": X})["y"] - wanted).max() <= 4 * 7 * 0.5 * 0.02 + 1e-4
