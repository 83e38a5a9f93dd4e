"""How zeros are spread over the layers of a network that has to be fast enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from converters.pruning.allocate import allocate
from converters.pruning.budget import LEVELS, Sparsities, allowed, named
from converters.pruning.layers import Layer
from converters.pruning.moments import Float64Array
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph

#: Milliseconds of each node of a network, as it is, for one sample.
LayerMs = Callable[[Graph], Mapping[str, float]]
#: A network with these shares of zeros.
Thin = Callable[[Sparsities], Graph]
#: How often a budget is corrected by what a choice takes, and how exactly it is met.
_ROUNDS, _NEAR = 8, 0.01


@dataclass(frozen=True)
class Choice:
    """Sparsities of layers.

    Attributes:
        sparsities: of each.
        layer_ms: what each takes in a network with all of these.
        ms: of that network.
    """

    sparsities: Sparsities
    layer_ms: Mapping[str, float]
    ms: float

    @classmethod
    def of(cls, layers: Sequence[Layer], arrays: Mapping[str, FloatArray]) -> Choice:
        """The choice that ``arrays`` made these of."""
        took = {layer.name: float(ms) for layer, ms in zip(layers, arrays["layer_ms"], strict=True)}
        return cls(named(layers, arrays["levels"].astype(int).tolist()), took, float(arrays["ms"][0]))

    def arrays(self) -> dict[str, FloatArray]:
        """All of it in float32, as a ``State`` keeps it."""
        levels = [LEVELS.index(sparsity) for sparsity in self.sparsities.values()]
        values = {"levels": levels, "layer_ms": list(self.layer_ms.values()), "ms": [self.ms]}
        return {name: np.array(value, np.float32) for name, value in values.items()}


@dataclass(frozen=True)
class Timetable:
    """What the layers of a network take at each of ``LEVELS``.

    Attributes:
        layers: of a network.
        thin: what gives it zeros (see ``thinned``).
        layer_ms: what tells the milliseconds of nodes.
        costs: (layers, levels); infinite where a level is more than a layer may get.
        rest: of all that is no layer.
        least: of the network at the highest level.
        known: choices asked for so far, by the levels of the layers.
    """

    layers: Sequence[Layer]
    thin: Thin
    layer_ms: LayerMs
    costs: Float64Array
    rest: float
    least: float
    known: dict[tuple[int, ...], Choice] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
        thin: Thin,
        layer_ms: LayerMs,
        most: float,
        step: Callable[[], object] = lambda: None,
    ) -> Timetable:
        """Ask what networks take that have all layers at one level.

        Args:
            layers, thin, layer_ms: as of ``Timetable``.
            most: the highest sparsity that a layer may get.
            step: called after each level.
        """
        costs, rests = level_ms(layers, thin, layer_ms, LEVELS, step)
        costs = allowed(costs, most)
        last = np.flatnonzero(np.isfinite(costs[0]))[-1]
        return cls(layers, thin, layer_ms, costs, rests[0], float(costs[:, last].sum()) + rests[last])

    @property
    def dense_ms(self) -> float:
        """Of the network without more zeros than it has."""
        return float(self.costs[:, 0].sum()) + self.rest

    def budget(self, ms: float | None, speedup: float) -> float:
        """The milliseconds that the network may take: ``ms``, or those of the dense one divided by ``speedup``.

        Raises:
            InputError: it takes more at the highest level.
        """
        budget = ms if ms is not None else self.dense_ms / speedup
        if self.least > budget * (1 + _NEAR):
            raise InputError(
                f"the network would take {self.least:.4g} ms with as many zeros as there may be, "
                f"and is to take {budget:.4g} ms: allow more time"
            )
        return budget

    def choose(self, errors: Float64Array, budget: float) -> Choice:
        """The sparsities with which the network takes as good as ``budget`` milliseconds, and errs least.

        What the layers of a choice take together differs from what each takes among others at its level, as their
        schedule does: the budget is corrected by that until it is met, and halved between one that is too
        much and one that is too little where that leads astray.

        Args:
            errors: of each layer at each level, (layers, levels).
            budget: of the whole network.
        """
        least, most = float(self.costs.min(axis=1).sum()) * (1 + _NEAR), self.dense_ms - self.rest
        if self.dense_ms * (1 - _NEAR) <= budget:
            return self._choice((0,) * len(self.layers))
        spare, tried = max(budget - self.rest, least), dict[tuple[int, ...], Choice]()
        for _ in range(_ROUNDS):
            levels = tuple(allocate(self.costs, errors, spare))
            known = levels in tried
            choice = tried[levels] = self._choice(levels)
            if abs(choice.ms - budget) <= budget * _NEAR:
                break
            least, most = (least, spare) if choice.ms > budget else (spare, most)
            spare += budget - choice.ms
            if known or not least < spare < most:
                spare = (least + most) / 2
        return min(tried.values(), key=lambda choice: _missed(choice.ms / budget))

    def _choice(self, levels: tuple[int, ...]) -> Choice:
        if levels not in self.known:
            sparsities = named(self.layers, levels)
            took = self.layer_ms(self.thin(sparsities))
            layer_ms = {name: took.get(name, 0.0) for name in sparsities}
            self.known[levels] = Choice(sparsities, layer_ms, sum(took.values()))
        return self.known[levels]


def level_ms(
    layers: Sequence[Layer],
    thin: Thin,
    layer_ms: LayerMs,
    sparsities: Sequence[float],
    step: Callable[[], object] = lambda: None,
) -> tuple[Float64Array, list[float]]:
    """Milliseconds of each layer at each sparsity, (layers, sparsities), and of all else in the network at each.

    What a layer takes at a sparsity is asked of the network with all layers at that; ``step`` is called after each.
    """
    tables = []
    for sparsity in sparsities:
        alike = dict.fromkeys((layer.name for layer in layers), sparsity)
        tables.append(layer_ms(thin(alike)))
        step()
    costs = np.array([[table.get(layer.name, 0.0) for table in tables] for layer in layers])
    return costs, [
        sum(table.values()) - float(cost) for table, cost in zip(tables, costs.sum(axis=0), strict=True)
    ]


def _missed(share: float) -> float:
    """How far a time is from what is asked for, of which it is a share: too long counts twice."""
    return 2 * (share - 1) if share > 1 else 1 - share
