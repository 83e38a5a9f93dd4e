"""The float64 umpire over ONNX models: it must compute what onnxruntime does, whatever the opset."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from converters import passes
from converters.onnx.wide import run_exactly
from converters.onnx_import import OnnxSource
from converters.verify import verify

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


IMAGES, SIGNALS, ROWS = numbers(2, 4, 6, 7), numbers(2, 4, 6), numbers(3, 5)
VOLUMES = numbers(2, 3, 4, 5, 6)
SHAPED = {"images": IMAGES, "signals": SIGNALS, "rows": ROWS, "volumes": VOLUMES}
AXES: list[dict[str, Any]] = [{}, {"axis": 0}, {"axis": 1}, {"axis": -1}]


def model(
    op: str, opset: int, inputs: list[np.ndarray], attributes: dict[str, Any]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    feeds = {f"x{i}": array for i, array in enumerate(inputs)}
    graph = helper.make_graph(
        [helper.make_node(op, list(feeds), ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, a.shape) for name, a in feeds.items()],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), feeds


def agrees(op: str, opset: int, inputs: list[np.ndarray], **attributes: Any) -> None:
    proto, feeds = model(op, opset, inputs, attributes)
    (expected,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)
    (got,) = run_exactly(proto, ["y"], feeds)
    assert got.dtype == np.float64
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attributes", AXES, ids=str)
@pytest.mark.parametrize("opset", [9, 11, 13, 17])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_means_what_its_opset_says(op: str, opset: int, attributes: dict[str, Any]) -> None:
    for x in (IMAGES, SIGNALS, ROWS):
        agrees(op, opset, [x], **attributes)


@pytest.mark.parametrize("attributes", [{}, {"momentum": 0.5, "epsilon": 0.01}], ids=str)
@pytest.mark.parametrize("opset", [7, 9, 13, 14, 15])
@pytest.mark.parametrize("shape", SHAPED)
def test_batch_normalization_takes_the_statistics_it_is_given(
    shape: str, opset: int, attributes: dict[str, Any]
) -> None:
    x = SHAPED[shape]
    parameters = [numbers(x.shape[1]) for _ in range(3)]
    agrees("BatchNormalization", opset, [x, *parameters, np.abs(numbers(x.shape[1])) + 0.5], **attributes)


@pytest.mark.parametrize("shape", ["signals", "images", "volumes"])
def test_global_max_pool_of_any_rank(shape: str) -> None:
    agrees("GlobalMaxPool", 11, [SHAPED[shape]])


@pytest.mark.parametrize("p", [1, 2])
def test_norm_of_numbers_of_either_sign(p: int) -> None:
    for axis in (0, 1, -1):
        agrees("LpNormalization", 11, [IMAGES], axis=axis, p=p)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_of_every_channel(size: int) -> None:
    agrees("LRN", 11, [IMAGES], size=size, alpha=0.3, beta=0.6, bias=1.5)
    agrees("LRN", 11, [IMAGES], size=size)


@pytest.mark.parametrize("opset", [9, 11, 14])
def test_source_that_is_off_behind_a_batch_normalization(opset: int) -> None:
    """onnxruntime's sigmoid of -17 is off by its own size; the umpire must come that far to see it."""
    weights = {
        "w": numbers(3, 2, 3, 3),
        "scale": np.full(3, 0.01, np.float32),
        "bias": np.full(3, -17, np.float32),
        "mean": np.full(3, 2, np.float32),
        "variance": np.full(3, 4, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
            helper.make_node(
                "BatchNormalization", ["c", "scale", "bias", "mean", "variance"], ["b"], name="norm"
            ),
            helper.make_node("Sigmoid", ["b"], ["y"], name="sigmoid"),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ("N", 2, 6, 7))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ("N", 3, 4, 5))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    source = OnnxSource(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    )
    report = verify(passes.optimize(source.graph()), source, {"x": numbers(3, 2, 6, 7)})
    assert report.passed
    assert report.source_off
