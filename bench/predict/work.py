"""What each layer of a network would have to do at a sparsity, before there are pruned weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from bench.sparsity import layers
from sparsenet import Graph, Node
from sparsenet.graph import Shape
from sparsenet.ops import ACTIVATIONS, attributes

#: Op → the kernel family that does it; those missing here move no data, or are counted by their weights.
FAMILIES = {
    "max_pool2d": "f32_maxpool_none_rows",
    "avg_pool2d": "f32_avgpool_none_rows",
    "global_avg_pool2d": "f32_globalavgpool_none_rows",
    "resize": "f32_resize_none_rows",
    "softmax": "f32_softmax_none_flat",
    **dict.fromkeys(("transpose", "gather", "expand"), "f32_take_none_flat"),
    "slice": "f32_relayout_none_any",
    **{op: f"f32_{op}_none_flat" for op in ("where", "reduce", "argmax", "normalize", "matmul")},
    "concat": "f32_relayout_none_any",
    "pad": "f32_relayout_none_any",
    **dict.fromkeys(("sub", "div", "pow", "maximum", "minimum"), "f32_broadcast_none_flat"),
    **dict.fromkeys(("greater", "less", "equal"), "f32_broadcast_none_flat"),
    "mul": "f32_mul_none_rows",
    **dict.fromkeys((*ACTIVATIONS, "add", "affine", "batch_norm"), "f32_copy_none_rows"),
}
MOVING = "f32_relayout_none_any"


@dataclass(frozen=True)
class LayerWork:
    """One layer.

    Attributes:
        layer, op: node of the graph.
        c_in, c_out, kernel, stride, groups: of a convolution or linear layer; else 1.
        pixels: of the output.
        density: share of weights that would not be zero; 1.0 without weights.
        dense_flops: 2 per multiply-add.
        nbytes: pixels read once and written once.
        family: that does it, or None for convolutions and linear layers, where several may.
    """

    layer: str
    op: str
    c_in: int
    c_out: int
    kernel: int
    stride: int
    groups: int
    pixels: int
    density: float
    dense_flops: float
    nbytes: float
    family: str | None

    @property
    def flops(self) -> float:
        """With weights that would not be zero."""
        return self.dense_flops * self.density

    @property
    def depthwise(self) -> bool:
        """Whether each output channel reads one input channel."""
        return self.groups > 1 and self.groups == self.c_in


def layer_work(graph: Graph, sparsity: float | None) -> list[LayerWork]:
    """All layers that take time; zeros already there count where they are more than ``sparsity`` would leave.

    Args:
        sparsity: imposed as ``sparsify`` would, or None for the network as it is.
    """
    wanted = {layer.node.name: layer.sparsity for layer in layers(graph, sparsity or 0.0)}
    shapes = graph.shapes()
    found = [
        LayerWork(
            "input", "input", 1, 1, 1, 1, 1, _pixels(info.shape), 1.0, 0.0, 8.0 * _size(info.shape), MOVING
        )
        for info in graph.inputs
    ]
    for node in graph.nodes:
        inputs = [shapes[name] for name in node.inputs if name and name not in graph.constants]
        nbytes = 4.0 * (sum(map(_size, inputs)) + _size(shapes[node.output]))
        if node.op in ("conv2d", "linear"):
            found.append(_weighted(graph, node, inputs[0], shapes[node.output], wanted[node.name], nbytes))
        elif node.op in FAMILIES:
            pixels = _pixels(shapes[node.output])
            family = FAMILIES[node.op]
            found.append(LayerWork(node.name, node.op, 1, 1, 1, 1, 1, pixels, 1.0, 0.0, nbytes, family))
    return found


def _weighted(graph: Graph, node: Node, x: Shape, out: Shape, sparsity: float, nbytes: float) -> LayerWork:
    weight, attrs = graph.constants[node.inputs[1]], attributes(node)
    density = min(float(np.count_nonzero(weight)) / weight.size, 1 - sparsity)
    kernel = round(float(np.sqrt(prod(weight.shape[2:])))) if weight.ndim == 4 else 1
    stride = attrs.get("stride", [1])[0]
    c_in = int(x[1] or 1)
    pixels = _pixels(out)
    flops = 2.0 * weight.size * pixels
    return LayerWork(
        node.name, node.op, c_in, weight.shape[0], kernel, stride, attrs.get("groups", 1), pixels, density, flops,
        nbytes, None,
    )  # fmt: skip


def _size(shape: Shape) -> int:
    return prod(int(size or 1) for size in shape)


def _pixels(shape: Shape) -> int:
    return prod(int(size or 1) for size in shape[2:])
