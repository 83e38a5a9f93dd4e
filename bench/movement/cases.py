"""Layers that move data, each as an ONNX model of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

Layer = tuple[list[Any], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """One layer: its name, the shape of its input, and what it is made of."""

    name: str
    shape: tuple[int, ...]
    layer: Layer

    def model(self) -> ModelProto:
        """With input ``x`` and output ``y``."""
        nodes, constants = self.layer
        graph = helper.make_graph(
            nodes, "case", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(self.shape))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _node(op: str, *weights: np.ndarray, **attrs: Any) -> Layer:
    constants = {f"w{i}": weight for i, weight in enumerate(weights)}
    return [helper.make_node(op, ["x", *constants], ["y"], **attrs)], constants


def _concat_of_slices(axis: int, first: int, size: int) -> Layer:
    """What begins at ``first``, then what stands before it."""
    ends = {"a": first, "b": size, "zero": 0, "axis": axis}
    constants = {name: np.asarray([number], np.int64) for name, number in ends.items()}
    nodes = [
        helper.make_node("Slice", ["x", "a", "b", "axis"], ["behind"]),
        helper.make_node("Slice", ["x", "zero", "a", "axis"], ["before"]),
        helper.make_node("Concat", ["behind", "before"], ["y"], axis=axis),
    ]
    return nodes, constants


def _weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def cases() -> list[Case]:
    """All of them."""
    out: dict[str, tuple[tuple[int, ...], Layer]] = {}
    for c_in, c_out, height, width in ((16, 16, 64, 80), (24, 24, 80, 80), (64, 32, 64, 64)):
        node = _node("ConvTranspose", _weight(c_in, c_out, 2, 2), strides=[2, 2])
        out[f"conv transpose k2 s2, {c_in} to {c_out}, {height} x {width}"] = (1, c_in, height, width), node
    node = _node("ConvTranspose", _weight(64, 32, 3, 3), strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
    out["conv transpose k3 s2, 64 to 32, 64 x 64"] = (1, 64, 64, 64), node
    node = _node("ConvTranspose", _weight(64, 32, 4, 4), strides=[2, 2], pads=[1] * 4)
    out["conv transpose k4 s2, 64 to 32, 64 x 64"] = (1, 64, 64, 64), node
    for block in (2, 3, 4):
        shape = (1, 16 * block * block, 48, 60)
        out[f"pixel shuffle {block}"] = shape, _node("DepthToSpace", blocksize=block, mode="CRD")
    for block in (2, 4):
        out[f"space to depth {block}"] = (1, 16, 192, 240), _node("SpaceToDepth", blocksize=block)
    for channels, size in ((3, 224), (32, 112), (64, 56), (256, 28)):
        nchw, nhwc = (1, channels, size, size), (1, size, size, channels)
        out[f"NCHW to NHWC, {channels} x {size}²"] = nchw, _node("Transpose", perm=[0, 2, 3, 1])
        out[f"NHWC to NCHW, {channels} x {size}²"] = nhwc, _node("Transpose", perm=[0, 3, 1, 2])
    out["attention's heads"] = (1, 196, 3, 6, 32), _node("Transpose", perm=[0, 2, 3, 1, 4])
    out["attention's keys"] = (1, 6, 196, 32), _node("Transpose", perm=[0, 1, 3, 2])
    out["windows"] = (1, 8, 7, 8, 7, 96), _node("Transpose", perm=[0, 1, 3, 2, 4, 5])
    out["windows shifted back"] = (1, 56, 56, 96), _concat_of_slices(1, 3, 56)
    every_second = [np.asarray(v, np.int64) for v in ([0, 0], [2**31, 2**31], [2, 3], [2, 2])]
    out["every second pixel"] = (1, 12, 320, 320), _node("Slice", *every_second)
    out["one number per line"] = (1, 96, 56, 1), _node("Expand", np.asarray([1, 96, 56, 56], np.int64))
    out["a call alone: ReLU of one number"] = (1, 1, 1, 1), _node("Relu")
    out["channel shuffle"] = (1, 3, 80, 28, 28), _node("Transpose", perm=[0, 2, 1, 3, 4])
    return [Case(name, shape, layer) for name, (shape, layer) in out.items()]
