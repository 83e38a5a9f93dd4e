"""Where a budget of milliseconds is spent: zeros go where they save most time for what they cost.

What each layer takes at each of some sparsities is measured, or told otherwise, of the network with the very masks
that the scores would give it; what it loses there is the sum of the scores that are gone. Dynamic programming finds the
sparsities that lose least within the time (Frantar and Alistarh 2022, SPDY; see ``converters.pruning.allocate``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from converters.pruning.budget import LEVELS
from converters.pruning.layers import prepared
from converters.pruning.timer import timer
from converters.pruning.timetable import Choice, Timetable
from sparsenet.checks import real_number
from sparsenet.errors import MaskError
from sparsenet.graph import Graph
from training.pruning.deadline import Deadline
from training.pruning.prunable import PrunableWeight
from training.pruning.scores import Scorer
from training.pruning.select import Chooser, Sizes, best, total_of
from training.pruning.units import Units


class ByLatency:
    """Spreads zeros so that a network is as fast as it has to be.

    Layers that no zeros make faster lose none: depthwise convolutions, and others that ``prepared`` leaves out. In
    several rounds the first scores decide what each layer keeps in the end, which all approach by ratios.

    Args:
        graph: the network.
        weights: by parameter, those that may be pruned.
        allowed: the weights that may be kept, by parameter.
        units: of the weights.
        scorer: what rates them.
        deadline: what the network may take.
        min_density: share of its weights that every layer keeps.
        quiet: whether to show no bar while networks are timed.

    Raises:
        MaskError: there is no layer that zeros make faster.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, PrunableWeight],
        allowed: Mapping[str, Tensor],
        units: Units,
        scorer: Scorer,
        deadline: Deadline,
        min_density: float,
        quiet: bool,
    ) -> None:
        self._graph, layers = prepared(graph, ())
        parameters = {weight.layer: name for name, weight in weights.items()}
        self._layers = {parameters[layer.name]: layer for layer in layers if layer.name in parameters}
        if not self._layers:
            raise MaskError("scope 'latency': zeros make none of these layers faster")
        self._allowed, self._units, self._scorer = allowed, units, scorer
        self._deadline, self._quiet = deadline, quiet
        self._most = 1.0 - real_number(min_density, "min_density", most=1.0, error=MaskError)
        self._found: tuple[Timetable, float, Choice] | None = None

    def at(self, progress: float) -> Chooser:
        """What ``select`` chooses by, after this share of the rounds."""
        return partial(self._choose, progress)

    def info(self) -> dict[str, Any]:
        """What was asked for, and what the network takes before and with these zeros, in milliseconds."""
        assert self._found is not None
        table, budget, choice = self._found
        return {
            "int8": self._deadline.int8,
            "measured": self._deadline.layer_ms is None,
            "dense_ms": table.dense_ms,
            "asked_ms": budget,
            "ms": choice.ms,
        }

    def _choose(
        self,
        progress: float,
        scores: Mapping[str, Tensor],
        sizes: Mapping[str, Sizes],
        floors: Mapping[str, int],
    ) -> dict[str, Tensor]:
        """Called with the scores of a round; the first ones decide."""
        if self._found is None:
            self._found = self._decided(scores, sizes)
        return self._best(scores, sizes, self._found[-1].sparsities, floors, progress)

    def _decided(
        self, scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes]
    ) -> tuple[Timetable, float, Choice]:
        layers, thin = list(self._layers.values()), partial(self._thinned, scores, sizes)
        hidden = True if self._quiet else None
        with tqdm(total=len(LEVELS), desc="timing", unit="network", leave=False, disable=hidden) as bar:
            layer_ms = timer(self._graph, self._deadline.layer_ms, self._deadline.int8)
            table = Timetable.of(layers, thin, layer_ms, self._most, bar.update)
        budget = table.budget(self._deadline.ms, self._deadline.speedup or 1.0)
        losses = [self._losses(scores[name], sizes[name]) for name in self._layers]
        return table, budget, table.choose(np.array(losses), budget)

    def _losses(self, scores: Tensor, sizes: Sizes) -> list[float]:
        """What the layer loses at each of ``LEVELS``."""
        alive = scores > -math.inf
        lost = self._scorer.loss(scores.where(alive, 0.0), sizes) * alive
        kept = (best(scores, sizes, _count(scores, sizes, 1 - level)) for level in LEVELS)
        return [float(lost[~flags].sum()) for flags in kept]

    def _thinned(
        self, scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes], sparsities: Mapping[str, float]
    ) -> Graph:
        kept = self._best(scores, sizes, sparsities, dict.fromkeys(scores, 0))
        masks = self._units.masks(kept, self._allowed)
        thin = self._graph.copy()
        for name, layer in self._layers.items():
            thin.constants[layer.weight] = thin.constants[layer.weight] * masks[name].numpy()
        return thin

    def _best(
        self,
        scores: Mapping[str, Tensor],
        sizes: Mapping[str, Sizes],
        sparsities: Mapping[str, float],
        floors: Mapping[str, int],
        progress: float = 1.0,
    ) -> dict[str, Tensor]:
        """Flags of the best units of each layer, at this share of the way to some sparsities."""
        kept = {}
        for name, score in scores.items():
            sparsity = sparsities[self._layers[name].name] if name in self._layers else 0.0
            count = _count(score, sizes[name], (1 - sparsity) ** progress)
            kept[name] = best(score, sizes[name], max(count, floors[name]))
        return kept


def _count(scores: Tensor, sizes: Sizes, density: float) -> int:
    return round(total_of(scores, sizes) * density)
