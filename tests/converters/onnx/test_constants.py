"""Constants: of any operator, with infinities, of quantized weights; and windows of depth."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from converters import from_onnx
from sparsenet import reference
from tests.converters.onnx.models import assert_converts, model, node, run_onnxruntime, weights


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


W = weights(6, 4)
CONSTANTS: dict[str, ModelProto] = {
    "Gemm": model(
        [node("Gemm", "z w b", "c", transB=1), node("Add", "x c")],
        {"z": np.zeros((1, 4), np.float32), "w": W, "b": weights(6)},
        shape=("N", 6),
    ),
    "Conv": model(
        [node("Conv", "i k", "c"), node("Add", "x c")], {"i": weights(1, 2, 9, 11), "k": weights(4, 2, 3, 3)}
    ),
    "LayerNormalization": model(
        [node("LayerNormalization", "w s", "c"), node("Gemm", "x c", transB=1)],
        {"w": W, "s": weights(4)},
        shape=("N", 4),
    ),
    "Einsum": model(
        [node("Einsum", "w v", "c", equation="ij,kj->ik"), node("MatMul", "x c")],
        {"w": W, "v": weights(3, 4)},
        shape=("N", 6),
    ),
    "Max with -inf": model([node("Max", "x c")], {"c": np.float32(-np.inf)}),
    "Min with inf": model([node("Min", "c x")], {"c": floats(np.inf, 0.1, 0.2, np.inf).reshape(4, 1, 1)}),
    "Where with -inf": model(
        [node("Greater", "x z", "g"), node("Where", "g x c", "m"), node("Softmax", "m", axis=-1)],
        {"z": np.float32(-1), "c": np.float32(-np.inf)},
    ),
    "Less than infinity": model(
        [node("Less", "x c", "l"), node("Where", "l x z")], {"z": np.float32(7), "c": np.float32(np.inf)}
    ),
    "Clip with a computed bound": model(
        [
            node("ReduceMax", "x", "m", axes=[1], keepdims=0),
            node("Sub", "m c", "d"),
            node("Squeeze", "d", "l"),
            node("Clip", "x l"),
        ],
        {"c": np.float32(1)},
        shape=(1, 6),
        opset=13,
    ),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name: str) -> None:
    assert_converts(CONSTANTS[name])


@pytest.mark.parametrize("axis", [0, 1, -4])
def test_weights_quantized_per_channel_take_what_they_are(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result as large as the broadcast of weight and scale would be 512 MiB."""
    size = 256
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "8M")
    rng = np.random.default_rng(0)
    proto = model(
        [node("DequantizeLinear", "w s z", "f", axis=axis), node("Conv", "x f")],
        {
            "w": rng.integers(-128, 128, (size, size, 1, 1)).astype(np.int8),
            "s": rng.uniform(0.001, 0.01, size).astype(np.float32),
            "z": rng.integers(-5, 5, size).astype(np.int8),
        },
        shape=("N", size, 4, 4),
    )
    assert_converts(proto)


VOLUMES: dict[str, ModelProto] = {
    "Conv": model(
        [node("Conv", "x w", pads=[1, 1, 0, 0, 1, 1], strides=[1, 2, 1])],
        {"w": weights(6, 4, 3, 3, 3)},
        shape=("N", 4, 5, 8, 6),
    ),
    "Conv, same": model(
        [node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2, 2])],
        {"w": weights(6, 4, 3, 3, 2)},
        shape=("N", 4, 5, 8, 6),
    ),
    "MaxPool": model(
        [node("MaxPool", "x", kernel_shape=[1, 3, 3], strides=[2, 1, 2])], shape=("N", 4, 5, 8, 6)
    ),
    "MaxPool over depth": model(
        [
            node(
                "MaxPool",
                "x",
                kernel_shape=[2, 3, 3],
                pads=[1, 1, 1, 0, 1, 1],
                ceil_mode=1,
                strides=[2, 2, 2],
            )
        ],
        shape=("N", 4, 5, 8, 6),
    ),
    "AveragePool": model(
        [node("AveragePool", "x", kernel_shape=[2, 3, 3], pads=[1, 1, 1, 0, 1, 1])], shape=("N", 4, 5, 8, 6)
    ),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volume(name: str) -> None:
    assert_converts(VOLUMES[name])


def test_unpooling() -> None:
    proto = model(
        [
            node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]),
            node("MaxUnpool", "p i", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        shape=(2, 3, 6, 4),
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 4)).astype(np.float32)
    graph = from_onnx(proto, batch="fixed")
    got = reference.run(graph, {"x": x[None]})[graph.outputs[0]][0]
    np.testing.assert_array_equal(got.astype(np.float32), run_onnxruntime(proto, x)[0])
