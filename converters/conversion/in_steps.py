"""The verdict on tensors of a quantized network: in steps of their grids, not in floats.

A layer in integers, given the source's inputs, may round a sum that lies between two steps to the other side: one step.
Where passes have joined it with a sum of tensors, or a scaling, a rounding of the source between the two has gone: half
a step more of the grid that was there, times the scale; and, of a sum, no limit where the source's numbers are at the
end of that grid. What goes to a concatenation is rounded to its grid, and not to one of its own before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.conversion.verdict import SAME, WRONG, Verdict
from sparsenet.graph import Graph, Node, Quantization
from sparsenet.graph.integer import only_chooses
from sparsenet.graph.ops import FUSED_OP_TENSORS, split_inputs
from sparsenet.graph.types import U8


def is_rounded(graph: Graph) -> bool:
    """Whether tensors that the network computes have grids."""
    return any(grid.element is U8 for grid in graph.quantization.values())


@dataclass(frozen=True)
class Lost:
    """A rounding of the source that passes have taken out of the middle of a layer.

    Attributes:
        tensor: what was rounded.
        grid: to which.
        gain: how many times as large the layer makes it, at most.
        limited: whether the layer still limits it to the range of the grid.
    """

    tensor: str
    grid: Quantization
    gain: float
    limited: bool


def lost_roundings(before: Graph, after: Graph) -> dict[str, list[Lost]]:
    """By tensor of ``after``, the roundings that lay before it in ``before``, of which passes made ``after``."""
    kept = {info.name for info in after.inputs} | {node.output for node in after.nodes}
    makers = {node.output: node for node in before.nodes}
    lost: dict[str, list[Lost]] = {}
    for node in after.nodes:
        now = after.quantization.get(node.output)
        if now is not None and _is_moved_to(before, node.output, now):
            lost.setdefault(node.output, []).append(Lost(node.output, now, 1.0, limited=False))
        gain, adds = _gain(node, after), any(step[0] == "add" for step in node.epilogue)
        names = list(makers[node.output].inputs) if node.output in makers else []
        while names:
            name = names.pop()
            if name in makers and name not in kept:
                names += makers[name].inputs
                if name in before.quantization:
                    one = Lost(name, before.quantization[name], gain, limited=not adds)
                    lost.setdefault(node.output, []).append(one)
    return lost


def _is_moved_to(graph: Graph, tensor: str, grid: Quantization) -> bool:
    """Whether a tensor has another grid than ``grid``, but what it is moved into, a concatenation say, has that one."""
    own = graph.quantization.get(tensor)
    if own is None or own.same_grid(grid):
        return False
    names = {tensor}
    for node in graph.nodes:
        if only_chooses(node) and not names.isdisjoint(node.inputs):
            names.add(node.output)
    return any(grid.same_grid(graph.quantization[name]) for name in names & graph.quantization.keys())


def _gain(node: Node, graph: Graph) -> float:
    """By how much a node scales its results, at most."""
    tensors, gain = iter(split_inputs(node)[1]), 1.0
    for step in node.epilogue:
        own = [next(tensors) for _ in FUSED_OP_TENSORS.get(step[0], ())]
        if step[0] == "affine":
            gain *= float(np.abs(graph.constants[own[0]]).max())
    return max(gain, 1.0)


class Steps:
    """One rounded tensor of the source, to compare others with; used as ``verdict.Comparison`` is.

    Attributes:
        expected: the source's numbers, of the channels in ``kept``.
        channels: how many the source has.
        size: their largest magnitude.
        step: of the grid.
        padded: False; tensors of which only a part is valid are compared in floats.
    """

    padded = False

    def __init__(
        self,
        grid: Quantization,
        expected: np.ndarray,
        kept: np.ndarray | None,
        lost: Sequence[Lost] = (),
        source: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self._grid, self.step = grid, float(grid.scale)
        self.channels = expected.shape[1] if expected.ndim > 1 else 1
        cut = kept is not None and expected.ndim > 1
        self.expected = expected[:, kept] if cut else expected
        self.size = float(np.abs(self.expected).max(initial=0.0))
        self._integers = grid.round(self.expected.astype(np.float32)).astype(np.int64)
        free = np.zeros(expected.shape, bool)
        for one in lost:
            numbers = (source or {}).get(one.tensor)
            if not one.limited and numbers is not None and numbers.shape == expected.shape:
                free |= np.isin(one.grid.round(numbers.astype(np.float32)), one.grid.range)
        self._free = free[:, kept] if cut else free
        self._allowed = 1 + sum(math.ceil(float(one.grid.scale) * one.gain / self.step / 2) for one in lost)

    def difference(self, got: np.ndarray) -> float:
        """The largest difference, a whole number of steps; infinite if shapes differ. NaN is the least number."""
        if got.shape != self.expected.shape:
            return np.inf
        steps = np.abs(self._grid.round(got.astype(np.float32)).astype(np.int64) - self._integers)
        return float(np.where(self._free, 0, steps).max(initial=0)) * self.step

    def judge(self, got: np.ndarray, *_: object) -> tuple[Verdict, float]:
        """The verdict on a tensor, and the difference that passes."""
        allowed = self._allowed * self.step
        return (SAME if self.difference(got) <= allowed * (1 + 1e-9) else WRONG), allowed


@dataclass(frozen=True)
class Agreement:
    """One output of the whole network, run in the engine from end to end, beside the source's.

    Attributes:
        output: its name.
        max_abs: largest absolute difference.
        step: of its grid; None if it has none.
        same_top: of how many samples the largest number is at the same place, if it is (N, classes), else None.
        samples: how many there were.
        exact: whether the engine gives the reference's numbers to the bit; None where floats are among the layers,
            which may round to another step.
    """

    output: str
    max_abs: float
    step: float | None
    same_top: int | None
    samples: int
    exact: bool | None


def agreement(
    graph: Graph,
    name: str,
    got: Mapping[str, np.ndarray],
    oracle: Mapping[str, np.ndarray],
    expected: np.ndarray,
    exact: bool,
) -> Agreement:
    """How far an output of the engine, ``got``, is from the source's.

    Args:
        graph: the network.
        name: of the output.
        got, oracle: all outputs, of the engine and of the reference.
        expected: the source's.
        exact: whether all layers are computed in integers.
    """
    own, grid = got[name], graph.quantization.get(name)
    same = own.shape == expected.shape
    difference = float(np.abs(own.astype(np.float64) - expected).max(initial=0.0)) if same else np.inf
    classes = same and own.ndim == 2 and own.shape[1] > 1
    top = int((own.argmax(1) == expected.argmax(1)).sum()) if classes else None
    return Agreement(
        name,
        difference,
        None if grid is None else float(grid.scale),
        top,
        len(own),
        np.array_equal(own, oracle[name], equal_nan=True) if exact else None,
    )
