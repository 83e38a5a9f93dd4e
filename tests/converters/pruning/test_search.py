"""Other ways to spread zeros: the best of those that were tried, none judged twice, and work that goes on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from converters import prune
from converters.pruning.budget import LEVELS
from converters.pruning.damage import change
from converters.pruning.moments import Float64Array
from converters.pruning.search import searched
from converters.pruning.timetable import Choice
from sparsenet.engine import Engine
from sparsenet.graph import Graph
from tests.converters.pruning.networks import multiply_adds, network, samples

#: Levels of four layers that remove the same number of weights.
ALLOCATIONS = [levels for levels in itertools.product(range(5), repeat=4) if sum(levels) == 8]
ERRORS = np.square(np.arange(5.0))[None] * np.array([[1.0], [1.5], [0.7], [1.2]])


def choose(errors: Float64Array) -> Choice:
    at = min(ALLOCATIONS, key=lambda levels: errors[range(4), levels].sum())
    return Choice({f"layer{i}": LEVELS[level] for i, level in enumerate(at)}, {}, 0.0)


def levels_of(choice: Choice) -> list[int]:
    return [LEVELS.index(sparsity) for sparsity in choice.sparsities.values()]


@pytest.mark.parametrize("seed", range(4))
def test_what_counts_more_together_is_found_out(seed: int) -> None:
    weights = np.exp(np.random.default_rng(seed).normal(0, 1.0, 4))
    truth: dict[tuple[int, ...], float] = {
        levels: float((ERRORS[range(4), levels] * weights).sum()) for levels in ALLOCATIONS
    }
    judged: list[tuple[int, ...]] = []

    def judge(number: int, choice: Choice) -> float:
        assert number >= len(judged)
        judged.append(tuple(levels_of(choice)))
        return truth[judged[-1]]

    found = tuple(levels_of(searched(ERRORS, choose, judge, 40)))
    assert truth[found] == min(truth[levels] for levels in judged)
    assert len(judged) == len(set(judged)) <= 41
    assert truth[found] <= min(truth.values()) * 1.2
    assert truth[judged[0]] == truth[tuple(levels_of(choose(ERRORS)))]


def _changed(graph: Graph, other: Graph) -> float:
    exact, got = ({"y": Engine(g, 1)(samples(64))} for g in (graph, other))
    return change(exact, got)


def test_outputs_change_less_in_no_more_time_and_what_was_judged_is_kept(tmp_path: Path) -> None:
    graph, x = network(), samples(64)
    asked = {"ms": 16.0, "layer_ms": multiply_adds, "threads": 1}
    first = prune(graph, x, **asked)
    found = prune(graph, x, search=6, **asked)
    assert _changed(graph, found.graph) < 0.8 * _changed(graph, first.graph)
    assert sum(multiply_adds(found.graph).values()) <= 1.01 * 16.0
    seen: list[tuple[int, int]] = []

    def stop(done: int, of: int) -> None:
        seen.append((done, of))
        if list(tmp_path.glob("state/try-2.npz")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(graph, x, search=6, state=tmp_path / "state", progress=stop, **asked)
    tries = {path: path.stat().st_mtime_ns for path in tmp_path.glob("state/try-*.npz")}
    assert len(tries) == 3

    def look(done: int, of: int) -> None:
        seen.append((done, of))
        assert all(path.stat().st_mtime_ns == time for path, time in tries.items())

    again = prune(graph, x, search=6, state=tmp_path / "state", progress=look, **asked)
    assert again.layers == found.layers
    assert seen[-1][0] == seen[-1][1]


def test_of_zeros_too() -> None:
    graph, x = network(), samples(64)
    first, found = (prune(graph, x, 0.85, search=tries, threads=1) for tries in (0, 6))
    assert _changed(graph, found.graph) <= _changed(graph, first.graph)
    assert abs(sum(layer.nnz for layer in found.layers) - sum(layer.nnz for layer in first.layers)) < 60
