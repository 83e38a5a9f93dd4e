"""What decides how many zeros each layer of a network gets before it is operated on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from converters.pruning.budget import LEVELS, by_weights
from converters.pruning.layers import Layer
from converters.pruning.moments import Float64Array
from converters.pruning.pattern import Pattern
from converters.pruning.search import searched
from converters.pruning.steps import Steps
from converters.pruning.surgery import Surgery
from converters.pruning.thinned import thinned
from converters.pruning.timer import timer
from converters.pruning.timetable import Choice, LayerMs, Timetable
from sparsenet.graph import Graph


def within_time(
    surgery: Surgery,
    steps: Steps,
    ms: float | None,
    speedup: float | None,
    layer_ms: LayerMs | None,
    int8: bool,
    most: float,
) -> Callable[[Float64Array], Choice]:
    """What chooses, by errors of layers, the sparsities with which the network is as fast as asked for."""
    graph, layers = surgery.dense, surgery.layers
    thin = partial(thinned, graph, layers=layers, pattern=surgery.pattern)
    table = Timetable.of(layers, thin, timer(graph, layer_ms, int8), most, steps)
    return partial(table.choose, budget=table.budget(ms, speedup or 1.0))


def within_weights(layers: Sequence[Layer], sparsity: float, most: float, errors: Float64Array) -> Choice:
    """The sparsities that leave a share of all weights, and err least; nothing is known of what they take."""
    found = by_weights(layers, errors, sparsity, most)
    return Choice(found, dict.fromkeys(found, 0.0), 0.0)


def spread_by(
    surgery: Surgery, steps: Steps, choose: Callable[[Float64Array], Choice], search: int
) -> Choice:
    """The sparsities with which the outputs change least, by what each layer does to them alone, or as found out."""
    _, changes = surgery.errors(LEVELS, steps)
    if not search:
        return choose(changes)

    end = steps.done + (search + 1) * len(surgery.layers)

    def judge(number: int, choice: Choice) -> float:
        levels, known = choice.arrays()["levels"], surgery.state.known(f"try-{number}")
        if known is None or not np.array_equal(known["levels"], levels):
            wanted = repaired(surgery.dense, surgery.layers, choice.sparsities, surgery.pattern)
            changed = surgery.changed(surgery.prune(wanted, steps, keep=False)[0])
            known = {"levels": levels, "changed": np.array([changed], np.float32)}
            surgery.state.keep(f"try-{number}", known)
        return float(known["changed"][0])

    best = searched(changes, choose, judge, search)
    steps.skip(end - steps.done)
    return best


def repaired(
    graph: Graph, layers: Sequence[Layer], given: Mapping[str, float], pattern: Pattern
) -> dict[str, float]:
    """The layers to operate on: from the first that is pruned on, all, as they repair what is lost before them.

    None gets fewer zeros than it has.
    """
    wanted: dict[str, float] = {}
    for layer in layers:
        if wanted or given[layer.name] > 0 or pattern.of:
            weight = graph.constants[layer.weight]
            wanted[layer.name] = max(given[layer.name], 1.0 - np.count_nonzero(weight) / weight.size)
    return wanted
