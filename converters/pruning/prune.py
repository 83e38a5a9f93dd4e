"""One-shot pruning: a trained network and some of its inputs, without labels, become a network with zeros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from converters.pruning.budget import LEVELS
from converters.pruning.layers import Layer, prepared
from converters.pruning.pattern import Pattern
from converters.pruning.spread import repaired, spread_by, within_time, within_weights
from converters.pruning.steps import Progress, Steps
from converters.pruning.surgery import Surgery
from converters.pruning.timetable import Choice, LayerMs
from converters.quantization.observe import Batches
from sparsenet.checks import flag, one_of, real_number, shown, whole_number
from sparsenet.errors import InputError
from sparsenet.graph import Graph

Scope = Literal["layer", "global"]
#: Metadata that says how a network was pruned.
METADATA = "pruning"


@dataclass(frozen=True)
class PrunedLayer:
    """What became of a layer.

    Attributes:
        layer: name of its node.
        weights, nnz: how many there are, and how many are not zero.
        error: variance of the change of what it makes, before any activation, by that of what it made, everything
            pruned before it included; on the calibration inputs.
    """

    layer: str
    weights: int
    nnz: int
    error: float

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1.0 - self.nnz / self.weights


@dataclass(frozen=True)
class Pruned:
    """A pruned network.

    Attributes:
        graph: the network.
        layers: what became of each that could be pruned, in execution order.
        dense: the network before, after all passes.
        predicted: what it and its layers would take, when the zeros were spread; None if no time was asked for.
    """

    graph: Graph
    layers: list[PrunedLayer]
    dense: Graph
    predicted: Choice | None = None


def prune(
    graph: Graph,
    batches: Batches,
    sparsity: float | Mapping[str, float] = 0.8,
    *,
    scope: Scope = "global",
    ms: float | None = None,
    speedup: float | None = None,
    layer_ms: LayerMs | None = None,
    int8: bool = False,
    block: Sequence[int] | None = None,
    n_m: Sequence[int] | None = None,
    skip: Iterable[str] = (),
    min_density: float = 0.0,
    search: int = 0,
    state: str | Path | None = None,
    threads: int | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Pruned:
    """Set weights to zero, and change those that are left so that each layer makes what it made, as nearly as it can.

    Layers are pruned in execution order, by optimal brain surgeon in column order (see ``reconstruct``): what a layer
    reads from the pruned layers before it is to give what it gave in the dense network, whether it is pruned itself or
    not. Its bias then repairs the mean of each output channel. BatchNorms have been folded into the layers.

    Args:
        graph: any graph that is not quantized; passes are run on it first.
        batches: a few hundred inputs like those to come, as ``quantize`` takes them.
        sparsity: share of zeros of all layers that can be pruned together; or of each by the name of its node, 0 for
            those that are not named. No layer gets fewer than it has.
        scope: "global" spreads the zeros so that what layers, each alone, do to the network's outputs adds up to the
            least (see ``allocate``); "layer" prunes all layers alike.
        ms: instead of a sparsity, the milliseconds that the network may take, for one sample on one thread. Which zeros
            do that is measured before any layer is reconstructed, in turn with the dense network.
        speedup: or by what the milliseconds of the dense network are to be divided.
        layer_ms: what tells the milliseconds of each node of a network; None measures them on this machine.
        int8: whether milliseconds, dense and pruned, are those of the network in 8-bit integers. It is pruned in
            float32 all the same, to be quantized afterwards.
        block: (1, 4) to prune 4 consecutive input channels of an output channel and a tap together.
        n_m: (2, 4) to keep 2 of every 4 such channels, which decides the sparsity.
        skip: layers that stay dense: names, patterns of names such as "head.*", or the words "first" and "last".
            Depthwise convolutions, layers that share a weight, and those of fewer than 64 weights always do.
        min_density: share of its weights that every layer keeps at least, where zeros are spread.
        search: how many other ways to spread them are tried (see ``searched``): each is reconstructed, and the one that
            changes the outputs least is taken.
        state: a folder for what is done; the same call, begun again, goes on there, and removes it in the end.
        threads: of the engine that computes what layers read; None takes the CPUs this process may use.
        progress: called after each layer.

    Raises:
        InputError: an argument has the wrong type or value, the graph is quantized, ``skip`` or ``sparsity`` names no
            layer, the samples do not fit, or no choice of zeros does.
        GraphError: the graph is invalid.
        MemoryLimitError: the calibration data, or matrices of a layer's inputs by inputs, would take more than
            ``limits.memory_limit``.
    """
    pattern = Pattern.parsed(block, n_m)
    one_of(scope, "scope", get_args(Scope))
    most = 1.0 - real_number(min_density, "min_density", most=1.0)
    dense, layers = prepared(graph, skip)
    given = _given(sparsity, layers)
    search = whole_number(search, "search", least=0)
    timed = _timed(pattern, ms, speedup)
    spread = timed or not (pattern.of or scope == "layer" or isinstance(sparsity, Mapping))
    if search and not spread:
        raise InputError("search tries other ways to spread zeros, and these are given: leave it out")
    what = repr((__name__, sorted(given.items()), spread, ms, speedup, most, search, flag(int8, "int8")))
    judged = search + 1 if search else 0
    steps = Steps(progress, len(layers) * (1 + spread + judged) + len(LEVELS) * timed)
    choice = None
    with Surgery.opened(dense, layers, batches, pattern, what, state, threads) as surgery:
        if spread:
            known = surgery.state.known("choice")
            if known is None:
                if timed:
                    choose = within_time(surgery, steps, ms, speedup, layer_ms, int8, most)
                else:
                    choose = partial(within_weights, layers, next(iter(given.values())), most)
                known = spread_by(surgery, steps, choose, search).arrays()
                surgery.state.keep("choice", known)
            else:
                steps.skip(steps.total - len(layers))
            choice = Choice.of(layers, known)
            given = choice.sparsities
        wanted = repaired(dense, layers, given, pattern)
        steps.total += len(wanted) - len(layers)
        pruned, lost = surgery.prune(wanted, steps)
    pruned.metadata[METADATA] = f"optimal brain surgeon on {surgery.samples} samples"
    rows = [
        PrunedLayer(x.name, x.size, int(np.count_nonzero(pruned.constants[x.weight])), lost.get(x.name, 0.0))
        for x in layers
    ]
    return Pruned(pruned, rows, dense, choice if timed else None)


def _timed(pattern: Pattern, ms: float | None, speedup: float | None) -> bool:
    """Whether milliseconds are asked for, instead of zeros."""
    if ms is not None and speedup is not None:
        raise InputError("ms and speedup are two ways to say the same: give one of them")
    if pattern.of and (ms or speedup):
        raise InputError("n_m decides the sparsity of every layer, and with it the time")
    if ms is not None:
        real_number(ms, "ms", above=True)
    if speedup is not None:
        real_number(speedup, "speedup", 1.0)
    return ms is not None or speedup is not None


def _given(sparsity: object, layers: Sequence[Layer]) -> dict[str, float]:
    """By layer, the share of zeros that is asked for."""
    if not isinstance(sparsity, Mapping):
        share = real_number(sparsity, "sparsity", most=1.0)
        return {layer.name: share for layer in layers}
    names = [layer.name for layer in layers]
    for name in sparsity:
        if name not in names:
            raise InputError(f"sparsity: no layer that can be pruned is called {shown(name)}")
    return {name: real_number(sparsity.get(name, 0.0), f"sparsity of '{name}'", most=1.0) for name in names}
