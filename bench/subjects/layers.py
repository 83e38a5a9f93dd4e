"""The layers that MaskCNN, MiniXception, MobileNetV1, ResNet-50, Xception and RetinaFace are made of, deduplicated.

Where several layers differ little in what a kernel meets (512 channels at 14 pixels five times over, a residual add
more or less), one stands for them. ``tests/bench/subjects/test_layers.py`` holds the table against the networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.subjects.sparsity import BLOCKS
from sparsenet import Graph, Node, TensorInfo
from sparsenet.graph import FloatArray
from sparsenet.graph.ops import OPS


@dataclass(frozen=True)
class LayerShape:
    """One layer over a square map; padding keeps its size but for the stride.

    Attributes:
        network: where it stands.
        op: of the op table; ``conv2d`` whose ``groups`` are the channels is depthwise.
        c_in, c_out: channels, or features of a linear layer.
        size: side of the input map.
        kernel, stride: of windows; for ``resize`` the stride is how many times larger the output is.
        groups: of a convolution.
    """

    network: str
    op: str
    c_in: int
    c_out: int
    size: int = 1
    kernel: int = 1
    stride: int = 1
    groups: int = 1

    @property
    def name(self) -> str:
        """As in ``resnet50 3x3 64-64 @56``; without a network it begins with the window."""
        op = {"conv2d": "", "max_pool2d": "max ", "avg_pool2d": "average "}.get(self.op, f"{self.op} ")
        window = f"{self.kernel}x{self.kernel} " if self.op in _WINDOWS else ""
        depthwise = "depthwise " if self.groups > 1 else ""
        channels = f"{self.c_in}-{self.c_out}" if self.weight_shape else f"{self.c_in}"
        place = f" @{self.size}" if self.size > 1 else ""
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"{self.network} {depthwise}{op}{window}{channels}{place}{stride}".lstrip()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image."""
        return (self.c_in,) if self.size == 1 else (self.c_in, self.size, self.size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Empty where there are no weights."""
        if self.op not in OPS or not OPS[self.op].weighted:
            return ()
        whole = (self.c_out, self.c_in // self.groups, self.kernel, self.kernel)
        return whole if self.op in _WINDOWS else whole[:2]

    @property
    def flops(self) -> float:
        """Of a convolution or linear layer on one image: two per multiply-add, zeros included."""
        return 2.0 * float(np.prod(self.weight_shape)) * (self.size // self.stride) ** 2

    def example(self, batch: int = 1, seed: int = 1) -> FloatArray:
        """Standard-normal input."""
        return np.random.default_rng(seed).standard_normal((batch, *self.input_shape), np.float32)

    def graph(self, sparsity: float = 0.0, block: str = "1x1", seed: int = 0) -> Graph:
        """The layer alone, named ``layer``; weights are random, blocks pruned at random to exactly ``sparsity``."""
        constants = _weights(self.weight_shape, sparsity, BLOCKS[block], seed) if self.weight_shape else {}
        op, read, before = _READ.get(self.op, (self.op, ["x", *constants], []))
        attrs = _ATTRIBUTES[self.op](self) if self.op in _ATTRIBUTES else {}
        node = Node(op, "layer", read, ["y"], attrs)
        inputs = [TensorInfo("x", (None, *self.input_shape))]
        graph = Graph(self.name, inputs, ["y"], [*before, node], constants)
        return graph.copy()  # the table's nodes stay its own


def _convolution(layer: LayerShape) -> dict[str, Any]:
    window = {"stride": [layer.stride] * 2, "padding": [layer.kernel // 2] * 4, "groups": layer.groups}
    return {**window, "epilogue": [["relu"]]}


def _pooling(layer: LayerShape) -> dict[str, Any]:
    attrs = {"kernel": [layer.kernel] * 2, "stride": [layer.stride] * 2}
    return {**attrs, "padding": [layer.kernel // 2] * 4} if layer.kernel > layer.stride else attrs


_WINDOWS = ("conv2d", "max_pool2d", "avg_pool2d")
#: Op → its attributes; reductions and the like run over the channels.
_ATTRIBUTES: dict[str, Callable[[LayerShape], dict[str, Any]]] = {
    "conv2d": _convolution,
    "max_pool2d": _pooling,
    "avg_pool2d": _pooling,
    "resize": lambda layer: {
        "size": [layer.size * layer.stride] * 2, "mode": "nearest", "coordinates": "half_pixel"
    },
    "softmax": lambda _: {"axis": 1},
    # Every other row, then the rest.
    "gather": lambda layer: {
        "axis": 2, "indices": [*range(0, layer.size, 2), *range(1, layer.size, 2)]
    },
    "depth_to_space": lambda _: {"block": [2, 2]},
    "transpose": lambda _: {"perm": [0, 2, 3, 1]},
    "reduce": lambda _: {"kind": "sum", "axes": [1]},
    "argmax": lambda _: {"axis": 1},
    "normalize": lambda _: {"axis": 1},
    "top_k": lambda _: {"axis": 1, "count": 10},
    "gather_elements": lambda _: {"axis": 1},
}  # fmt: skip
_SECOND = [Node("relu", "other", ["x"], ["r"])]
#: Layer → the op, what it reads if that is not x alone, and what makes it.
_READ: dict[str, tuple[str, list[str], list[Node]]] = {
    # A gain per channel, as squeeze-and-excitation applies it.
    "scale": ("mul", ["x", "g"], [Node("global_avg_pool2d", "gain", ["x"], ["g"])]),
    **{op: (op, ["x", "r"], _SECOND) for op in ("add", "sub", "mul", "matmul", "gather_elements")},
    "where": ("where", ["x", "r", "x"], _SECOND),
}


def _weights(shape: tuple[int, ...], sparsity: float, width: int, seed: int) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    zero = np.zeros((shape[0], -(-shape[1] // width), *shape[2:]), bool)
    zero.reshape(-1)[rng.permutation(zero.size)[: round(sparsity * zero.size)]] = True
    weight[np.repeat(zero, width, axis=1)[:, : shape[1]]] = 0
    return {"w": weight, "b": rng.standard_normal(shape[0], np.float32)}


def _conv(
    network: str, c_in: int, c_out: int, size: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> LayerShape:
    return LayerShape(network, "conv2d", c_in, c_out, size, kernel, stride, groups)


def _depthwise(network: str, channels: int, size: int, stride: int = 1) -> LayerShape:
    return _conv(network, channels, channels, size, 3, stride, channels)


#: What is pruned.
CONVOLUTIONS = [
    _conv("minixception-128-256", 32, 128, 128),
    _conv("minixception-128-256", 128, 128, 128),
    _conv("minixception-128-256", 256, 256, 64),
    _conv("minixception-128-256", 256, 1024, 32),
    _conv("mobilenetv1", 32, 64, 112),
    _conv("mobilenetv1", 128, 128, 56),
    _conv("mobilenetv1", 256, 256, 28),
    _conv("mobilenetv1", 512, 512, 14),
    _conv("mobilenetv1", 1024, 1024, 7),
    _conv("resnet50", 256, 64, 56),
    _conv("resnet50", 512, 128, 28),
    _conv("resnet50", 256, 1024, 14),
    _conv("resnet50", 2048, 512, 7),
    _conv("resnet50", 64, 64, 56, 3),
    _conv("resnet50", 128, 128, 28, 3),
    _conv("resnet50", 256, 256, 14, 3),
    _conv("resnet50", 512, 512, 7, 3),
    _conv("resnet50", 256, 256, 28, 3, 2),
    _conv("maskcnn", 256, 128, 62, 3),
    _conv("maskcnn", 128, 64, 62, 3),
    _conv("xception", 728, 728, 19),
    _conv("retinaface-resnet50", 256, 256, 40, 3),
    _conv("retinaface-resnet50", 256, 64, 40, 3),
]
#: Stems, never pruned.
STEMS = [
    _conv("minixception-128-256", 3, 32, 256, 3, 2),
    _conv("resnet50", 3, 64, 224, 7, 2),
    _conv("maskcnn", 3, 256, 124, 5),
]
DEPTHWISE = [
    _depthwise("minixception-128-256", 128, 128),
    _depthwise("minixception-128-256", 256, 64),
    _depthwise("mobilenetv1", 64, 112, 2),
    _depthwise("mobilenetv1", 128, 56),
    _depthwise("mobilenetv1", 512, 14),
    _depthwise("mobilenetv1", 1024, 7),
    _depthwise("xception", 728, 19),
]
LINEAR = [
    LayerShape("mobilenetv1", "linear", 1024, 1000),
    LayerShape("resnet50", "linear", 2048, 1000),
]
MAX_POOLS = [
    LayerShape("resnet50", "max_pool2d", 64, 64, 112, 3, 2),
    LayerShape("maskcnn", "max_pool2d", 256, 256, 124, 2, 2),
]
GLOBAL_AVERAGES = [
    LayerShape("mobilenetv1", "global_avg_pool2d", 1024, 1024, 7),
    LayerShape("minixception-128-256", "global_avg_pool2d", 1024, 1024, 32),
]
ACTIVATIONS = [
    LayerShape("minixception-128-256", "relu", 128, 128, 64),
    LayerShape("retinaface-resnet50", "relu", 256, 256, 40),
]
RESIZES = [LayerShape("retinaface-resnet50", "resize", 256, 256, 20, stride=2)]
TRANSPOSES = [LayerShape("retinaface-resnet50", "transpose", 8, 8, 80)]

#: Everything above: layers as they stand in the networks.
LAYERS = [
    *CONVOLUTIONS, *STEMS, *DEPTHWISE, *LINEAR, *MAX_POOLS, *GLOBAL_AVERAGES, *ACTIVATIONS, *RESIZES, *TRANSPOSES,
]  # fmt: skip

_OTHERS = "(no zoo network)"
#: Kernel family → the layers it is timed on. What no network of the zoo uses gets a size usual elsewhere.
BY_FAMILY: dict[str, list[LayerShape]] = {
    "f32_conv_csr_rows": CONVOLUTIONS,
    "f32_conv_pattern_rows": CONVOLUTIONS,
    "f32_conv_dense_rows": [*CONVOLUTIONS, *STEMS],
    "f32_conv_blocked_rows": [*CONVOLUTIONS, *STEMS],
    "f32_depthwise_dense_rows": DEPTHWISE,
    "f32_maxpool_none_rows": MAX_POOLS,
    "f32_avgpool_none_rows": [LayerShape(_OTHERS, "avg_pool2d", 256, 256, 28, 2, 2)],
    "f32_globalavgpool_none_rows": GLOBAL_AVERAGES,
    "f32_linear_dense_flat": LINEAR,
    "f32_linear_csr_flat": LINEAR,
    "f32_copy_none_rows": [*ACTIVATIONS, LayerShape(_OTHERS, "add", 256, 256, 28)],
    "f32_mul_none_rows": [LayerShape(_OTHERS, "mul", 256, 256, 28)],
    "f32_scale_none_rows": [LayerShape(_OTHERS, "scale", 256, 256, 28)],
    "f32_copy_none_flat": [LayerShape(_OTHERS, "relu", 65536, 65536)],
    "f32_mul_none_flat": [LayerShape(_OTHERS, "mul", 65536, 65536)],
    "f32_relayout_none_any": STEMS,
    "f32_fill_none_any": [_conv("resnet50", 64, 64, 56, 3)],
    "f32_softmax_none_flat": [LayerShape("mobilenetv1", "softmax", 1000, 1000)],
    "f32_take_none_flat": [LayerShape(_OTHERS, "gather", 256, 256, 28)],
    "f32_transpose_none_any": [LayerShape(_OTHERS, "transpose", 256, 256, 28)],
    "f32_interleave_none_any": [*TRANSPOSES, LayerShape(_OTHERS, "depth_to_space", 128, 32, 56)],
    **{
        f"f32_{family}_none_flat": [LayerShape(_OTHERS, op, 256, 256, 28)]
        for family, op in (
            ("broadcast", "sub"),
            ("where", "where"),
            ("reduce", "reduce"),
            ("argmax", "argmax"),
            ("normalize", "normalize"),
            ("matmul", "matmul"),
            ("topk", "top_k"),
            ("pick", "gather_elements"),
        )
    },
    "f32_resize_none_rows": RESIZES,
}
