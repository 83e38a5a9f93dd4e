"""Graph → ONNX, for engines that read nothing else: the very same network, zeros included, at a fixed batch.

Every fused epilogue is spelled out as nodes of its own, so that each engine fuses as it can. Operator set 13 and IR
version 8 are old enough for every engine compared here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from bench.engines import onnx_tensor_ops
from bench.engines.onnx_builder import Affine, Call, OnnxBuilder, Write
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import attributes, split_inputs


def to_onnx(graph: Graph, batch: int = 1, affine: Affine = "mul_add") -> onnx.ModelProto:
    """The checked ONNX model of ``graph`` for inputs of ``batch`` images; tensor names stay what they are."""
    builder = OnnxBuilder(graph, batch, affine)
    for node in graph.nodes:
        _write(builder, node)
    model = builder.model()
    onnx.checker.check_model(model, full_check=True)
    return model


def write_onnx(
    graph: Graph, path: str | os.PathLike[str], batch: int = 1, affine: Affine = "mul_add"
) -> None:
    """Write ``to_onnx(graph, batch, affine)`` to a file."""
    onnx.save(to_onnx(graph, batch, affine), os.fspath(path))


def _write(w: OnnxBuilder, node: Node) -> None:
    """The op, then every step of its epilogue; the last of them makes the node's own tensor."""
    own, extra = split_inputs(node)
    steps = node.epilogue
    names = [f"{node.output}/{i}" for i in range(len(steps))] + [node.output]
    for op in (node.op, *(step[0] for step in node.epilogue)):
        if op not in WRITERS:
            raise NotImplementedError(f"'{op}' is not written as ONNX here")
    x = WRITERS[node.op](Call(w, node, own, names[0], attributes(node)))
    waiting = iter(extra)
    for (word, *numbers), name in zip(steps, names[1:], strict=True):
        if word == "affine":
            x = w.affine(x, next(waiting), next(waiting), len(w.shapes[node.output]), name)
        elif word == "add":
            x = w.emit("Add", [x, w.tensor(next(waiting))], name)
        else:
            x = _ACTIVATIONS[word](w, x, name, *numbers)


def _conv2d(c: Call) -> str:
    return c.emit(
        "Conv",
        kernel_shape=c.w.shapes[c.own[1]][2:],
        strides=c.attrs["stride"],
        pads=c.attrs["padding"],
        dilations=c.attrs["dilation"],
        group=c.attrs["groups"],
    )


def _affine(c: Call) -> str:
    return c.w.affine(c.w.tensor(c.own[0]), c.own[1], c.own[2], len(c.out_shape), c.name)


def _ceil_padding(c: Call) -> list[int]:
    """Rows and columns [0, 0, below, right] by which ``ceil_mode`` lets the last windows overhang.

    Engines disagree about ``ceil_mode``, so it is written as padding.
    """
    beyond = [0, 0, 0, 0]
    for i in range(2):
        have = c.in_shape[2 + i] + c.attrs["padding"][i] + c.attrs["padding"][i + 2]
        extent = c.attrs.get("dilation", [1, 1])[i] * (c.attrs["kernel"][i] - 1) + 1
        beyond[2 + i] = max(0, (c.out_shape[2 + i] - 1) * c.attrs["stride"][i] + extent - have)
    return beyond


def _max_pool2d(c: Call) -> str:
    pads = [p + b for p, b in zip(c.attrs["padding"], _ceil_padding(c), strict=True)]
    return c.emit(
        "MaxPool",
        kernel_shape=c.attrs["kernel"],
        strides=c.attrs["stride"],
        pads=pads,
        dilations=c.attrs["dilation"],
    )


def _avg_pool2d(c: Call) -> str:
    """Padding that counts is made by a node of its own when windows also reach beyond it, which never counts."""
    x, pads = c.x, c.attrs["padding"]
    beyond, counted = _ceil_padding(c), c.attrs["count_include_pad"]
    if any(beyond) and counted and any(pads):
        x = [c.w.emit("Pad", [*x, _pads(c), c.w.scalar(0.0)], f"{c.name}/padded")]
        pads = [0, 0, 0, 0]
    return c.emit(
        "AveragePool",
        x,
        kernel_shape=c.attrs["kernel"],
        strides=c.attrs["stride"],
        pads=[p + b for p, b in zip(pads, beyond, strict=True)],
        count_include_pad=int(counted and not any(beyond)),
    )


def _pad(c: Call) -> str:
    x = [*c.x, _pads(c), c.w.scalar(c.attrs["value"])]
    if c.attrs["mode"] == "wrap":
        raise NotImplementedError("operator set 13 cannot pad with the image repeated")
    return c.emit("Pad", x, mode=c.attrs["mode"])


def _pads(c: Call) -> str:
    top, left, bottom, right = c.attrs["padding"]
    return c.constant("pads", [0, 0, top, left, 0, 0, bottom, right])


def _reshape(c: Call) -> str:
    return c.emit("Reshape", [*c.x, c.constant("shape", c.out_shape)])


