"""What each layer of a planned network has to do, and by which kernels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from sparsenet.graph import FloatArray, Graph, Node, Shape
from sparsenet.graph.ops import OPS, attributes
from sparsenet.graph.types import QUAD
from sparsenet.latency.kinds import in_bytes, is_sparse, itemsize
from sparsenet.plan.plan import Plan
from sparsenet.targets.registry import FAMILIES

#: Bytes of a weight that is not zero, with its place, and of one in a dense kernel.
SPARSE_BYTES, DENSE_BYTES = 6, 4


@dataclass(frozen=True)
class LayerWork:
    """One layer and the kernel family that would do it.

    Attributes:
        layer: node of the graph.
        family: of the kernel.
        c_in, c_out, kernel, stride: of a convolution or linear layer, else 1; one output channel reads ``c_in``.
        pixels: of the output.
        density: share of weights that would not be zero, in 8 bits of quads; 1.0 without weights and in dense kernels.
        flops: 2 per multiply-add with a weight that is not zero, in 8 bits with each of such a quad, or with any in a
            dense kernel; 0.0 without weights.
        nbytes: pixels read and written; each as often as windows of pooling reach it, else once.
        working_set: bytes that are wanted again and again while the layer and those streaming with it run.
        residual: whether another map is added on the way out.
    """

    layer: str
    family: str
    c_in: int
    c_out: int
    kernel: int
    stride: int
    pixels: int
    density: float
    flops: float
    nbytes: float
    working_set: float
    residual: bool = False

    @property
    def width(self) -> float:
        """Of the map, taken for a square."""
        return max(float(np.sqrt(self.pixels)), 1.0)


def planned_work(graph: Graph, plan: Plan) -> list[LayerWork]:
    """All layers that take time."""
    families = {decision.layer: family_of(decision.kernel) for decision in plan.decisions}
    sets = {stage.layer: segment.working_set_bytes for segment in plan.segments for stage in segment.stages}
    shapes = graph.shapes()
    return [
        _work(graph, node, families[node.name], shapes, float(sets.get(node.name, 0)))
        for node in graph.nodes
        if node.name in families
    ]


def family_of(kernel: str) -> str:
    """The family of a kernel by its name."""
    return next(family for family in FAMILIES if kernel.startswith(family))


def density_for(weight: FloatArray, family: str) -> float:
    """Share of weights, or in 8 bits of quads, that kernels of ``family`` multiply with."""
    if not is_sparse(family):
        return 1.0
    if in_bytes(family):
        weight = np.logical_or.reduceat(weight != 0, np.arange(0, weight.shape[1], QUAD), axis=1)
    return float(np.count_nonzero(weight)) / weight.size


def _work(graph: Graph, node: Node, family: str, shapes: dict[str, Shape], working_set: float) -> LayerWork:
    inputs = [shapes[name] for name in node.inputs if name and name not in graph.constants]
    out = shapes[node.output]
    nbytes = float(itemsize(family)) * (sum(map(_size, inputs)) + _size(out))
    pixels = prod(int(size or 1) for size in out[2:])
    if node.op in ("max_pool2d", "avg_pool2d"):
        nbytes = float(itemsize(family)) * _size(out) * (prod(node.attrs["kernel"]) + 1)
    if not OPS[node.op].weighted:
        return LayerWork(node.name, family, 1, 1, 1, 1, pixels, 1.0, 0.0, nbytes, working_set)
    weight, attrs = graph.constants[node.inputs[1]], attributes(node)
    used = density_for(weight, family)
    return LayerWork(
        node.name,
        family,
        weight.shape[1],
        weight.shape[0],
        round(float(np.sqrt(prod(weight.shape[2:])))),
        attrs.get("stride", [1])[0],
        pixels,
        used,
        2.0 * weight.size * used * pixels,
        nbytes,
        working_set,
        residual=len(inputs) > 1,
    )


def _size(shape: Shape) -> int:
    return prod(int(size or 1) for size in shape)
