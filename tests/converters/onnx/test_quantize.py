"""Quantized ONNX models as the floats they stand for: weights in any narrow type, blocks, activations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from converters import from_onnx
from sparsenet import reference
from sparsenet.errors import ModelFileError, UnsupportedOpError
from tests.converters.importing import relative_error
from tests.converters.onnx.models import assert_converts, model, node, run_onnxruntime, weights

NUMBERS = [0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0]
INTEGERS = ("INT2", "UINT2", "INT4", "UINT4", "INT8", "UINT8", "INT16", "INT32")
KINDS = (*INTEGERS, "FLOAT4E2M1", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")


def quantized_conv(kind: str) -> onnx.ModelProto:
    """A convolution (3, 4, 1, 1) whose weight is stored in a narrow type, a scale for each output channel."""
    proto = model(
        [node("DequantizeLinear", "w s", "f", axis=0), node("Conv", "x f")],
        {"s": np.float32([0.5, 0.25, 2])},
        opset=25,
    )
    proto.ir_version = 12
    proto.graph.initializer.append(helper.make_tensor("w", getattr(TensorProto, kind), (3, 4, 1, 1), NUMBERS))
    return proto


def expected_weight() -> np.ndarray:
    scale = np.float32([0.5, 0.25, 2]).reshape(3, 1, 1, 1)
    return np.float32(NUMBERS).reshape(3, 4, 1, 1) * scale


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_narrow_types(kind: str) -> None:
    graph = from_onnx(quantized_conv(kind))
    ((_, _, weight),) = graph.weights()
    np.testing.assert_array_equal(weight, expected_weight())


@pytest.mark.parametrize("opset", [10, 13, 19, 23])
def test_weights_of_any_opset(opset: int) -> None:
    numbers = np.random.default_rng(0).integers(-128, 128, (3, 4, 3, 3)).astype(np.int8)
    constants = {"w": numbers, "s": np.float32(0.02), "z": np.int8(3)}
    proto = model([node("DequantizeLinear", "w s z", "f"), node("Conv", "x f")], constants, opset=opset)
    proto.ir_version = 10
    assert_converts(proto)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_narrow_types_in_a_file_beside_the_model(kind: str, tmp_path: Path) -> None:
    proto = quantized_conv(kind)
    tensor = proto.graph.initializer[1]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "w"))
    assert tensor.data_type == getattr(TensorProto, kind)
    external_data_helper.set_external_data(tensor, "weights.bin")
    external_data_helper.save_external_data(tensor, str(tmp_path))
    tensor.ClearField("raw_data")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    ((_, _, weight),) = from_onnx(tmp_path / "m.onnx").weights()
    np.testing.assert_array_equal(weight, expected_weight())
    (tmp_path / "weights.bin").write_bytes(b"\0")
    with pytest.raises(ModelFileError, match="ends before byte"):
        from_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.INT4])
@pytest.mark.parametrize("axis", [0, 1])
def test_weights_with_a_scale_for_each_block(kind: int, axis: int) -> None:
    """The last layer of a network: (N, 6) times a matrix (6, 4) in blocks of 2."""
    sizes = [6, 4]
    sizes[axis] //= 2
    numbers = np.random.default_rng(0).integers(-8, 8, 24)
    proto = model(
        [node("DequantizeLinear", "w s z", "f", axis=axis, block_size=2), node("MatMul", "x f")],
        {"s": np.abs(weights(*sizes))},
        shape=("N", 6),
        opset=21,
    )
    proto.ir_version = 10
    proto.graph.initializer.append(helper.make_tensor("w", kind, (6, 4), numbers))
    points = np.random.default_rng(1).integers(-2, 3, np.prod(sizes))
    proto.graph.initializer.append(helper.make_tensor("z", kind, sizes, points))
    assert_converts(proto)


def test_weights_that_are_quantized_in_the_model() -> None:
    """As quantization-aware training exports them: float weights between two nodes."""
    nodes = [
        node("QuantizeLinear", "w s z", "q", axis=0),
        node("DequantizeLinear", "q s z", "f", axis=0),
        node("QuantizeLinear", "x b p", "xq"),
        node("DequantizeLinear", "xq b p", "d"),
        node("Conv", "d f", "c"),
        node("QuantizeLinear", "c a p", "cq"),
        node("DequantizeLinear", "cq a p"),
    ]
    constants = {
        "w": weights(5, 4, 3, 3),
        "s": np.float32([0.01, 0.02, 0.03, 0.02, 0.01]),
        "z": np.zeros(5, np.int8),
        "a": np.float32(0.125),
        "b": np.float32(0.03),
        "p": np.uint8(128),
    }
    proto = model(nodes, constants)
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 9)).astype(np.float32)
    (wanted,) = run_onnxruntime(proto, x)
    graph = from_onnx(proto)
    got = reference.run(graph, {"x": x})["y"]
    # One step of the last quantization, where a sum lies on its edge.
    assert np.abs(got - wanted).max() <= 0.125 + 1e-6
    assert (np.abs(got - wanted) > 1e-6).mean() < 0.01


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16])
def test_weights_beyond_the_range_of_their_type_stop_at_its_ends(kind: type) -> None:
    nodes = [
        node("QuantizeLinear", "w s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("Add", "x d"),
    ]
    w = np.float32([1e10, -1e10, np.inf, 3])
    assert_converts(model(nodes, {"w": w, "s": np.float32(0.1), "z": kind(3)}, shape=("N", 4), opset=21))


def test_a_block_may_be_larger_than_its_axis_whatever_it_claims() -> None:
    nodes = [node("DequantizeLinear", "q s", "d", axis=1, block_size=1 << 40), node("MatMul", "x d")]
    constants = {"q": np.ones((4, 6), np.int8), "s": np.float32([[0.5], [1], [2], [4]])}
    graph = from_onnx(model(nodes, constants, shape=("N", 4), opset=21))
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(reference.run(graph, {"x": x})["y"], np.full((1, 6), 7.5, np.float32))


def test_blocks_of_images_are_refused() -> None:
    nodes = [node("QuantizeLinear", "x s", axis=0, block_size=2)]
    proto = model(nodes, {"s": np.float32([[1, 1, 1], [0.1, 0.1, 0.1]])}, shape=("N", 3), opset=21)
    with pytest.raises(UnsupportedOpError, match="across the batch"):
        from_onnx(proto)


@pytest.mark.parametrize(
    "kind, low, high", [(np.int8, -128, 127), (np.uint8, 0, 255), (np.int16, -32768, 32767)]
)
def test_activations_with_a_scale_for_each_block(kind: type, low: int, high: int) -> None:
    """The last block of 7 rows has one only."""
    scale = np.abs(weights(1, 4, 4, 9)) * np.float32(0.01)
    point = np.random.default_rng(2).integers(0, 5, scale.shape).astype(kind)
    proto = model(
        [
            node("QuantizeLinear", "x s z", "q", axis=2, block_size=2),
            node("DequantizeLinear", "q s z", axis=2, block_size=2),
        ],
        {"s": scale, "z": point},
        shape=(1, 4, 7, 9),
        opset=21,
    )
    x = weights(1, 4, 7, 9)
    whole, points = (np.repeat(v, 2, 2)[:, :, :7] for v in (scale, point.astype(np.float32)))
    wanted = (np.clip(np.rint(x / whole) + points, low, high) - points) * whole
    assert relative_error(reference.run(from_onnx(proto), {"x": x})["y"], wanted.astype(np.float32)) < 1e-6


def test_quantization_to_floats_is_refused() -> None:
    proto = model(
        [node("QuantizeLinear", "x s", output_dtype=TensorProto.FLOAT8E5M2)], {"s": np.float32(1)}, opset=23
    )
    with pytest.raises(UnsupportedOpError, match="integers of 2 to 16 bits"):
        from_onnx(proto)
