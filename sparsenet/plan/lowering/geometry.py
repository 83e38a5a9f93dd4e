"""Window geometry of convolution and pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray, Node, Shape
from sparsenet.graph.ops import attributes


@dataclass(frozen=True)
class Geometry:
    """Windows of a convolution or pooling node, all in (rows, columns).

    Attributes:
        kernel: elements of a window.
        stride: from one window to the next.
        before: padding above and to the left.
        dilation: from one element of a window to the next.
        size: of the input map.
        out: of the output map.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    before: tuple[int, int]
    dilation: tuple[int, int]
    size: tuple[int, int]
    out: tuple[int, int]

    @classmethod
    def of(cls, node: Node, shapes: Mapping[str, Shape]) -> Geometry:
        """The geometry of ``node`` in a graph whose tensors, weights among them, have these ``shapes``."""
        attrs = attributes(node)
        kernel = attrs["kernel"] if "kernel" in attrs else shapes[node.inputs[1]][2:]
        sizes = (
            kernel,
            attrs["stride"],
            attrs["padding"][:2],
            attrs.get("dilation", (1, 1)),
            shapes[node.inputs[0]][2:],
            shapes[node.output][2:],
        )
        return cls(*((int(rows or 0), int(columns or 0)) for rows, columns in sizes))

    @property
    def halo(self) -> tuple[int, int, int]:
        """Rows above and below the map, and columns at either side, that its windows reach."""
        reach = [
            (self.out[i] - 1) * self.stride[i] + (self.kernel[i] - 1) * self.dilation[i] + 1 for i in (0, 1)
        ]
        after = [max(0, reach[i] - self.before[i] - self.size[i]) for i in (0, 1)]
        return self.before[0], after[0], max(self.before[1], after[1])


def window_counts(node: Node, geometry: Geometry, axis: int) -> npt.NDArray[np.int64]:
    """How many rows (axis 0) or columns (axis 1) each window of an average pooling counts, along that axis.

    Rows and columns in the image count, and also those in the padding if the node counts them.
    """
    attrs = attributes(node)
    first = np.arange(geometry.out[axis]) * geometry.stride[axis] - geometry.before[axis]
    last = np.minimum(first + geometry.kernel[axis], geometry.size[axis] + attrs["padding"][2 + axis])
    if not attrs["count_include_pad"]:
        first, last = np.maximum(first, 0), np.minimum(last, geometry.size[axis])
    return np.asarray(last - first)


def reciprocals(node: Node, geometry: Geometry, axis: int) -> FloatArray:
    """1 / ``window_counts``."""
    return np.asarray(1.0 / window_counts(node, geometry, axis), np.float32)
