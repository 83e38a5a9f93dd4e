"""What the change of a layer does to the outputs of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.pruning.moments import Float64Array
from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.ops import OPS

#: Changes below this are none that could be told from rounding.
LEAST = 1e-12


def compared(graph: Graph) -> list[str]:
    """The tensors that tell a network from a changed one: its outputs, as long as nothing in them was chosen by place.

    Of detectors that suppress boxes, sort them or count them, a small change may put others in their rows. What such
    an output was chosen from is compared instead: all tensors that nodes behind a choice read, and that depend on none.
    """
    chosen: set[str] = set()
    read = set(graph.outputs)
    for node in graph.nodes:
        if OPS[node.op].places or not chosen.isdisjoint(node.inputs):
            chosen.update(node.outputs)
            read.update(node.inputs)
    return [node.output for node in graph.nodes if node.output in read - chosen]


def change(exact: Mapping[str, FloatArray], got: Mapping[str, FloatArray]) -> float:
    """The mean square of the change of what was got by its variance over samples, summed over the outputs."""
    total = 0.0
    for name, array in got.items():
        true = exact[name].astype(np.float64)
        spread = float(np.square(true - true.mean(axis=0)).sum())
        total += float(np.square(array - true).sum()) / (spread or 1.0)
    return total


def follow(lost: Float64Array, at: Sequence[int], changes: Sequence[float]) -> Float64Array:
    """Changes at all sparsities, given those at some: between and beyond them, a power of what the layer itself loses.

    Args:
        lost: by the layer at each sparsity, ascending; 0 where nothing changes.
        at: which of them ``changes`` are known of, two or more.
        changes: of the outputs.
    """
    x, y = np.log(np.maximum(lost[list(at)], LEAST)), np.log(np.maximum(changes, LEAST))
    slopes = np.clip(np.diff(y) / np.maximum(np.diff(x), 1e-9), 0.5, 3.0)
    wanted = np.log(np.maximum(lost, LEAST))
    piece = np.clip(np.searchsorted(x, wanted) - 1, 0, len(slopes) - 1)
    found = np.exp(y[piece] + slopes[piece] * (wanted - x[piece]))
    return np.where(lost > 0, np.maximum.accumulate(found), 0.0)