def _resize(c: Call) -> str:
    have, size = c.in_shape[2:], c.out_shape[2:]
    nearest = c.attrs["mode"] == "nearest"
    if nearest and any(s % h for h, s in zip(have, size, strict=True)):
        # ONNX finds the source pixel in floating point, which misses some by one; whole factors are exact.
        rows, columns = (np.arange(s) * h // s for h, s in zip(have, size, strict=True))
        by_row = c.w.emit("Gather", [c.x[0], c.constant("h", rows)], f"{c.name}/rows", axis=2)
        return c.emit("Gather", [by_row, c.constant("w", columns)], axis=3)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if not nearest:
        how = {"mode": "linear", "coordinate_transformation_mode": c.attrs["coordinates"]}
    return c.emit("Resize", [c.x[0], "", "", c.constant("sizes", c.out_shape)], **how)


def _plain(kind: str, *kept: str, **more: Any) -> Write:
    """An ONNX operator that means the same; attributes in ``kept`` have the same name and meaning."""
    return lambda c: c.emit(kind, **{key: c.attrs[key] for key in kept}, **more)


def _clip(w: OnnxBuilder, x: str, name: str, low: float, high: float) -> str:
    return w.emit("Clip", [x, w.scalar(low), w.scalar(high)], name)


def _gated(w: OnnxBuilder, x: str, name: str, kind: str, **attrs: float) -> str:
    return w.emit("Mul", [x, w.emit(kind, [x], f"{name}/gate", **attrs)], name)


def _word(kind: str) -> Callable[..., str]:
    return lambda w, x, name: w.emit(kind, [x], name)


def _gelu(w: OnnxBuilder, x: str, name: str) -> str:
    """Spelled out: Gelu came with operator set 20."""
    scaled = w.emit("Mul", [x, w.scalar(0.5**0.5)], f"{name}/scaled")
    gate = w.emit("Add", [w.emit("Erf", [scaled], f"{name}/erf"), w.scalar(1.0)], f"{name}/gate")
    half = w.emit("Mul", [x, w.scalar(0.5)], f"{name}/half")
    return w.emit("Mul", [half, gate], name)


_SIXTH = {"alpha": 1 / 6, "beta": 0.5}
_ACTIVATIONS: dict[str, Callable[..., str]] = {
    "relu": lambda w, x, name: w.emit("Relu", [x], name),
    "leaky_relu": lambda w, x, name, slope: w.emit("LeakyRelu", [x], name, alpha=slope),
    "clip": _clip,
    "sigmoid": lambda w, x, name: w.emit("Sigmoid", [x], name),
    "tanh": lambda w, x, name: w.emit("Tanh", [x], name),
    "silu": lambda w, x, name: _gated(w, x, name, "Sigmoid"),
    "hard_sigmoid": lambda w, x, name: w.emit("HardSigmoid", [x], name, **_SIXTH),
    "hard_swish": lambda w, x, name: _gated(w, x, name, "HardSigmoid", **_SIXTH),
    "elu": lambda w, x, name, alpha: w.emit("Elu", [x], name, alpha=alpha),
    "gelu": _gelu,
    **{
        word: _word(word.capitalize())
        for word in ("softplus", "erf", "exp", "log", "sqrt", "abs", "floor", "round", "reciprocal")
    },
}


def _activation(word: str) -> Write:
    return lambda c: _ACTIVATIONS[word](c.w, c.x[0], c.name, *c.attrs.values())


#: Op of the table → what writes it.
WRITERS: dict[str, Write] = {
    "conv2d": _conv2d,
    "linear": _plain("Gemm", transB=1),
    "batch_norm": lambda c: c.emit("BatchNormalization", epsilon=c.attrs["eps"]),
    "affine": _affine,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "global_avg_pool2d": _plain("GlobalAveragePool"),
    "add": _plain("Add"),
    "sub": _plain("Sub"),
    "mul": _plain("Mul"),
    "div": _plain("Div"),
    "pow": _plain("Pow"),
    "maximum": _plain("Max"),
    "minimum": _plain("Min"),
    "greater": onnx_tensor_ops.comparison("Greater"),
    "less": onnx_tensor_ops.comparison("Less"),
    "equal": onnx_tensor_ops.comparison("Equal"),
    "where": onnx_tensor_ops.where,
    **{word: _activation(word) for word in _ACTIVATIONS},
    "softmax": _plain("Softmax", "axis"),
    "concat": _plain("Concat", "axis"),
    "flatten": _plain("Flatten"),
    "reshape": _reshape,
    "transpose": _plain("Transpose", "perm"),
    "depth_to_space": onnx_tensor_ops.depth_to_space,
    "space_to_depth": onnx_tensor_ops.space_to_depth,
    "pad": _pad,
    "resize": _resize,
    "reduce": onnx_tensor_ops.reduce,
    "argmax": onnx_tensor_ops.argmax,
    "normalize": onnx_tensor_ops.normalize,
    "matmul": _plain("MatMul"),
    "slice": onnx_tensor_ops.slice_axis,
    "gather": onnx_tensor_ops.gather,
    "expand": onnx_tensor_ops.expand,
    "top_k": onnx_tensor_ops.top_k,
    "gather_elements": onnx_tensor_ops.gather_elements,
    "gather_nd": onnx_tensor_ops.gather_nd,
    **dict.fromkeys(("nms", "nonzero", "first", "fill"), onnx_tensor_ops.across_batch),
    "identity": _plain("Identity"),
    "dropout": _plain("Identity"),
}
