"""Operators whose defaults or meaning changed from one opset to another, at each of these, against onnxruntime.

Every case runs twice: on the network's input, and on a constant, which the importer works out itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from converters import from_onnx
from converters.onnx_import import OnnxSource
from sparsenet import reference
from tests.converters.onnx.models import node, run_onnxruntime

SHAPE = (2, 4, 5, 6)
Array = np.ndarray


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


#: name → opsets, node, constants; input x has SHAPE.
Case = tuple[Sequence[int], NodeProto, Mapping[str, Array]]
NONE: Mapping[str, Array] = {}


def resizing(mode: str, opset: int, scales: Sequence[float], **attrs: Any) -> Case:
    inputs = "x s" if opset < 11 else "x r s"
    constants = {"s": floats(1, 1, *scales)} | ({} if opset < 11 else {"r": floats()})
    return (opset,), node("Resize", inputs, mode=mode, **attrs), constants


CASES: dict[str, Case] = {
    **{f"Softmax, axis {a}": ((7, 11, 13), node("Softmax", "x", axis=a), NONE) for a in (1, 2, 3)},
    "Softmax": ((7, 11, 13), node("Softmax", "x"), NONE),
    "LogSoftmax": ((7, 11, 13), node("LogSoftmax", "x"), NONE),
    "LogSoftmax, axis 2": ((7, 11, 13), node("LogSoftmax", "x", axis=2), NONE),
    "Softmax, axis -2": ((11, 13), node("Softmax", "x", axis=-2), NONE),
    "Hardmax": ((7, 11, 13), node("Hardmax", "x"), NONE),
    "Hardmax, axis 2": ((7, 11, 13), node("Hardmax", "x", axis=2), NONE),
    **{
        f"Resize 10, {mode}, {scales}": resizing(mode, 10, scales)
        for mode in ("nearest", "linear")
        for scales in ((0.6, 0.6), (2.0, 3.0), (1.5, 0.5), (0.3, 2.4))
    },
    **{
        f"Resize {opset}, {mode}, {scales}": resizing(mode, opset, scales)
        for opset in (11, 13, 18, 19)
        for mode in ("nearest", "linear", "cubic")
        for scales in ((0.6, 0.6), (2.0, 1.5))
    },
    "Upsample 7": ((7, 8), node("Upsample", "x", scales=[1.0, 1.0, 2.0, 1.5]), NONE),
    "Upsample 7, linear": ((7, 8), node("Upsample", "x", scales=[1.0, 1.0, 2.0, 1.5], mode="linear"), NONE),
    "Upsample 9": ((9,), node("Upsample", "x s"), {"s": floats(1, 1, 2.5, 2)}),
    "Upsample 9, linear": ((9,), node("Upsample", "x s", mode="linear"), {"s": floats(1, 1, 2.5, 2)}),
    "Clip 6": ((7, 10), node("Clip", "x", min=-0.5, max=0.3), NONE),
    "Clip 6, one bound": ((7, 10), node("Clip", "x", min=-0.5), NONE),
    "Clip 11": ((11, 12, 13), node("Clip", "x l h"), {"l": np.float32(-0.5), "h": np.float32(0.3)}),
    "Clip 11, upper bound": ((11, 13), node("Clip", "x _ h"), {"h": np.float32(0.3)}),
    "Clip, bounds the wrong way": (
        (11, 13),
        node("Clip", "x l h"),
        {"l": np.float32(0.5), "h": np.float32(-0.5)},
    ),
    "Pad 2": ((7, 10), node("Pad", "x", pads=[0, 0, 1, 2, 0, 1, 0, 3], value=0.5), NONE),
    "Pad 2, reflect": ((7, 10), node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 3], mode="reflect"), NONE),
    "Pad 2, edge, cropped": ((7, 10), node("Pad", "x", pads=[0, 0, 1, -2, 0, 0, 0, 3], mode="edge"), NONE),
    "Pad 11": ((11, 13), node("Pad", "x p v"), {"p": ints(0, 0, 1, 2, 0, 1, 0, 3), "v": np.float32(0.5)}),
    "Pad 18": ((18, 19), node("Pad", "x p _ a"), {"p": ints(1, 2, 3, 0), "a": ints(-1, 1)}),
    "Pad 19, wrap": ((19,), node("Pad", "x p _ a", mode="wrap"), {"p": ints(1, 2, 3, 0), "a": ints(-1, 2)}),
    "Flatten": ((7, 9, 11, 13), node("Flatten", "x"), NONE),
    "Flatten, axis -3": ((11, 13), node("Flatten", "x", axis=-3), NONE),
    "Split 2": ((7, 11), node("Split", "x", "y z", axis=1, split=[1, 3]), NONE),
    "Split 2, equal": ((7, 11), node("Split", "x", "y z", axis=1), NONE),
    "Split 2, axis -1": ((11,), node("Split", "x", "y z", axis=-1), NONE),
    "Split 13": ((13,), node("Split", "x s", "y z", axis=1), {"s": ints(1, 3)}),
    "Split 18, unequal": ((18,), node("Split", "x", "y z", axis=2, num_outputs=2), NONE),
    "Slice 1": ((7, 9), node("Slice", "x", axes=[1, 3], starts=[1, -4], ends=[3, 2**31 - 1]), NONE),
    "Slice 1, no axes": ((7, 9), node("Slice", "x", starts=[0, 1], ends=[2**31 - 1, -1]), NONE),
    "Slice 10": (
        (10, 11, 13),
        node("Slice", "x b e a s"),
        {"b": ints(3, -1), "e": ints(0, -(2**31)), "a": ints(1, 3), "s": ints(-1, -2)},
    ),
    "ReduceSum 1": ((7, 11), node("ReduceSum", "x", axes=[1, 2], keepdims=0), NONE),
    "ReduceSum 13": ((13, 18), node("ReduceSum", "x a"), {"a": ints(-1)}),
    "ReduceSum 13, none": ((13,), node("ReduceSum", "x", noop_with_empty_axes=1), NONE),
    "ReduceMean 1": ((7, 11, 13), node("ReduceMean", "x", axes=[1, 3]), NONE),
    "ReduceMean 18": ((18,), node("ReduceMean", "x a", keepdims=0), {"a": ints(1, -1)}),
    "ReduceMean 18, none": ((18,), node("ReduceMean", "x", noop_with_empty_axes=1), NONE),
    **{
        f"{op} 1": ((7, 11, 13), node(op, "x", axes=[2], keepdims=1), NONE)
        for op in (
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSumExp",
        )
    },
    **{
        f"{op} 18": ((18,), node(op, "x a", keepdims=0), {"a": ints(2, 3)})
        for op in (
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSumExp",
        )
    },
    "ArgMax": ((7, 11, 12, 13), node("ArgMax", "x", "i", axis=1), NONE),
    "ArgMax, last": ((12, 13), node("ArgMax", "x", "i", axis=2, keepdims=0, select_last_index=1), NONE),
    "ArgMin, axis -1": ((11, 12, 13), node("ArgMin", "x", "i", axis=-1), NONE),
    "TopK 1": ((7, 9), node("TopK", "x", "y i", axis=3, k=2), NONE),
    "TopK 10": ((10,), node("TopK", "x k", "y i"), {"k": ints(3)}),
    "TopK 11": ((11,), node("TopK", "x k", "y i", axis=1, largest=0), {"k": ints(3)}),
    "BatchNormalization": (
        (7, 9, 14, 15),
        node("BatchNormalization", "x s b m v"),
        {k: floats(1, 2, 3, 4) * f for k, f in zip("sbmv", (1, -2, 0.5, 3), strict=True)},
    ),
    "InstanceNormalization": (
        (7, 18),
        node("InstanceNormalization", "x s b", epsilon=0.1),
        {"s": floats(1, 2, 3, 4), "b": floats(4, 3, 2, 1)},
    ),
    "GroupNormalization 21": (
        (21,),
        node("GroupNormalization", "x s b", num_groups=2),
        {"s": floats(1, 2, 3, 4), "b": floats(4, 3, 2, 1)},
    ),
    "LayerNormalization": (
        (17,),
        node("LayerNormalization", "x s", axis=-1),
        {"s": floats(1, 2, 3, 4, 5, 6)},
    ),
    "Dropout": ((7, 10, 12, 13), node("Dropout", "x"), NONE),
    "Dropout 7, ratio": ((7, 10), node("Dropout", "x", ratio=0.3), NONE),
    "Dropout 12, ratio": ((12, 13), node("Dropout", "x r"), {"r": np.float32(0.3)}),
    "MaxPool": (
        (7, 8, 10, 11, 12),
        node("MaxPool", "x", kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 1, 1]),
        NONE,
    ),
    "MaxPool, ceil": (
        (10, 11, 12, 19, 22),
        node("MaxPool", "x", kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1, pads=[1, 1, 1, 1]),
        NONE,
    ),
    "AveragePool": (
        (7, 10, 11, 19),
        node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 1, 1]),
        NONE,
    ),
    "AveragePool, padding counted": (
        (7, 10, 11, 19),
        node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        NONE,
    ),
    "AveragePool, ceil": (
        (10, 11, 19, 22),
        node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        NONE,
    ),
    "AveragePool, ceil, pads": (
        (19, 22),
        node(
            "AveragePool",
            "x",
            kernel_shape=[3, 3],
            strides=[3, 3],
            ceil_mode=1,
            pads=[1, 1, 1, 1],
            count_include_pad=1,
        ),
        NONE,
    ),
    "AveragePool 19, dilations": (
        (19,),
        node("AveragePool", "x", kernel_shape=[2, 2], dilations=[2, 2]),
        NONE,
    ),
    "LpPool": ((7, 11, 18), node("LpPool", "x", kernel_shape=[2, 2], strides=[2, 2]), NONE),
    "LpPool 18, ceil": ((18,), node("LpPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), NONE),
    "GlobalLpPool": ((7,), node("GlobalLpPool", "x"), NONE),
    "DepthToSpace": ((7, 11, 13), node("DepthToSpace", "x", blocksize=2), NONE),
    "DepthToSpace, CRD": ((11, 13), node("DepthToSpace", "x", blocksize=2, mode="CRD"), NONE),
    "CumSum": ((11, 14), node("CumSum", "x a", exclusive=1, reverse=1), {"a": np.array(2, np.int32)}),
    "Gelu": ((20,), node("Gelu", "x"), NONE),
    "Gelu, tanh": ((20,), node("Gelu", "x", approximate="tanh"), NONE),
    "HardSwish": ((14, 22), node("HardSwish", "x"), NONE),
    "HardSigmoid": ((7, 22), node("HardSigmoid", "x"), NONE),
    "Mish": ((18,), node("Mish", "x"), NONE),
    "Elu": ((7, 22), node("Elu", "x"), NONE),
    "Celu": ((12,), node("Celu", "x", alpha=0.7), NONE),
    "Selu": ((7, 22), node("Selu", "x"), NONE),
    "LeakyRelu": ((7, 16), node("LeakyRelu", "x"), NONE),
    "ThresholdedRelu": ((10, 22), node("ThresholdedRelu", "x"), NONE),
    "PRelu": ((7, 9, 16), node("PRelu", "x s"), {"s": floats(1, 2, 3, 4).reshape(4, 1, 1)}),
    "Shrink": ((9,), node("Shrink", "x", lambd=0.3, bias=0.1), NONE),
    "Transpose": ((7, 13), node("Transpose", "x", perm=[0, 2, 3, 1]), NONE),
    "Reshape": ((7, 13, 14), node("Reshape", "x s"), {"s": ints(0, -1, 3)}),
    "Squeeze 1": ((7, 11), node("Squeeze", "u", axes=[2]), NONE),
    "Unsqueeze 1": ((7, 11), node("Unsqueeze", "x", axes=[1, 5]), NONE),
    "Unsqueeze 11, axis -1": ((11,), node("Unsqueeze", "x", axes=[-1]), NONE),
    "Unsqueeze 13": ((13,), node("Unsqueeze", "x a"), {"a": ints(-1, 1)}),
    "LRN": ((7, 13), node("LRN", "x", size=3), NONE),
    "LpNormalization": ((7,), node("LpNormalization", "x", axis=1), NONE),
    "MeanVarianceNormalization": ((9, 13), node("MeanVarianceNormalization", "x", axes=[2, 3]), NONE),
    "Gemm 7": (
        (7, 9, 11, 13),
        node("Gemm", "f w b", transB=1),
        {"w": np.ones((3, 120), np.float32), "b": floats(1, 2, 3)},
    ),
    "Cast": ((7, 9, 13, 19), node("Cast", "x", "i", to=TensorProto.INT64), NONE),
    "Equal": ((7, 11, 13), node("Equal", "i j", "e"), NONE),
    "OneHot": ((9, 11), node("OneHot", "i d v", axis=1), {"d": ints(3), "v": floats(2, 5)}),
    "Mod": ((10, 13), node("Mod", "x m", fmod=1), {"m": np.float32(0.7)}),
    "Where": ((9, 16), node("Where", "g x m"), {"m": np.float32(0.7)}),
    "Pow": ((7, 12, 13, 15), node("Pow", "x m"), {"m": np.float32(2)}),
    "Max": ((8, 12, 13), node("Max", "x m"), {"m": np.float32(0.1)}),
    "Trilu": ((14,), node("Trilu", "x", upper=0), NONE),
    "Expand": ((8, 13), node("Expand", "u s"), {"s": ints(1, 1, 3, 1)}),
    "IsInf": ((10, 20), node("IsInf", "x", "g0"), NONE),
}


#: Results that are cast to floats, as outputs of a graph are.
INTEGERS = ("i", "e", "g0")


def helpers(opset: int, names: set[str]) -> list[NodeProto]:
    """Nodes that make of x what a case reads: u with an axis of 1, f flat, i and j integers, g truth values."""
    nodes = []
    if "u" in names:
        attrs = {"axes": [2]} if opset < 18 else {}
        nodes.append(node("ReduceMax", "x" if attrs else "x axes2", "u", **attrs))
    if "f" in names:
        nodes.append(node("Flatten", "x", "f"))
    if "i" in names:
        nodes.append(node("Cast", "x", "i", to=TensorProto.INT64))
    if "j" in names:
        nodes += [node("Neg", "x", "minus"), node("Cast", "minus", "j", to=TensorProto.INT64)]
    if "g" in names:
        nodes.append(node("Greater", "x zero", "g"))
    return nodes


def model(opset: int, main: NodeProto, constants: Mapping[str, Array]) -> onnx.ModelProto:
    """The node and what it reads; all its results are outputs, as floats."""
    nodes, outputs = [*helpers(opset, set(main.input)), main], list(main.output)
    for i, name in enumerate(outputs):
        if name in INTEGERS:
            nodes.append(node("Cast", name, f"{name}_float", to=TensorProto.FLOAT))
            outputs[i] = f"{name}_float"
    held = {"zero": floats(0), "axes2": ints(2), **constants}
    used = {n for one in nodes for n in one.input}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in held.items() if k in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


EVERY = [(name, opset) for name, (opsets, _, _) in CASES.items() for opset in opsets]


def expectation(name: str, opset: int) -> tuple[onnx.ModelProto, Array, list[Array]]:
    """The model, numbers for its input, and what onnxruntime makes of them."""
    _, main, constants = CASES[name]
    x = 2 * np.random.default_rng(len(name)).standard_normal(SHAPE).astype(np.float32)
    proto = model(opset, main, constants)
    return proto, x, run_onnxruntime(proto, x)


@pytest.mark.parametrize("name, opset", EVERY)
def test_computed(name: str, opset: int) -> None:
    proto, x, expected = expectation(name, opset)
    graph = from_onnx(proto)
    got = reference.run(graph, {"x": x})
    for output, wanted in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(got[output], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name, opset", EVERY)
def test_known(name: str, opset: int) -> None:
    proto, x, expected = expectation(name, opset)
    proto.graph.initializer.append(numpy_helper.from_array(x, "x"))
    got = OnnxSource(proto).known_outputs()
    for info, wanted in zip(proto.graph.output, expected, strict=True):
        np.testing.assert_allclose(got[info.name], wanted, rtol=1e-4, atol=1e-5)
