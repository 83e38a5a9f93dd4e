"""Milliseconds measured: a timer that compares networks, and a budget that what layers take together corrects."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from converters.pruning.budget import LEVELS
from converters.pruning.layers import prepared
from converters.pruning.pattern import Pattern
from converters.pruning.thinned import thinned
from converters.pruning.timer import timer
from converters.pruning.timetable import Timetable
from sparsenet.graph import Graph
from sparsenet.latency import paired
from tests.converters.pruning.networks import multiply_adds, network


def test_layers_take_what_the_network_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "SECONDS", 0.0)
    graph = network()
    timer = paired.PairedTimer(graph)
    took = timer.measure(graph)
    assert {node.name for node in graph.nodes if node.op == "conv2d"} <= took.layers.keys()
    assert min(took.layers.values()) >= 0
    assert took.ms == pytest.approx(timer.first.ms / took.speedup.median)
    assert took.speedup.rounds + took.speedup.dropped >= paired.FEWEST


def test_a_budget_is_met_where_layers_take_more_together() -> None:
    graph, layers = prepared(network(), ())
    names = [layer.name for layer in layers]

    def crowded(graph: Graph) -> dict[str, float]:
        """Layers of different sparsity are in each other's way."""
        took = multiply_adds(graph)
        shares = [np.count_nonzero(graph.constants[layer.weight]) / layer.size for layer in layers]
        return {name: ms * (1 + np.ptp(shares)) if name in names else ms for name, ms in took.items()}

    table = Timetable.of(layers, partial(thinned, graph, layers=layers, pattern=Pattern()), crowded, 0.9)
    assert np.isinf(table.costs[:, LEVELS.index(0.93) :]).all()
    budget = table.budget(None, 2.5)
    errors = np.outer([1.0, 0.1, 0.3, 1.0], LEVELS)
    choice = table.choose(errors, budget)
    assert len(set(choice.sparsities.values())) > 1
    assert 0.97 * budget < choice.ms <= 1.01 * budget
    assert sum(choice.layer_ms.values()) < choice.ms, "the depthwise layer is none of them"
    for ample in (table.budget(None, 1.0), 2 * budget * 2.5):
        assert not any(table.choose(errors, ample).sparsities.values()), "what is fast enough loses nothing"


def test_a_timer_of_integers_asks_about_networks_in_bytes() -> None:
    graph, layers = prepared(network(), ())
    asked: list[Graph] = []

    def ask(one: Graph) -> dict[str, float]:
        asked.append(one)
        return multiply_adds(one)

    for int8 in (False, True):
        took = timer(graph, ask, int8)(graph)
        assert {layer.name for layer in layers} <= took.keys()
    assert not asked[0].quantization
    assert {layer.weight for layer in layers} <= asked[1].quantization.keys()
