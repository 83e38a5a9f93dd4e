"""Graph → ONNX, for engines that read nothing else: the very same network, zeros included, at a fixed batch.

Every fused epilogue is spelled out as nodes of its own, so that each engine fuses as it can. Operator set 13 and IR
version 8 are old enough for every engine compared here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.engines import onnx_tensor_ops
from sparsenet.graph import Graph, Node, Shape
from sparsenet.ops import attributes, split_inputs

OPSET, IR_VERSION = 13, 8


#: How a scale and shift per channel is written. ONNX Runtime runs MaskCNN 1.3 times as fast with "batch_norm",
#: DeepSparse 1.2 times as fast with "mul_add"; each gets what it is best at.
Affine = Literal["mul_add", "batch_norm"]


def to_onnx(graph: Graph, batch: int = 1, affine: Affine = "mul_add") -> onnx.ModelProto:
    """The checked ONNX model of ``graph`` for inputs of ``batch`` images; tensor names stay what they are."""
    model = _Writer(graph, batch, affine).model()
    onnx.checker.check_model(model, full_check=True)
    return model


def write_onnx(
    graph: Graph, path: str | os.PathLike[str], batch: int = 1, affine: Affine = "mul_add"
) -> None:
    """Write ``to_onnx(graph, batch, affine)`` to a file."""
    onnx.save(to_onnx(graph, batch, affine), os.fspath(path))


class _Writer:
    def __init__(self, graph: Graph, batch: int, affine_form: Affine) -> None:
        self.graph = graph
        self.batch = batch
        self.affine_form = affine_form
        self.shapes = graph.shapes()
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        for node in self.graph.nodes:
            self._node(node)
        body = helper.make_graph(
            self.nodes,
            self.graph.name,
            [self._info(t.name, t.shape) for t in self.graph.inputs],
            [self._info(t.name, t.shape) for t in self.graph.output_infos()],
            list(self.initializers.values()),
        )
        return helper.make_model(
            body,
            producer_name="sparsenet",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )

    def _info(self, name: str, shape: Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.sizes(shape))

    def sizes(self, shape: Shape) -> list[int]:
        return [self.batch if size is None else size for size in shape]

    def tensor(self, name: str) -> str:
        """``name``, entered among the initializers if it is a constant of the graph."""
        return self.constant(name, self.graph.constants[name]) if name in self.graph.constants else name

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def scalar(self, value: float) -> str:
        """A number, as a constant shared by all who need it."""
        return self.constant(f"number/{value!r}", np.array(value, np.float32))

    def emit(self, kind: str, inputs: list[str], output: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attrs))
        return output

    def _node(self, node: Node) -> None:
        """The op, then every step of its epilogue; the last of them makes the node's own tensor."""
        own, extra = split_inputs(node)
        steps = node.epilogue
        names = [f"{node.output}/{i}" for i in range(len(steps))] + [node.output]
        x = WRITERS[node.op](Call(self, node, own, names[0], attributes(node)))
        waiting = iter(extra)
        for (word, *numbers), name in zip(steps, names[1:], strict=True):
            if word == "affine":
                x = self.affine(x, next(waiting), next(waiting), len(self.shapes[node.output]), name)
            elif word == "add":
                x = self.emit("Add", [x, self.tensor(next(waiting))], name)
            else:
                x = _ACTIVATIONS[word](self, x, name, *numbers)

    def affine(self, x: str, scale: str, shift: str, rank: int, name: str) -> str:
        if self.affine_form == "batch_norm":
            channels = self.graph.constants[scale].size
            zeros = self.constant(f"zeros/{channels}", np.zeros(channels, np.float32))
            ones = self.constant(f"ones/{channels}", np.ones(channels, np.float32))
            inputs = [x, self.tensor(scale), self.tensor(shift), zeros, ones]
            return self.emit("BatchNormalization", inputs, name, epsilon=0.0)
        shape = (1, -1, *[1] * (rank - 2))
        factor = self.constant(f"{scale}/{rank}d", self.graph.constants[scale].reshape(shape))
        offset = self.constant(f"{shift}/{rank}d", self.graph.constants[shift].reshape(shape))
        return self.emit("Add", [self.emit("Mul", [x, factor], f"{name}/scaled"), offset], name)


@dataclass(frozen=True)
class Call:
    """One node to write: its own inputs, the name of what comes out before the epilogue, attributes with defaults."""

    w: _Writer
    node: Node
    own: list[str]
    name: str
    attrs: dict[str, Any]

    @property
    def x(self) -> list[str]:
        """The inputs that are present, as ONNX names."""
        return [self.w.tensor(name) for name in self.own if name]

    def emit(self, kind: str, inputs: list[str] | None = None, **attrs: Any) -> str:
        """The node that makes ``name``, from ``x`` unless told otherwise."""
        return self.w.emit(kind, self.x if inputs is None else inputs, self.name, **attrs)

    def constant(self, part: str, value: Any) -> str:
        """A constant of this node alone."""
        return self.w.constant(f"{self.name}/{part}", np.asarray(value, np.int64))

    @property
    def in_shape(self) -> list[int]:
        return self.w.sizes(self.w.shapes[self.own[0]])

    @property
    def out_shape(self) -> list[int]:
        return self.w.sizes(self.w.shapes[self.node.output])


Write = Callable[[Call], str]


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


def _clip(w: _Writer, x: str, name: str, low: float, high: float) -> str:
    return w.emit("Clip", [x, w.scalar(low), w.scalar(high)], name)


def _gated(w: _Writer, x: str, name: str, kind: str, **attrs: float) -> str:
    return w.emit("Mul", [x, w.emit(kind, [x], f"{name}/gate", **attrs)], name)


def _word(kind: str) -> Callable[..., str]:
    return lambda w, x, name: w.emit(kind, [x], name)


def _gelu(w: _Writer, x: str, name: str) -> str:
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
