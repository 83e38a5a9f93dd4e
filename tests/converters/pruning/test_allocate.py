"""The allocation against all there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.pruning.allocate import allocate
from sparsenet.errors import InputError

LAYER = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 50)), min_size=3, max_size=3)


@given(st.lists(LAYER, min_size=1, max_size=5), st.integers(1, 40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_allocation_is_the_best_there_is(layers: list[list[tuple[int, int]]], budget: int) -> None:
    costs, errors = (np.array([[option[i] for option in layer] for layer in layers]) for i in (0, 1))
    choices = itertools.product(range(3), repeat=len(layers))
    sums = [(sum(errors[range(len(c)), c]), sum(costs[range(len(c)), c])) for c in choices]
    within = [error for error, cost in sums if cost <= budget]
    if not within:
        with pytest.raises(InputError, match="the least that the layers can cost"):
            allocate(costs, errors, budget, buckets=budget)
        return
    chosen = allocate(costs, errors, budget, buckets=budget)
    assert costs[range(len(layers)), chosen].sum() <= budget
    assert errors[range(len(layers)), chosen].sum() == min(within)


def test_costs_between_buckets_are_never_over_the_budget() -> None:
    rng = np.random.default_rng(0)
    costs = np.sort(rng.uniform(0.1, 1, (30, 13)), axis=1)[:, ::-1]
    errors = np.sort(rng.uniform(0, 1, (30, 13)), axis=1)
    costs[3, 6:] = np.inf
    chosen = allocate(costs, errors, 15.0)
    assert 14.9 < costs[range(30), chosen].sum() <= 15.0
    assert chosen[3] < 6
