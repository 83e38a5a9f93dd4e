"""Every operation the ONNX importer knows, against onnxruntime, through the reference backend."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from converters import from_onnx
from converters.onnx_import import OnnxSource
from converters.verify import verify
from sparsenet import reference
from tests.converters.onnx.models import assert_converts, model, node, weights


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


W = weights(6, 4, 3, 3)
CONVOLUTIONS = {
    "plain": model([node("Conv", "x w b")], {"w": W, "b": weights(6)}),
    "without bias": model([node("Conv", "x w")], {"w": W}),
    "asymmetric pads": model([node("Conv", "x w", pads=[0, 1, 2, 3])], {"w": W}),
    "strides and dilations": model(
        [node("Conv", "x w", strides=[2, 1], dilations=[1, 3], pads=[1, 3, 1, 3])], {"w": W}
    ),
    "groups": model([node("Conv", "x w b", group=2)], {"w": weights(6, 2, 3, 3), "b": weights(6)}),
    "depthwise": model([node("Conv", "x w", group=4)], {"w": weights(4, 1, 3, 3)}),
    "VALID": model([node("Conv", "x w", auto_pad="VALID")], {"w": W}),
    "SAME_UPPER": model(
        [node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], {"w": weights(6, 4, 4, 2)}
    ),
    "SAME_LOWER": model(
        [node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 3])], {"w": weights(6, 4, 4, 2)}
    ),
    "SAME_UPPER, stride above kernel": model(
        [node("Conv", "x w", auto_pad="SAME_UPPER", strides=[3, 3])], {"w": weights(6, 4, 2, 1)}
    ),
    "float16 weights": model(
        [node("Cast", "h", "w", to=TensorProto.FLOAT), node("Conv", "x w")], {"h": W.astype(np.float16)}
    ),
    "float64 weights": model(
        [node("Cast", "h", "w", to=TensorProto.FLOAT), node("Conv", "x w")], {"h": W.astype(np.float64)}
    ),
    "masked weights": model(
        [node("Mul", "w0 m", "w"), node("Conv", "x w")], {"w0": W, "m": (W > 0).astype(np.float32)}
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str) -> None:
    assert_converts(CONVOLUTIONS[name])


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("size, stride, dilation", [(3, 1, 2), (2, 1, 3), (2, 2, 2), (3, 3, 2)])
def test_same_padding_of_dilated_kernels(mode: str, size: int, stride: int, dilation: int) -> None:
    attributes = {"auto_pad": mode, "strides": [stride] * 2, "dilations": [dilation] * 2}
    proto = model(
        [node("Conv", "x w", kernel_shape=[size] * 2, **attributes)], {"w": weights(6, 4, size, size)}
    )
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 9)).astype(np.float32)
    (expected,) = ReferenceEvaluator(proto).run(None, {"x": x})  # onnxruntime refuses it
    graph = from_onnx(proto)
    np.testing.assert_allclose(reference.run(graph, {"x": x})["y"], expected, 1e-4, 1e-5)
    source = OnnxSource(proto)
    assert verify(source.graph(), source, {"x": x}).passed


POOLING = {
    "max": model([node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])]),
    "max, asymmetric pads": model(
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 2, 1])]
    ),
    "max, ceil_mode": model([node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)]),
    "max, ceil_mode, pads": model(
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1)]
    ),
    "max, dilations": model([node("MaxPool", "x", kernel_shape=[2, 3], dilations=[3, 2])]),
    "max, default strides": model([node("MaxPool", "x", kernel_shape=[3, 2])]),
    "max, SAME_UPPER": model(
        [node("MaxPool", "x", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER")]
    ),
    "max, SAME_LOWER": model(
        [node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER")]
    ),
    "max of padding with -inf": model(
        [node("Pad", "x p v", "a"), node("MaxPool", "a", kernel_shape=[3, 3], strides=[2, 2])],
        {"p": ints(0, 0, 0, 1, 0, 0, 1, 1), "v": floats(-np.inf).reshape(())},
    ),
    "avg": model([node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])]),
    "avg, pads not counted": model([node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]),
    "avg, pads counted": model(
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[0, 2, 1, 1], count_include_pad=1)]
    ),
    "avg, ceil_mode": model([node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)]),
    "avg, SAME_UPPER": model(
        [node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER")]
    ),
    "global avg": model([node("GlobalAveragePool", "x")]),
    "global 3-norm": model([node("GlobalLpPool", "x", p=3)]),
    "global max": model([node("GlobalMaxPool", "x")]),
    "mean, axes as attribute": model([node("ReduceMean", "x", axes=[2, 3], keepdims=0)], opset=13),
    "mean, axes as input": model([node("ReduceMean", "x a")], {"a": ints(-1, -2)}),
    "max over H and W": model([node("ReduceMax", "x", axes=[2, 3])], opset=13),
}


@pytest.mark.parametrize("name", POOLING)
def test_pooling(name: str) -> None:
    assert_converts(POOLING[name])


FEATURES = ("N", 8)
MATRICES = {
    "Gemm": model([node("Gemm", "x w b")], {"w": weights(8, 5), "b": weights(5)}, shape=FEATURES),
    "Gemm, transB": model(
        [node("Gemm", "x w b", transB=1)], {"w": weights(5, 8), "b": weights(5)}, shape=FEATURES
    ),
    "Gemm, alpha and beta": model(
        [node("Gemm", "x w b", transB=1, alpha=0.5, beta=3.0)],
        {"w": weights(5, 8), "b": weights(5)},
        shape=FEATURES,
    ),
    "Gemm without C": model([node("Gemm", "x w")], {"w": weights(8, 5)}, shape=FEATURES),
    "Gemm, scalar C": model([node("Gemm", "x w b")], {"w": weights(8, 5), "b": floats(2.0)}, shape=FEATURES),
    "Gemm, C of one row": model(
        [node("Gemm", "x w b")], {"w": weights(8, 5), "b": weights(1, 5)}, shape=FEATURES
    ),
    "Gemm, C an activation": model([node("Gemm", "x w x")], {"w": weights(8, 8)}, shape=FEATURES),
    "MatMul, Add": model(
        [node("MatMul", "x w", "a"), node("Add", "b a")],
        {"w": weights(8, 5), "b": weights(5)},
        shape=FEATURES,
    ),
    "MatMul of a transposed weight": model(
        [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t")],
        {"w": weights(5, 8)},
        shape=FEATURES,
    ),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrix(name: str) -> None:
    assert_converts(MATRICES[name])


ACTIVATIONS = {
    "Relu": model([node("Relu", "x")]),
    "Sigmoid": model([node("Sigmoid", "x")]),
    "Tanh": model([node("Tanh", "x")]),
    "HardSwish": model([node("HardSwish", "x")]),
    "HardSigmoid as in PyTorch": model([node("HardSigmoid", "x", alpha=1 / 6)]),
    "HardSigmoid, default": model([node("HardSigmoid", "x")]),
    "LeakyRelu": model([node("LeakyRelu", "x", alpha=0.2)]),
    "LeakyRelu, default": model([node("LeakyRelu", "x")]),
    "PRelu": model([node("PRelu", "x s")], {"s": np.full((4, 1, 1), 0.3, np.float32)}),
    "Clip, attributes": model([node("Clip", "x", min=-0.5, max=0.5)], opset=9),
    "Clip, inputs": model([node("Clip", "x a b")], {"a": np.float32(-0.5), "b": np.float32(0.25)}),
    "Clip, only max": model([node("Clip", "x _ b")], {"b": np.float32(0.25)}),
    "Clip from 0": model([node("Clip", "x a")], {"a": np.float32(0)}),
    "Clip, no bounds": model([node("Clip", "x", "a"), node("Relu", "a")]),
    "Max with a number": model([node("Max", "x a")], {"a": np.float32(0.1)}),
    "Min with a number": model([node("Min", "a x")], {"a": np.float32(0.1)}),
    "Softmax 13, default axis": model([node("Softmax", "x")]),
    "Softmax 13, channels": model([node("Softmax", "x", axis=1)]),
    "Softmax 11, default axis": model([node("Softmax", "x")], opset=11),
    "Softmax 11, axis 2": model([node("Softmax", "x", axis=2)], opset=11),
    "Softmax 11, last axis": model([node("Softmax", "x", axis=-1)], opset=11),
    "Softmax 11, features": model([node("Softmax", "x")], opset=11, shape=FEATURES),
    "x * Sigmoid(x)": model([node("Sigmoid", "x", "s"), node("Mul", "x s")]),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    assert_converts(ACTIVATIONS[name])


ARITHMETIC = {
    "Add of a number": model([node("Add", "x c")], {"c": np.float32(2)}),
    "Sub from a constant": model([node("Sub", "c x")], {"c": weights(4, 1, 1)}),
    "Mul": model([node("Mul", "x x")]),
    "Div by a constant": model([node("Div", "x c")], {"c": weights(1, 4, 1, 1)}),
    "Neg": model([node("Neg", "x")]),
    "Sum of three": model([node("Neg", "x", "a"), node("Sum", "x a x")]),
    "Sum of one": model([node("Sum", "x", "a"), node("Relu", "a")]),
    "squeeze and excite": model(
        [node("GlobalAveragePool", "x", "p"), node("Sigmoid", "p", "s"), node("Mul", "x s")]
    ),
    "BatchNormalization": model(
        [node("BatchNormalization", "x s b m v", epsilon=0.01)],
        {"s": weights(4), "b": weights(4) + 1, "m": weights(4) - 1, "v": weights(4) ** 2},
    ),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name: str) -> None:
    assert_converts(ARITHMETIC[name])


SHAPES = {
    "Flatten": model([node("Flatten", "x")]),
    "Flatten, negative axis": model([node("Flatten", "x", axis=-3)]),
    "Reshape, 0 and -1": model([node("Reshape", "x s")], {"s": ints(0, -1)}),
    "Reshape, -1 is the batch": model([node("Reshape", "x s")], {"s": ints(-1, 2, 126)}),
    "Reshape, 0 copies": model([node("Reshape", "x s")], {"s": ints(0, 0, -1)}),
    "Reshape of a fixed batch": model([node("Reshape", "x s")], {"s": ints(2, -1)}, shape=(2, 4, 7, 9)),
    "Squeeze, attribute": model([node("Squeeze", "x", axes=[2])], opset=11, shape=("N", 4, 1, 9)),
    "Squeeze, input": model([node("Squeeze", "x a")], {"a": ints(-2)}, shape=("N", 4, 1, 9)),
    "Unsqueeze, input": model([node("Unsqueeze", "x a")], {"a": ints(2, -1)}),
    "Unsqueeze, attribute": model([node("Unsqueeze", "x", axes=[1])], opset=11),
    "Transpose": model([node("Transpose", "x", perm=[0, 2, 3, 1])]),
    "Pad": model([node("Pad", "x p")], {"p": ints(0, 0, 1, 2, 0, 0, 3, 0)}),
    "Pad, value": model([node("Pad", "x p v")], {"p": ints(0, 0, 1, 0, 0, 0, 0, 1), "v": np.float32(0.5)}),
    "Pad, axes": model([node("Pad", "x p _ a")], {"p": ints(1, 2), "a": ints(-1)}),
    "Pad, attribute": model([node("Pad", "x", pads=[0, 0, 1, 0, 0, 0, 0, 1], value=0.25)], opset=9),
    "Concat": model([node("Neg", "x", "a"), node("Concat", "x a", axis=1)]),
    "Concat, negative axis": model([node("Neg", "x", "a"), node("Concat", "x a", axis=-1)]),
    "Identity, Dropout": model([node("Identity", "x", "a"), node("Dropout", "a", "b"), node("Relu", "b")]),
    "Dropout's mask": model(
        [node("Dropout", "x", "a m"), node("Cast", "m", "f", to=TensorProto.FLOAT), node("Sub", "a f")]
    ),
    "Dropout of nothing, in training": model(
        [node("Dropout", "x r t", "a"), node("Relu", "a")], {"r": np.float32(0), "t": np.array(True)}
    ),
    "Identity as an output": model([node("Relu", "x", "a"), node("Identity", "a", "y")]),
    "the same value twice": model([node("Relu", "x", "a"), node("Identity", "a", "y")], outputs=("a", "y")),
    "the input as an output": model([node("Relu", "x", "y"), node("Identity", "x", "z")], outputs=("y", "z")),
    "Split": model(
        [node("Split", "x s", "a y", axis=1), node("Relu", "a", "b")], {"s": ints(1, 3)}, outputs=("y", "b")
    ),
    "Split, equal": model([node("Split", "x", "a y", axis=1)], opset=11, outputs=("y", "a")),
    "Slice of channels": model([node("Slice", "x a b c")], {"a": ints(1), "b": ints(-1), "c": ints(1)}),
    "CumSum": model([node("CumSum", "x a", exclusive=1)], {"a": np.array(2)}),
    "CumSum, reverse": model([node("CumSum", "x a", reverse=1)], {"a": np.array(-1)}),
    "Trilu": model([node("Trilu", "x k", upper=0)], {"k": np.array(1)}),
    "Cast to float": model([node("Cast", "x", "a", to=TensorProto.FLOAT), node("Relu", "a")]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str) -> None:
    proto = SHAPES[name]
    if name in ("the same value twice", "the input as an output"):
        assert_named_outputs(proto)
    else:
        assert_converts(proto)


def assert_named_outputs(proto: onnx.ModelProto) -> None:
    graph = assert_converts(proto)
    assert len(set(graph.outputs)) == 2


REMAINDERS = {
    "fmod": np.fmod,
    "with the sign of the divisor": np.mod,
}


@pytest.mark.parametrize("name", REMAINDERS)
def test_remainders_of_floats(name: str) -> None:
    """Against NumPy: ONNX Runtime computes floats with ``fmod`` only."""
    fmod = name == "fmod"
    proto = model([node("Mod", "x d", fmod=int(fmod))], {"d": floats(2.5, -2.5, 0.75, -3)}, shape=("N", 4))
    x = (np.random.default_rng(0).standard_normal((50, 4)) * 20).astype(np.float32)
    x[:4] = [[0, 5, -0.75, 6], [-5, -5, 1.5, -6], [-0.0, 0, 0, -0.0], [-1e-9, 1e-9, -1e-9, 1e-9]]
    x[4] = np.nextafter(floats(5, -5, 1.5, -6), np.float32(0))
    wanted = REMAINDERS[name](x, floats(2.5, -2.5, 0.75, -3))
    np.testing.assert_allclose(reference.run(from_onnx(proto), {"x": x})["y"], wanted, atol=2e-6)


RESIZING = {
    "nearest, asymmetric, floor": model(
        [node("Resize", "x _ s", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        {"s": floats(1, 1, 2, 3)},
    ),
    "nearest, half_pixel, whole scale": model([node("Resize", "x _ s")], {"s": floats(1, 1, 2, 2)}),
    "nearest to a size": model(
        [node("Resize", "x _ _ s", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        {"s": ints(2, 4, 14, 3)},
        shape=(2, 4, 7, 9),
    ),
    "linear, half_pixel": model(
        [node("Resize", "x _ _ s", mode="linear")], {"s": ints(2, 4, 5, 20)}, shape=(2, 4, 7, 9)
    ),
    "linear, pytorch_half_pixel": model(
        [node("Resize", "x _ s", mode="linear", coordinate_transformation_mode="pytorch_half_pixel")],
        {"s": floats(1, 1, 2, 2)},
    ),
    "linear, align_corners": model(
        [node("Resize", "x _ s", mode="linear", coordinate_transformation_mode="align_corners")],
        {"s": floats(1, 1, 2, 3)},
    ),
    **{
        f"{mode}, {rule}, a length that is no whole number": model(
            [node("Resize", "x r s", mode=mode, coordinate_transformation_mode=rule)],
            {"r": floats(0, 0, 0.1, 0.2, 1, 1, 0.9, 0.7), "s": floats(1, 1, *scales)},
            shape=("N", 4, 7, 9),
        )
        for mode, rule, scales in [
            ("linear", "align_corners", (1.5, 0.6)),
            ("nearest", "align_corners", (1.2, 1.7)),
            ("cubic", "align_corners", (0.2, 1.3)),
            ("linear", "tf_crop_and_resize", (1.8, 0.9)),
        ]
    },
    "opset 10": model([node("Resize", "x s", mode="nearest")], {"s": floats(1, 1, 3, 2)}, opset=10),
    "Upsample": model([node("Upsample", "x s", mode="nearest")], {"s": floats(1, 1, 2, 2)}, opset=9),
    "axes": model(
        [node("Resize", "x _ _ s", mode="linear", axes=[2, 3])], {"s": ints(9, 4)}, shape=("N", 4, 7, 9)
    ),
}


@pytest.mark.parametrize("name", RESIZING)
def test_resize(name: str) -> None:
    assert_converts(RESIZING[name])


def shape_chain(opset: int) -> onnx.ModelProto:
    """Shape → Gather → Unsqueeze → Concat → Reshape, as PyTorch exports ``x.view(x.size(0), -1)``."""
    unsqueeze = [node("Unsqueeze", "n", "u", axes=[0])] if opset < 13 else [node("Unsqueeze", "n zero1", "u")]
    return model(
        [
            node("Relu", "x", "r"),
            node("Shape", "r", "s"),
            node("Gather", "s zero", "n", axis=0),
            *unsqueeze,
            node("Concat", "u minus", "t", axis=0),
            node("Reshape", "r t"),
        ],
        {"zero": np.int64(0), "zero1": ints(0), "minus": ints(-1)},
        opset=opset,
    )


SHAPE_ARITHMETIC = {
    "chain, opset 11": shape_chain(11),
    "chain, opset 18": shape_chain(18),
    "Slice, Mul, Cast": model(
        [
            node("Shape", "x", "s"),
            node("Slice", "s one four", "hw"),
            node("ReduceProd", "hw", "p", keepdims=1),
            node("Shape", "x", "n", start=0, end=1),
            node("Cast", "p", "q", to=TensorProto.INT64),
            node("Concat", "n q", "t", axis=0),
            node("Reshape", "x t"),
        ],
        {"one": ints(1), "four": ints(4)},
        opset=17,
    ),
    "Resize to twice its shape": model(
        [
            node("Shape", "x", "s"),
            node("Mul", "s f", "t"),
            node("Resize", "x _ _ t", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        ],
        {"f": ints(1, 1, 2, 2)},
    ),
    "Constant nodes": model(
        [
            node("Constant", "", "c", value_floats=[2.0]),
            node("Constant", "", "d", value_float=0.5),
            node("Mul", "x c", "a"),
            node("Add", "a d", "b"),
            node("Constant", "", "s", value_ints=[0, -1]),
            node("Reshape", "b s"),
        ]
    ),
}


@pytest.mark.parametrize("name", SHAPE_ARITHMETIC)
def test_shape_arithmetic(name: str) -> None:
    assert_converts(SHAPE_ARITHMETIC[name])
