"""What networks and their layers take on this machine, each measured in turn with the one that it is compared to."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.engine import Engine
from sparsenet.graph import Graph
from sparsenet.graph.feeds import random_inputs
from sparsenet.timing import THREAD, Ratio, paired_ratio, rounds_for, spread, take_rounds, turns_of

#: Seconds that the rounds of one measurement may take, how many there are at least and at most, and how often the steps
#: of a network are timed.
SECONDS, FEWEST, MOST, PROFILED = 2.0, 9, 60, 9


@dataclass(frozen=True)
class Measured:
    """What a network took, for one sample on one thread, in processor time.

    Attributes:
        layers: milliseconds of each node, of what copies for it, and of waiting; together, those of the network.
        speedup: how many times as long the network that it was compared to took in the same rounds.
    """

    layers: dict[str, float]
    speedup: Ratio

    @property
    def ms(self) -> float:
        """Of the whole network."""
        return sum(self.layers.values())


class PairedTimer:
    """Measures networks in turn with a first one: the speed of a machine drifts, a ratio within a round does not.

    Inputs are random numbers. Milliseconds of all networks are those of the first, measured once, by such ratios.

    Args:
        first: what all others are compared to.
    """

    def __init__(self, first: Graph) -> None:
        self._engine = Engine(first, 1)
        self._feeds = random_inputs(self._engine.inputs, 1, 0)
        turns = turns_of({"first": lambda: self._engine.run(self._feeds)}, THREAD)
        taken = take_rounds(turns, rounds_for(turns, SECONDS, FEWEST, MOST), THREAD)
        (seconds,) = taken.seconds("first")
        layers = self._layers(self._engine, spread(seconds).median * 1e3)
        self.first = Measured(layers, paired_ratio(seconds, seconds, taken.count("first")[1]))

    def __call__(self, graph: Graph) -> dict[str, float]:
        """Milliseconds of each node of a network."""
        return self.measure(graph).layers

    def measure(self, graph: Graph) -> Measured:
        """What a network with the inputs of the first takes."""
        engine = Engine(graph, 1)
        try:
            calls = {
                "first": lambda: self._engine.run(self._feeds),
                "other": lambda: engine.run(self._feeds),
            }
            turns = turns_of(calls, THREAD)
            taken = take_rounds(turns, rounds_for(turns, SECONDS, FEWEST, MOST), THREAD)
            speedup = taken.ratio("first", "other")
            return Measured(self._layers(engine, self.first.ms / speedup.median), speedup)
        finally:
            engine.close()

    def _layers(self, engine: Engine, ms: float) -> dict[str, float]:
        """What each node takes of some milliseconds."""
        arrays = [self._feeds[info.name] for info in engine.inputs]
        return {layer.layer: layer.share * ms for layer in engine.profile(*arrays, runs=PROFILED)}
