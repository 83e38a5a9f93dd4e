"""Where the largest number of a pooling window stands: the second output of MaxPool, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from converters import from_onnx, passes
from sparsenet import Engine, reference
from sparsenet.errors import UnsupportedOpError
from tests.converters.onnx.models import model, node, run_onnxruntime


def pooling(shape: tuple[int | str, ...], **attrs: Any) -> onnx.ModelProto:
    proto = model([node("MaxPool", "x", "y i", **attrs)], shape=shape, outputs=("y",))
    proto.graph.output.append(helper.make_tensor_value_info("i", TensorProto.INT64, None))
    return proto


def assert_as_onnxruntime(proto: onnx.ModelProto, x: np.ndarray) -> None:
    wanted = run_onnxruntime(proto, x)
    graph = from_onnx(proto, batch="fixed", optimize=False)
    fast = passes.optimize(graph)
    engine = Engine(fast, 1)
    for results in (reference.run(graph, {"x": x[None]}), engine.run({"x": x[None]})):
        for name, value in zip(graph.outputs, wanted, strict=True):
            np.testing.assert_array_equal(results[name][0], value, err_msg=name)
    engine.close()


CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 8, 9), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "columns first": ((2, 3, 8, 9), {"kernel_shape": [2, 3], "strides": [2, 1], "storage_order": 1}),
    "asymmetric padding": ((1, 2, 6, 7), {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "strides": [1, 2]}),
    "dilation": ((1, 2, 9, 9), {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [1, 0, 1, 1]}),
    "ceil_mode": (
        (2, 2, 8, 8),
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "storage_order": 1},
    ),
    "auto_pad": ((1, 2, 5, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "one dimension": ((3, 2, 11), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
}


@pytest.mark.parametrize("name", CASES)
def test_as_onnxruntime(name: str) -> None:
    shape, attrs = CASES[name]
    assert_as_onnxruntime(
        pooling(shape, **attrs), np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    )


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_window(data: st.DataObject) -> None:
    number = data.draw
    kernel, stride, dilation = ([number(st.integers(1, n)) for _ in range(2)] for n in (3, 3, 2))
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = [number(st.integers(0, kernel[i % 2] - 1)) for i in range(4)]
    size = [number(st.integers(1, 9)) for _ in range(2)]
    assume(all(s >= e for s, e in zip(size, extent, strict=True)))  # else a window may see padding alone
    attrs = {
        "kernel_shape": kernel,
        "strides": stride,
        "dilations": dilation,
        "pads": pads,
        "ceil_mode": number(st.integers(0, 1)),
        "storage_order": number(st.integers(0, 1)),
    }
    shape = (2, 2, *size)
    # Few different numbers, so that some are equal.
    x = np.random.default_rng(number(st.integers(0, 99))).integers(-2, 3, shape).astype(np.float32)
    proto = pooling(shape, **attrs)
    wanted = run_onnxruntime(proto, x)
    graph = from_onnx(proto, batch="fixed")
    results = reference.run(graph, {"x": x[None]})
    for name, value in zip(graph.outputs, wanted, strict=True):
        np.testing.assert_array_equal(results[name][0], value)


def test_padding_loses_against_everything() -> None:
    """Where all numbers of a window are as low as can be, one of these is taken, none outside the image."""
    x = np.full((1, 1, 3, 3), -np.inf, np.float32)
    graph = from_onnx(pooling(x.shape, kernel_shape=[2, 2], pads=[1, 1, 1, 1]), batch="fixed")
    places = reference.run(graph, {"x": x[None]})["i"]
    np.testing.assert_array_equal(places.ravel(), [0, 0, 1, 2, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8])


REFUSED = {
    "a free batch": (pooling(("N", 4, 7, 9), kernel_shape=[2, 2]), "free", "convert with batch='fixed'"),
    "a large map": (pooling((1, 5, 2048, 2048), kernel_shape=[2, 2]), "fixed", "16777216"),
    "a window of padding": (
        pooling((1, 1, 1, 4), kernel_shape=[2, 1], dilations=[2, 1], pads=[1, 0, 1, 0]),
        "fixed",
        "padding alone",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    proto, batch, hint = REFUSED[name]
    with pytest.raises(UnsupportedOpError, match=hint):
        from_onnx(proto, batch=batch)  # type: ignore[arg-type]


def test_without_its_second_output_nothing_is_added() -> None:
    graph = from_onnx(model([node("MaxPool", "x", "y", kernel_shape=[2, 2])]), optimize=False)
    assert [n.op for n in graph.nodes] == ["max_pool2d"]
