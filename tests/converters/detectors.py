"""Detectors with their post-processing in the graph, as exporters write them: random weights, small images."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Writer:
    """An ONNX model that grows; every method returns the name of a tensor."""

    def __init__(self, sparsity: float, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.sparsity = sparsity
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def const(self, values: object, kind: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attrs: object) -> str:
        names = [f"{kind}{len(self.nodes)}{'_' * i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attrs))
        return names[0]

    def second(self, first: str) -> str:
        """The second output of the node that made ``first``."""
        return first + "_"

    def weight(self, *shape: int) -> np.ndarray:
        values = self.rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        values[self.rng.random(shape) < self.sparsity] = 0
        return values / np.sqrt(max(1 - self.sparsity, 0.1))

    def conv(self, x: str, c_in: int, c_out: int, side: int = 3, stride: int = 1) -> str:
        w, b = self.const(self.weight(c_out, c_in, side, side)), self.const(self.rng.standard_normal(c_out))
        return self.op("Conv", x, w, b, pads=[side // 2] * 4, strides=[stride] * 2)

    def silu(self, x: str) -> str:
        return self.op("Mul", x, self.op("Sigmoid", x))

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def column(self, x: str, number: int) -> str:
        """Column of rows [b, class, box]."""
        return self.op("Gather", x, self.const(number, np.int64), axis=1)

    def part(self, x: str, axis: int, start: int, end: int) -> str:
        return self.op("Slice", x, self.ints(start), self.ints(end), self.ints(axis))

    def model(self, side: int, outputs: dict[str, str], integers: str = "") -> onnx.ModelProto:
        for name, tensor in outputs.items():
            self.nodes.append(helper.make_node("Identity", [tensor], [name], name=name))
        graph = helper.make_graph(
            self.nodes,
            "detector",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
            [
                helper.make_tensor_value_info(
                    name, TensorProto.INT32 if name == integers else TensorProto.FLOAT, None
                )
                for name in outputs
            ],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def yolo(sparsity: float = 0.0, classes: int = 5, seed: int = 0) -> onnx.ModelProto:
    """Two levels with three anchors each, decoded; best class of each box; NMS; rows [image, box, class, score]."""
    w = Writer(sparsity, seed)
    x = w.silu(w.conv("images", 3, 8, stride=2))
    x = w.silu(w.conv(x, 8, 16, stride=2))
    x = w.op("Add", x, w.silu(w.conv(x, 16, 16)))
    first = w.silu(w.conv(x, 16, 24, stride=2))
    last = w.silu(w.conv(first, 24, 32, stride=2))
    up = w.op("Resize", last, "", w.const([1, 1, 2, 2]), mode="nearest",
              coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    first = w.silu(w.conv(w.op("Concat", first, up, axis=1), 56, 24, 1))
    width, levels = 5 + classes, []
    for features, channels, cells, stride in ((first, 24, 8, 8), (last, 32, 4, 16)):
        y = w.op("Reshape", w.conv(features, channels, 3 * width, 1), w.ints(1, 3, width, cells, cells))
        y = w.op("Sigmoid", w.op("Transpose", y, perm=[0, 1, 3, 4, 2]))
        grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1)[None, None] - 0.5
        xy = w.op(
            "Mul", w.op("Add", w.op("Mul", w.part(y, 4, 0, 2), w.const(2)), w.const(grid)), w.const(stride)
        )
        doubled = w.op("Pow", w.op("Mul", w.part(y, 4, 2, 4), w.const(2)), w.const(2))
        wh = w.op("Mul", doubled, w.const(stride * (1 + np.arange(6).reshape(1, 3, 1, 1, 2) / 3)))
        y = w.op("Concat", xy, wh, w.part(y, 4, 4, width), axis=4)
        levels.append(w.op("Reshape", y, w.ints(1, -1, width)))
    y = w.op("Concat", *levels, axis=1)
    to_corners = [[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]]
    boxes = w.op("MatMul", w.part(y, 2, 0, 4), w.const(to_corners))
    scores = w.op("Mul", w.part(y, 2, 5, width), w.part(y, 2, 4, 5))
    best = w.op("ReduceMax", scores, axes=[2], keepdims=1)
    label = w.op("Cast", w.op("ArgMax", scores, axis=2, keepdims=1), to=TensorProto.FLOAT)
    # Boxes of different classes are moved apart, so that one call suppresses within each class only.
    apart = w.op("Add", boxes, w.op("Mul", label, w.const(1000)))
    kept = w.op(
        "NonMaxSuppression", apart, w.op("Transpose", best, perm=[0, 2, 1]), w.ints(300), w.const([0.4]),
        w.const([0.55]),
    )  # fmt: skip
    image, box = (w.op("Unsqueeze", w.column(kept, i), w.ints(1)) for i in (0, 2))
    places = w.op("Concat", image, box, axis=1)
    picked = [w.op("GatherND", tensor, places) for tensor in (boxes, label, best)]
    rows = w.op("Concat", w.op("Cast", image, to=TensorProto.FLOAT), *picked, axis=1)
    return w.model(64, {"detections": rows})


def ssd(sparsity: float = 0.0, classes: int = 4, seed: int = 1) -> onnx.ModelProto:
    """Two levels of priors; softmax; NMS by class without the background; boxes, labels, scores and how many."""
    w = Writer(sparsity, seed)
    x = w.op("Relu", w.conv("images", 3, 12, stride=2))
    x = w.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    first = w.op("Relu", w.conv(x, 12, 24))
    last = w.op("Relu", w.conv(first, 24, 24, stride=2))
    heads: list[list[str]] = [[], []]
    for features, anchors in ((first, 2), (last, 3)):
        for head, width in zip(heads, (4, classes), strict=True):
            y = w.op("Transpose", w.conv(features, 24, anchors * width), perm=[0, 2, 3, 1])
            shape = w.op("Concat", w.op("Gather", w.op("Shape", y), w.ints(0)), w.ints(-1, width), axis=0)
            head.append(w.op("Reshape", y, shape))
    offsets, logits = (w.op("Concat", *head, axis=1) for head in heads)
    count = 2 * 12 * 12 + 3 * 6 * 6
    priors = np.concatenate([w.rng.random((1, count, 2)), 0.1 + 0.4 * w.rng.random((1, count, 2))], 2)
    center = w.op(
        "Add", w.op("Mul", w.op("Mul", w.part(offsets, 2, 0, 2), w.const(0.1)), w.const(priors[..., 2:])),
        w.const(priors[..., :2]),
    )  # fmt: skip
    size = w.op(
        "Mul", w.op("Exp", w.op("Mul", w.part(offsets, 2, 2, 4), w.const(0.2))), w.const(priors[..., 2:])
    )
    half = w.op("Div", size, w.const(2))
    boxes = w.op("Concat", w.op("Sub", center, half), w.op("Add", center, half), axis=2)
    scores = w.op("Transpose", w.op("Softmax", logits, axis=2), perm=[0, 2, 1])
    scores = w.part(scores, 1, 1, classes)
    kept = w.op(
        "NonMaxSuppression",
        boxes,
        scores,
        w.ints(80),
        w.const([0.5]),
        w.const([0.4]),
    )
    label, box = w.column(kept, 1), w.column(kept, 2)
    picked = w.op("Gather", w.op("Squeeze", boxes, w.ints(0)), box, axis=0)
    flat = w.op("Reshape", scores, w.ints(-1))
    score = w.op("Gather", flat, w.op("Add", w.op("Mul", label, w.ints(count)), box), axis=0)
    label = w.op("Add", label, w.ints(1))
    outputs = {
        "boxes": w.op("Unsqueeze", picked, w.ints(0)),
        "labels": w.op("Cast", label, to=TensorProto.INT32),
        "scores": score,
        "first": w.part(w.op("Clip", picked, w.const(0), w.const(1)), 0, 0, 3),
    }
    return w.model(48, outputs, integers="labels")


def transformer_head(sparsity: float = 0.0, classes: int = 6, seed: int = 2) -> onnx.ModelProto:
    """The end of detectors without suppression: the best (box, class) pairs by TopK, in two steps."""
    w = Writer(sparsity, seed)
    x = w.op("Relu", w.conv("images", 3, 16, stride=4))
    y = w.op("Reshape", w.conv(x, 16, 4 + classes), w.ints(1, 4 + classes, -1))
    y = w.op("Transpose", y, perm=[0, 2, 1])
    boxes, scores = w.part(y, 2, 0, 4), w.op("Sigmoid", w.part(y, 2, 4, 4 + classes))
    best = w.op("ReduceMax", scores, axes=[2], keepdims=0)
    chosen = w.second(w.op("TopK", best, w.ints(30), axis=1, outputs=2))
    chosen = w.op("Unsqueeze", chosen, w.ints(-1))
    boxes = w.op("GatherElements", boxes, w.op("Tile", chosen, w.ints(1, 1, 4)), axis=1)
    scores = w.op("GatherElements", scores, w.op("Tile", chosen, w.ints(1, 1, classes)), axis=1)
    top = w.op("TopK", w.op("Flatten", scores), w.ints(20), axis=1, outputs=2)
    label = w.op("Mod", w.second(top), w.ints(classes))
    box = w.op("Unsqueeze", w.op("Div", w.second(top), w.ints(classes)), w.ints(-1))
    boxes = w.op("GatherElements", boxes, w.op("Tile", box, w.ints(1, 1, 4)), axis=1)
    columns = [w.op("Unsqueeze", c, w.ints(-1)) for c in (top, w.op("Cast", label, to=TensorProto.FLOAT))]
    return w.model(32, {"detections": w.op("Concat", boxes, *columns, axis=2)})


def filtered(sparsity: float = 0.0, classes: int = 3, seed: int = 3) -> onnx.ModelProto:
    """As torchvision ends its one-stage detectors: a threshold and TopK for each class, joined, then NMS and TopK."""
    w = Writer(sparsity, seed)
    x = w.op("Relu", w.conv("images", 3, 16, stride=4))
    y = w.op("Reshape", w.conv(x, 16, 4 + classes), w.ints(4 + classes, -1))
    y = w.op("Transpose", y, perm=[1, 0])
    size = w.op("Sigmoid", w.part(y, 1, 2, 4))
    boxes = w.op("Concat", w.part(y, 1, 0, 2), w.op("Add", w.part(y, 1, 0, 2), size), axis=1)
    scores = w.op("Softmax", w.part(y, 1, 4, 4 + classes), axis=1)
    found: list[list[str]] = [[], [], []]
    for label in range(1, classes):
        score = w.column(scores, label)
        keep = w.op("NonZero", w.op("Greater", score, w.const(0.55)))
        keep = w.op("Squeeze", w.op("Transpose", keep, perm=[1, 0]), w.ints(1))
        score = w.op("Gather", score, keep, axis=0)
        count = w.op("Gather", w.op("Shape", score), w.ints(0))
        count = w.op("ReduceMin", w.op("Concat", count, w.ints(12), axis=0), keepdims=1)
        score = w.op("TopK", score, count, axis=0, outputs=2)
        keep = w.op("Gather", keep, w.second(score), axis=0)
        named = w.op("Add", w.op("Mul", score, w.const(0)), w.const(label))
        for column, value in zip(found, (w.op("Gather", boxes, keep, axis=0), score, named), strict=True):
            column.append(value)
    boxes, score, named = (w.op("Concat", *column, axis=0) for column in found)
    apart = w.op("Add", boxes, w.op("Unsqueeze", w.op("Mul", named, w.const(100)), w.ints(1)))
    kept = w.op(
        "NonMaxSuppression", w.op("Unsqueeze", apart, w.ints(0)), w.op("Unsqueeze", score, w.ints(0, 1)),
        w.ints(2**62), w.const([0.3]),
    )  # fmt: skip
    kept = w.part(w.column(kept, 2), 0, 0, 22)
    mean = w.op("ReduceMean", boxes, axes=[0], keepdims=0)
    top = w.op("ReduceMax", w.op("Gather", score, kept, axis=0), keepdims=1)
    rows = [w.op("Gather", boxes, kept, axis=0)]
    rows += [w.op("Unsqueeze", w.op("Gather", v, kept, axis=0), w.ints(1)) for v in (score, named)]
    return w.model(32, {"detections": w.op("Concat", *rows, axis=1), "mean": mean, "best": top})


def padded(sparsity: float = 0.0, classes: int = 3, seed: int = 4, most: int = 25) -> onnx.ModelProto:
    """As Ultralytics exports suppression: boxes that score enough by mask, NMS, filled up to a fixed number of rows."""
    w = Writer(sparsity, seed)
    x = w.silu(w.conv("images", 3, 16, stride=4))
    y = w.op("Reshape", w.conv(x, 16, 4 + classes), w.ints(1, 4 + classes, -1))
    y = w.op("Transpose", y, perm=[0, 2, 1])
    boxes = w.op("Squeeze", w.part(y, 2, 0, 4), w.ints(0))
    scores = w.op("Squeeze", w.op("Sigmoid", w.part(y, 2, 4, 4 + classes)), w.ints(0))
    best = w.op("ReduceMax", scores, axes=[1], keepdims=0)
    label = w.op("Cast", w.op("ArgMax", scores, axis=1, keepdims=0), to=TensorProto.FLOAT)
    mask = w.op("Transpose", w.op("NonZero", w.op("Greater", best, w.const(0.8))), perm=[1, 0])
    boxes, best, label = (w.op("GatherND", value, mask) for value in (boxes, best, label))
    rows = w.op("Reshape", label, w.ints(-1, 1))
    low, size = w.part(boxes, 1, 0, 2), w.op("Abs", w.part(boxes, 1, 2, 4))
    corners = w.op("Concat", low, w.op("Add", low, size), axis=1)
    apart = w.op("Add", corners, w.op("Mul", rows, w.const(100)))
    kept = w.op(
        "NonMaxSuppression", w.op("Unsqueeze", apart, w.ints(0)), w.op("Unsqueeze", best, w.ints(0, 1)),
        w.ints(2**62), w.const([0.2]),
    )  # fmt: skip
    kept = w.part(w.op("Squeeze", w.part(kept, 1, 2, 3), w.ints(1)), 0, 0, most)
    columns = [w.op("Gather", corners, kept, axis=0)]
    columns += [w.op("Reshape", w.op("Gather", v, kept, axis=0), w.ints(-1, 1)) for v in (best, label)]
    found = w.op("Concat", *columns, axis=1)
    missing = w.op("Sub", w.ints(most), w.op("Gather", w.op("Shape", found), w.ints(0)))
    found = w.op("Pad", found, w.op("Concat", w.ints(0, 0), missing, w.ints(0), axis=0))
    empty = w.op("ConstantOfShape", w.ints(1, most, 6))
    rows = w.op("ScatterND", empty, w.const([[0]], np.int64), w.op("Unsqueeze", found, w.ints(0)))
    return w.model(
        32, {"detections": w.op("ScatterND", rows, w.const([[0, 0, 0]], np.int64), w.const([7.0]))}
    )
