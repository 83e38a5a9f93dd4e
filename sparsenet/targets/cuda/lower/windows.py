"""What the ways of convolving share: a node's tensors and attributes, padding, where the taps of a window stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.graph.ops import attributes, split_inputs
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.layout import Maps
from sparsenet.targets.cuda.lower.movement import padded_copy


@dataclass(frozen=True)
class Convolution:
    """A convolution, or a fully connected layer as the 1x1 convolution that it is.

    Attributes:
        x: the input's name.
        weight: (C_out, C_in / groups, K_h, K_w).
        bias: (C_out,), zeros if the node has none.
    """

    node: Node
    x: str
    weight: FloatArray
    bias: FloatArray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @classmethod
    def of(cls, builder: Builder, node: Node) -> Convolution:
        """The one that ``node`` is."""
        own, _ = split_inputs(node)
        weight = builder.graph.constants[own[1]]
        bias = builder.graph.constants[own[2]] if own[2] else np.zeros(weight.shape[0], np.float32)
        if node.op == "linear":
            return cls(node, own[0], weight[:, :, None, None], bias)
        given: dict[str, Any] = attributes(node)
        sizes = {name: tuple(given[name]) for name in ("stride", "padding", "dilation")}
        return cls(node, own[0], weight, bias, groups=given["groups"], **sizes)

    @property
    def depthwise(self) -> bool:
        """Whether every output channel reads one input channel."""
        return self.weight.shape[1] == 1 and self.groups > 1

    @property
    def density(self) -> float:
        """Share of the weights that are not zero."""
        return self.nnz / self.weight.size

    @property
    def nnz(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self.weight))

    @property
    def matrix(self) -> FloatArray:
        """(C_out, taps): the weights of an output in a row."""
        return self.weight.reshape(self.weight.shape[0], -1)

    def counts(self, out: Value) -> dict[str, int]:
        """What a decision tells of it, for one image of ``out``."""
        pixels = out.maps.height * out.maps.width
        return {"macs": self.weight.size * pixels, "nnz": self.nnz, "weights": self.weight.size}

    def padded_input(self, builder: Builder) -> Value:
        """Its input, or a copy of it, with as many zeros around it as its windows reach."""
        top, left, bottom, right = self.padding
        rows, columns = max(top, bottom), max(left, right)
        x = builder.get(self.x)
        if x.maps.rows >= rows and x.maps.columns >= columns:
            return x
        old = x.maps
        return padded_copy(builder, x, Maps(old.channels, old.height, old.width, old.images, rows, columns))

    def tap_offsets(self, layout: Maps) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(groups, taps): where each tap of the window of output pixel (0, 0) stands in channel 0's plane and on."""
        _, c_in, k_h, k_w = self.weight.shape
        channel = np.arange(self.groups * c_in).reshape(self.groups, c_in, 1, 1) * layout.pitch
        row = (np.arange(k_h) * self.dilation[0] - self.padding[0]) * layout.line
        column = np.arange(k_w) * self.dilation[1] - self.padding[1]
        offsets = channel + row[None, None, :, None] + column[None, None, None, :]
        return np.asarray(offsets.reshape(self.groups, -1), np.int64)
