"""A trained network pruned at once to the same milliseconds by three ways to spread the zeros over its layers.

How many weights of each layer go is what differs. Which of them, and how those that are left make up for it, is the
same (see ``converters.pruning``).
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.pruning.equal_time import Rule, as_fast_as, thinned_like
from converters.pruning.prune import prune
from sparsenet.graph import FloatArray, Graph
from sparsenet.latency.paired import PairedTimer

#: A way → what it is called.
WAYS = {
    "at-once": "pruned at once",
    "at-once-uniform": "at once, all layers alike",
    "at-once-magnitude": "at once, by magnitude over all layers",
    "narrow-at-once": "narrower, and pruned at once",
}
_RULES: dict[str, Rule] = {"at-once-uniform": "layer", "at-once-magnitude": "magnitude"}


def faster(
    graph: Graph, batches: Sequence[FloatArray], way: str, speedup: float, chosen: Graph | None = None
) -> Graph:
    """The network with as many zeros as make it so many times as fast as it is, or as fast as another one.

    Args:
        graph: dense, in float32.
        batches: inputs without labels.
        way: one of ``WAYS``: by what zeros cost and save, measured here; equal shares; or the smallest weights of all
            layers together.
        speedup: of one thread, measured here.
        chosen: what the first way made for that speedup, which the others are to be as fast as.
    """
    if chosen is None:
        return prune(graph, batches, speedup=speedup, threads=1).graph
    timer = PairedTimer(thinned_like(graph, chosen))
    wanted = as_fast_as(lambda thin: timer.measure(thin).speedup.median, graph, _RULES[way], ())
    return prune(graph, batches, wanted, threads=1).graph
