"""What pruning would do to each layer of a network alone: what it errs by, and what it takes, at each sparsity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from converters.pruning.layers import prepared
from converters.pruning.pattern import Pattern
from converters.pruning.steps import Progress, Steps
from converters.pruning.surgery import PROBES, Surgery
from converters.pruning.thinned import thinned
from converters.pruning.timer import timer
from converters.pruning.timetable import LayerMs, level_ms
from converters.quantization.observe import Batches
from sparsenet.checks import items, real_number
from sparsenet.errors import InputError
from sparsenet.graph import Graph

#: Shares of zeros that are tried unless others are asked for.
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Point:
    """A layer at one sparsity.

    Attributes:
        sparsity: share of zeros.
        lost: share of the variance of the layer's outputs that is lost, at most, before any refitting.
        change: mean square of the change of the network's outputs by their variance.
        ms: what the layer takes, for one sample on one thread, in a network with all layers at this sparsity.
    """

    sparsity: float
    lost: float
    change: float
    ms: float


@dataclass(frozen=True)
class SensitiveLayer:
    """A layer, pruned while all others stay as they are.

    Attributes:
        layer: name of its node.
        weights: how many there are.
        dense_ms: what it takes with the zeros that it has, as ``Point.ms``.
        points: by sparsity, ascending.
    """

    layer: str
    weights: int
    dense_ms: float
    points: list[Point]


@dataclass(frozen=True)
class Sensitivity:
    """The layers of a network that can be pruned, in execution order.

    Attributes:
        network: its name.
        samples: how many inputs were looked at.
        layers: each pruned alone.
        rest_ms: what all else in the network takes.
    """

    network: str
    samples: int
    layers: list[SensitiveLayer]
    rest_ms: float


def sensitivity(
    graph: Graph,
    batches: Batches,
    sparsities: Sequence[float] = SPARSITIES,
    *,
    layer_ms: LayerMs | None = None,
    block: Sequence[int] | None = None,
    skip: Iterable[str] = (),
    state: str | Path | None = None,
    threads: int | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Sensitivity:
    """Measure by what a network errs, and what it takes, if one layer is pruned and the others are not.

    It is what ``prune`` spreads zeros by: each layer is pruned by optimal brain surgeon, without refitting; the change
    of the network's outputs is measured at two sparsities, and follows in between what the layer loses itself.

    Args:
        graph: any graph that is not quantized; passes are run on it first.
        batches: a few hundred inputs like those to come, as ``quantize`` takes them.
        sparsities: to try, in any order.
        layer_ms: what tells the milliseconds of each node of a network; None measures them on this machine.
        block: (1, 4) to prune 4 consecutive input channels of an output and a tap together.
        skip: layers to leave out, as for ``prune``, which says which ones always are.
        state: a folder for what is done; the same call, begun again, goes on there, and removes it in the end.
        threads: of the engine that computes; None takes the CPUs this process may use.
        progress: called after each layer.

    Raises:
        InputError: an argument has the wrong type or value, the graph is quantized, ``skip`` names no layer, or the
            samples do not fit.
        GraphError: the graph is invalid.
        MemoryLimitError: the calibration data, or matrices of a layer's inputs by inputs, would take more than
            ``limits.memory_limit``.
    """
    pattern = Pattern.parsed(block, None)
    asked = sorted({real_number(one, "a sparsity", most=1.0) for one in items(sparsities, "sparsities")})
    if not asked:
        raise InputError("sparsities must hold at least one")
    tried = sorted({*asked, *PROBES})
    dense, layers = prepared(graph, skip)
    what = repr((__name__, tried))
    with Surgery.opened(dense, layers, batches, pattern, what, state, threads) as surgery:
        steps = Steps(progress, len(layers) + 1 + len(asked))
        lost, changes = surgery.errors(tried, steps)
        samples = surgery.samples
        thin = partial(thinned, dense, layers=layers, pattern=pattern)
        costs, rests = level_ms(layers, thin, timer(dense, layer_ms), [0.0, *asked], steps)
    found = []
    for row, layer in enumerate(layers):
        at = [tried.index(one) for one in asked]
        told = (asked, lost[row, at].tolist(), changes[row, at].tolist(), costs[row, 1:].tolist())
        points = [Point(*values) for values in zip(*told, strict=True)]
        found.append(SensitiveLayer(layer.name, layer.size, float(costs[row, 0]), points))
    return Sensitivity(graph.name, samples, found, rests[0])
