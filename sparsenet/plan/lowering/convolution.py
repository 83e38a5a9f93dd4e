"""A convolution, or a fully connected layer as one: its weights, bias and windows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparsenet.graph import FloatArray, Graph, Node, Shape
from sparsenet.graph.constants import encoded, shape_of
from sparsenet.graph.ops import OPS, attributes, split_inputs
from sparsenet.io.formats.storage import StoredWeight
from sparsenet.plan.lowering.geometry import Geometry

#: Windows of a fully connected layer: one output pixel that reads one input pixel.
_PIXEL = Geometry((1, 1), (1, 1), (0, 0), (1, 1), (1, 1), (1, 1))


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution, or a fully connected layer as the 1x1 convolution of one pixel.

    Attributes:
        node: the node.
        x: name of its input.
        constants: of the graph.
        weight_name: of the weight among them.
        bias: float32 (C_out,), zeros if the node has none.
        geometry: its windows.
        groups: how many groups of channels are convolved apart from each other.
    """

    node: Node
    x: str
    constants: Mapping[str, FloatArray]
    weight_name: str
    bias: FloatArray
    geometry: Geometry
    groups: int = 1

    @classmethod
    def of(cls, graph: Graph, shapes: Mapping[str, Shape], node: Node) -> Convolution:
        """The convolution that a weighted node stands for."""
        own, _ = split_inputs(node)
        constants = graph.constants
        bias = constants[own[2]] if own[2] else np.zeros(shape_of(constants, own[1])[0], np.float32)
        geometry = Geometry.of(node, shapes) if OPS[node.op].windowed else _PIXEL
        return cls(node, own[0], constants, own[1], bias, geometry, attributes(node).get("groups", 1))

    @property
    def weight(self) -> FloatArray:
        """The dense float32 weight (C_out, C_in / groups, K_h, K_w), or (C_out, C_in) if fully connected."""
        return self.constants[self.weight_name]

    @property
    def stored(self) -> StoredWeight | None:
        """The weight as its model file stores it; None if it is from no file, or has been changed since."""
        form = encoded(self.constants, self.weight_name)
        return form if isinstance(form, StoredWeight) else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return shape_of(self.constants, self.weight_name)

    @property
    def depthwise(self) -> bool:
        """Whether every output channel reads one input channel."""
        return self.shape[1] == 1 and self.groups > 1

    @property
    def one_pixel(self) -> bool:
        """Whether it is one matrix times one vector: all that its windows see makes one pixel."""
        return self.geometry.out == (1, 1) and self.groups == 1

    @property
    def pointwise(self) -> bool:
        """Whether every output pixel reads the input pixel in its place, and no other."""
        geometry = self.geometry
        still = geometry.size == geometry.out and geometry.stride == (1, 1)
        return still and geometry.kernel == (1, 1) and self.groups == 1

    def counts(self, nnz: int) -> dict[str, int]:
        """The counts that a decision reports for one image; ``nnz``: how many weights are not zero."""
        height, width = self.geometry.out
        weights = math.prod(self.shape)
        return {"macs": weights * height * width, "nnz": nnz, "weights": weights}
