"""How much rounding can move each tensor of a network: the measure that a comparison needs where numbers cancel.

A layer may add thousands of large products to a small sum. What float32 loses on the products then stays in the sum,
and an error that is large beside the sum is no fault. How large it may be is found by experiment: the float64 oracle
runs again with every number nudged by a random fraction of itself, as rounding nudges it (Monte Carlo arithmetic,
Parker 1997), only so little that no choice between numbers changes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph
from sparsenet.reference.oracle import run_node

Float64Array = npt.NDArray[np.float64]

#: The largest relative nudge; far below float32's rounding, far above float64's.
NUDGE = 2.0**-40


def magnitudes(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, float]:
    """By node output: the magnitude whose relative rounding errors it shows, of what cancelled in it included.

    A sum of products has about the root of the sum of their squares, however small it is itself. Rounding errors of
    relative size u, in every number that the tensor was computed from, move it by about u times its magnitude.
    """
    exact, nudged = _values(graph, feeds, None), _values(graph, feeds, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        moved = {node.output: np.abs(nudged[node.output] - exact[node.output]) for node in graph.nodes}
    return {
        name: float(moves.max(initial=0.0, where=np.isfinite(moves))) / NUDGE for name, moves in moved.items()
    }


def _values(
    graph: Graph, feeds: Mapping[str, np.ndarray], rng: np.random.Generator | None
) -> dict[str, Float64Array]:
    """Every tensor in float64, each nudged if there is a generator to do it."""

    def made(array: np.ndarray) -> Float64Array:
        array = array.astype(np.float64)
        if rng is None:
            return array
        # Whole numbers are indices and counts: float32 holds them as they are.
        return np.where(array == np.rint(array), array, array * (1 + NUDGE * rng.uniform(-1, 1, array.shape)))

    with np.errstate(all="ignore"):
        values = {name: made(np.asarray(array)) for name, array in [*graph.constants.items(), *feeds.items()]}
        for node in graph.nodes:
            values[node.output] = made(run_node(node, [values[n] if n else None for n in node.inputs]))
    return values
