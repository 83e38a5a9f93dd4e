"""Scales of weights and grids of tensors, fitted to each other so that sums and results stay within int32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.quantization.ranges import Range, grid_of
from converters.quantization.weight_scales import STEPS, Scales
from sparsenet.graph import Graph, Node
from sparsenet.graph.constants import shape_of
from sparsenet.graph.ops import split_inputs
from sparsenet.graph.quantization import Quantization

#: Sums and results stay below this, half of what they may be.
_MOST = 2.0**29


@dataclass
class Grids:
    """The grids of a network's tensors by group, and the scales of its weights by name, while they are fitted.

    Attributes:
        group: of each tensor, the name of those that share its grid.
        ranges: of each group, between which numbers its grid lies.
        scales: of each weight.
    """

    group: Mapping[str, str]
    ranges: dict[str, Range]
    scales: dict[str, Scales]

    def of(self, tensor: str) -> Quantization:
        """The grid of a tensor."""
        return grid_of(*self.ranges[self.group[tensor]])

    def fit(self, graph: Graph, nodes: list[Node]) -> None:
        """Widen scales until no node of these, which multiply with weights, can pass what integers hold.

        A channel of tiny weights with a bias that is none would need a bias of more than 32 bits: its weights get a
        wider step, which is still tiny beside the bias. An output that is nearly dead needs no finer step than the
        sums have that it is made of.
        """
        while sum(self._fit(graph, node) for node in nodes):
            pass

    def _fit(self, graph: Graph, node: Node) -> bool:
        """Whether a scale had to be widened for this node."""
        (x, weight, bias, *_), _ = split_inputs(node)
        step = float(self.of(x).scale)
        scales = self.scales[weight]
        size = np.abs(graph.constants[bias]).astype(np.float64) if bias else np.zeros(1)
        least = size / (step * _MOST)
        if len(scales) == 1:
            least = least.max(keepdims=True)
        wider = np.maximum(scales, least)
        changed = bool((wider > scales).any())
        self.scales[weight] = wider
        terms = 255 * STEPS * math.prod(shape_of(graph.constants, weight)[1:])
        sums = float((terms * step * wider).max() + size.max())
        group = self.group[node.output]
        least_step = sums / _MOST
        if float(self.of(node.output).scale) < 0.999 * least_step:
            low, high = self.ranges[group]
            share = 255 * least_step / (high - low) if high > low else 0.0
            self.ranges[group] = (low * share, high * share) if share else (0.0, 255 * least_step)
            changed = True
        return changed
