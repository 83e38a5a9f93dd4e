"""Densities of layers by the Erdős-Rényi-Kernel."""

from __future__ import annotations

import math

import pytest

from sparsenet.errors import MaskError
from training.pruning.erk import erk_densities

SHAPES = {"first": (16, 3, 3, 3), "depthwise": (16, 1, 3, 3), "wide": (64, 16, 1, 1), "head": (10, 64)}


def test_density_is_the_sum_of_the_sides_over_their_product() -> None:
    found = erk_densities(SHAPES, keep=200)
    # Sides: 16 + 3 + 3 + 3, 16 + 1 + 3 + 3, 64 + 16 + 1 + 1, 10 + 64: together 204.
    kept = {name: found[name] * math.prod(SHAPES[name]) for name in SHAPES}
    assert kept == pytest.approx({name: sum(shape) * 200 / 204 for name, shape in SHAPES.items()})


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95, 1.0])
def test_budget_is_met_and_full_layers_pass_theirs_on(share: float) -> None:
    weights = {name: math.prod(shape) for name, shape in SHAPES.items()}
    found = erk_densities(SHAPES, share * sum(weights.values()))
    assert sum(found[name] * weights[name] for name in SHAPES) == pytest.approx(share * sum(weights.values()))
    assert list(found) == list(SHAPES)
    assert all(0 <= density <= 1 for density in found.values())
    below = {found[name] * weights[name] / sum(SHAPES[name]) for name in SHAPES if found[name] < 1}
    assert max(below, default=0) == pytest.approx(min(below, default=0))


def test_impossible_budgets() -> None:
    for keep in (-1, 3000):
        with pytest.raises(MaskError, match="cannot keep"):
            erk_densities(SHAPES, keep)
