"""Small networks that together use every op, every encoding and most kernels: what the fuzzer starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparsenet.graph import Graph, TensorInfo
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.size_of import SizeOf
from sparsenet.io.model_file import serialize
from tests.converters.passes.networks import Net
from tests.sparsenet.sample_graphs import tiny_graph

if TYPE_CHECKING:
    import onnx


def _prune(graph: Graph, sparsity: float) -> Graph:
    rng = np.random.default_rng(5)
    for name, weight in graph.constants.items():
        if name.endswith(".weight"):
            graph.constants[name] = np.where(rng.random(weight.shape) < sparsity, np.float32(0), weight)
    return graph


def residual() -> Graph:
    net = Net((3, 9, 11))
    x = net.conv("x", 6, 3, stride=[2, 2], epilogue=[["relu"]])
    y = net.op("silu", net.conv(net.op("relu", net.batch_norm(net.conv(x, 6, 1))), 6, 3))
    y = net.op("add", y, x, epilogue=[["clip", -1.0, 6.0]])
    return _prune(net.graph(net.head(y, 3), y), 0.6)


def mobile() -> Graph:
    net = Net((4, 12, 10), seed=1)
    x = net.op("hard_swish", net.depthwise("x", 3, stride=[2, 2]))
    x = net.depthwise(net.conv(x, 8, 1), 5, epilogue=[["clip", 0.0, 6.0]])
    gate = net.op("hard_sigmoid", net.conv(net.op("global_avg_pool2d", x), 8, 1))
    return _prune(net.graph(net.head(net.op("mul", x, gate))), 0.7)


def pools() -> Graph:
    net = Net((5, 8, 17), seed=2)
    window = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]}
    a = net.op("max_pool2d", "x", **window, ceil_mode=True)
    b = net.op("avg_pool2d", "x", **window, ceil_mode=True, count_include_pad=False)
    both = net.op("concat", a, b, net.affine(a), axis=1)
    up = net.op("resize", both, size=[7, 13], mode="bilinear", coordinates="align_corners")
    padded = net.op("pad", net.op("resize", up, size=[3, 5]), padding=[1, 0, 2, 1], value=0.5)
    return net.graph(up, net.op("leaky_relu", padded, slope=0.2))


def tensors() -> Graph:
    net = Net((2, 3, 4), seed=3)
    t = net.op("transpose", net.op("tanh", "x"), perm=[0, 2, 3, 1])
    t = net.op("depth_to_space", net.op("space_to_depth", t, block=[2, 2]), block=[1, 3], depth_first=True)
    flat = net.op("flatten", net.op("sub", net.op("reshape", t, shape=[4, -1]), net.constant("c", [0.5])))
    y = net.op("softmax", net.linear(net.op("dropout", flat), 5), axis=1)
    return net.graph(y, net.op("sigmoid", net.op("identity", t)))


def grouped() -> Graph:
    net = Net((6, 16, 16), seed=4)
    x = net.conv("x", 9, 3, groups=3, dilation=[2, 1], epilogue=[["silu"]])
    x = net.conv(x, 16, 2, padding=0, stride=[1, 3])
    return _prune(net.graph(net.conv(x, 33, 1, bias=False)), 0.85)


def wide() -> Graph:
    net = Net((1, 4, 40), seed=6)
    x = net.conv("x", 20, 7, stride=[1, 2], epilogue=[["leaky_relu", 0.1]])
    return _prune(net.graph(net.conv(x, 3, 3)), 0.8)


def transformer() -> Graph:
    """Ops on tensors of any rank."""
    net = Net((4, 6, 5), seed=7)
    t = net.op("reshape", "x", shape=[4, 30])
    t = net.op("normalize", net.op("gelu", t), axis=2)
    scores = net.op("softmax", net.op("matmul", t, net.op("transpose", t, perm=[0, 2, 1])), axis=2)
    t = net.op("slice", net.op("matmul", scores, t), axis=2, start=1, count=9, step=3)
    best = net.op("argmax", net.op("gather", t, axis=1, indices=[3, 0, 0]), axis=2)
    mean = net.op("reduce", t, kind="mean", axes=[1, 2])
    kept = net.op("where", net.op("greater", t, net.constant("limit", [0.1])), t, net.op("elu", t, alpha=0.5))
    return net.graph(
        best, mean, net.op("div", net.op("expand", kept, shape=[4, 9]), net.constant("two", [2.0]))
    )


def open_rows() -> Graph:
    """Numbers that follow from a size: of padding, a slice, a reshape."""
    net = Net((2, 6, 8), seed=9)
    x = net.op("slice", net.conv("x", 4, 3, stride=[2, 1]), axis=2, start=1, count=2)
    x = net.op("reshape", x, shape=[2, 2, 2, 8])
    graph = net.graph(net.op("transpose", x, perm=[0, 1, 3, 2, 4]))
    graph.inputs = [TensorInfo("x", (None, 2, 6, 8), open=(2,), step=2)]
    conv, cut, split, _ = graph.nodes
    conv.follows["padding"] = {0: SizeOf("x", 2, -1, 2, 2, 2, exact=False)}
    cut.follows["count"] = {0: SizeOf(conv.output, 2, plus=-1)}
    split.follows["shape"] = {2: SizeOf("x", 2, plus=-2, over=2)}
    graph.verify()
    return graph


def detector() -> Graph:
    """Ops that choose by value, on tensors whose length depends on the data."""
    net = Net((6, 4, 5), seed=8)
    boxes = net.op("transpose", net.op("reshape", "x", shape=[1, 6, 20]), perm=[0, 1, 3, 2])
    scores = net.op("slice", boxes, axis=3, start=4, count=2)
    boxes = net.op("slice", boxes, axis=3, start=0, count=4)
    turned = net.op("transpose", scores, perm=[0, 1, 3, 2])
    rows = net.op("nms", boxes, turned, count=7, iou_threshold=0.2, score_threshold=0.1)
    there = net.op("greater", net.op("slice", rows, axis=2, start=2, count=1), net.constant("none", [-0.5]))
    count = net.op("reduce", there, kind="sum", axes=[1], keepdims=False)
    kept = net.op("first", rows, count, axis=1)
    flat = net.op("reshape", boxes, shape=[20, 4])
    picked = net.op("relu", net.op("gather_nd", flat, net.op("slice", kept, axis=2, start=2, count=1)))
    best = net.op("top_k", net.op("reshape", scores, shape=[20, 2]), axis=1, count=5, largest=False)
    best = net.op("gather_elements", net.op("reshape", scores, shape=[20, 2]), best, axis=1)
    full = net.op("reduce", net.op("fill", kept, count, axis=1, value=0.0), kind="max", axes=[1])
    return net.graph(net.op("concat", kept, picked, axis=2), best, net.op("nonzero", there), full)


def graphs() -> list[Graph]:
    """All of them, newly made."""
    return [*written(), detector(), open_rows()]


def written() -> list[Graph]:
    """Those that can be written as ONNX."""
    return [tiny_graph(), residual(), mobile(), pools(), tensors(), grouped(), wide(), transformer()]


def model_files() -> list[bytes]:
    """Each as a file, in every way its weights can be stored somewhere."""
    ways = [("f32", None), ("i8", "bitmask"), ("f16", "csr"), ("f32", "csr"), ("i8", None), ("f32", "dense")]
    return [
        serialize(graph, *ways[(i + shift) % len(ways)])
        for i, graph in enumerate(graphs())
        for shift in (0, 1, 3)
    ]


def all_model_files() -> list[bytes]:
    """A file of each network, with grids and without."""
    return [*model_files()[::3], *quantized_files()]


def quantized_files() -> list[bytes]:
    """Each with a grid for every weight, of each output channel or of the whole array, and for most tensors."""
    made = [_quantized(graph, rows=i % 3 > 0) for i, graph in enumerate(graphs())]
    encodings = ("dense", "bitmask", "csr", None)
    return [serialize(graph, encoding=encodings[i % 4]) for i, graph in enumerate(made)]


def _quantized(graph: Graph, rows: bool) -> Graph:
    for i, name in enumerate(graph.shapes()):
        if i % 5 < 4 and name not in graph.constants:
            graph.quantization[name] = Quantization.of_activations(0.03, 128)
    for _, name in graph.weight_names():
        weight = graph.constants[name]
        largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        grid = Quantization.of_weights(np.maximum(largest if rows else largest.max(), 1e-9) / 127)
        graph.quantization[name], graph.constants[name] = grid, grid.numbers(grid.round(weight))
    return graph


def onnx_files() -> list[bytes]:
    """The same networks as ONNX models, and some written as exporters do."""
    from bench.engines.onnx_writer import to_onnx

    exported = [to_onnx(graph, 2, form) for graph in written() for form in ("mul_add", "batch_norm")]
    return [model.SerializeToString(deterministic=True) for model in (*exported, *_by_hand())]


def _by_hand() -> list[onnx.ModelProto]:
    """Shapes computed by nodes, constants in nodes and subgraphs, several opsets, quantized weights."""
    from onnx import TensorProto, helper, numpy_helper

    from tests.converters.detectors import filtered, ssd, transformer_head, yolo
    from tests.converters.onnx.models import model, node, weights

    def constant(name: str, *values: int) -> onnx.NodeProto:
        array = numpy_helper.from_array(np.array(values, np.int64))
        return helper.make_node("Constant", [], [name], name=f"make_{name}", value=array)

    reshape = [
        node("Shape", "x", "s"), constant("zero", 0), node("Gather", "s zero", "n", axis=0), constant("rest", -1),
        node("Concat", "n rest", "t", axis=0), node("Reshape", "x t", "flat"), node("MatMul", "flat m", "z"),
        node("Add", "z v", "w"), node("Softmax", "w", "y", axis=-1),
    ]  # fmt: skip
    slices = [
        constant("starts", 1), constant("ends", 3), constant("axes", 1), node("Slice", "x starts ends axes", "a"),
        node("Split", "x", "b c", axis=1, num_outputs=2), node("Concat", "a b c", "d", axis=1),
        node("Transpose", "d", "e", perm=[0, 2, 3, 1]), node("ReduceMean", "e", "y", keepdims=0),
    ]  # fmt: skip
    pads = [
        constant("pads", 0, 0, 1, 1, 0, 0, 2, 1), node("Pad", "x pads", "a"),
        node("Conv", "a k", "b", auto_pad="SAME_UPPER", strides=[2, 2]), node("LeakyRelu", "b", "c", alpha=0.1),
        node("Resize", "c _ scales", "y", mode="nearest", coordinate_transformation_mode="asymmetric",
             nearest_mode="floor"),
    ]  # fmt: skip
    quantized = [
        node("DequantizeLinear", "q qs qz", "k"), node("Conv", "x k bias", "a", pads=[1, 1, 1, 1]),
        node("Clip", "a low high", "b"), node("GlobalAveragePool", "b", "c"), node("Flatten", "c", "y"),
    ]  # fmt: skip
    branch = helper.make_graph(
        [node("Identity", "x", "inner")], "branch", [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )  # fmt: skip
    condition = [
        helper.make_node("If", ["flag"], ["a"], name="if", then_branch=branch, else_branch=branch),
        node("Relu", "a", "y"),
    ]
    kernel = weights(6, 4, 3, 3)
    masked = model(
        [
            node("Greater", "x low", "mask"), node("NonZero", "mask", "places"),
            node("Transpose", "places", "rows", perm=[1, 0]), node("GatherND", "x rows", "values"),
            node("Unsqueeze", "values last", "column"), node("Cast", "rows", "floats", to=TensorProto.FLOAT),
            node("Concat", "floats column", "y", axis=1),
        ],
        {"low": np.array(0, np.float32), "last": np.array([1])},
        shape=(3, 4, 5),
    )  # fmt: skip
    counted = [
        node("Greater", "x low", "mask"), node("NonZero", "mask", "places"),
        node("Transpose", "places", "rows", perm=[1, 0]), node("GatherND", "x rows", "found"),
        node("Shape", "found", "n"), node("Min", "n four", "k"), node("TopK", "found k", "best at", axis=0),
        node("ConstantOfShape", "n", "zeros"), node("Slice", "found zero k zero", "few"),
        node("Expand", "half k", "halves"), node("Add", "few halves", "sum"), node("Mul", "sum best", "y"),
    ]  # fmt: skip
    windows = [
        node("MaxPool", "x", "a i", kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1], storage_order=1),
        node("Cast", "i", "p", to=TensorProto.FLOAT), node("Einsum", "a p", "e", equation="nchw,nkhw->nck"),
        node("ScatterElements", "e where e", "s", axis=2, reduction="add"), node("CumSum", "s last", "c"),
        node("Trilu", "c", "y"),
    ]  # fmt: skip
    return [
        model(reshape, {"m": weights(4 * 7 * 9, 5), "v": weights(5)}, opset=13),
        model(slices, shape=(2, 4, 7, 9)),
        model(pads, {"k": kernel, "scales": np.array([1, 1, 2, 2], np.float32)}),
        model(
            quantized,
            {
                "q": np.arange(6 * 4 * 9, dtype=np.uint8).reshape(6, 4, 3, 3),
                "qs": np.array(0.02, np.float32),
                "qz": np.array(100, np.uint8),
                "bias": weights(6),
                "low": np.array(0, np.float32),
                "high": np.array(6, np.float32),
            },
        ),
        model(condition, {"flag": np.array(True)}),
        model(
            [node("Conv", "x k", "a"), node("BatchNormalization", "a s s s s", "y")],
            {"k": kernel, "s": abs(weights(6))},
            opset=9,
        ),
        yolo(0.5, classes=2),
        ssd(0.5, classes=3),
        transformer_head(0.5, classes=2),
        masked,
        filtered(0.5, classes=2),
        model(
            counted,
            {
                "low": np.array(0, np.float32),
                "four": np.array([4]),
                "zero": np.array([0]),
                "half": np.array([0.5], np.float32),
            },
            shape=(3, 5),
        ),
        model(
            windows,
            {"where": np.array([[[0, 1], [1, 1]]]), "last": np.array(-1)},
            shape=(1, 2, 5, 6),
        ),
    ]
