"""Reconstruction against an optimal brain surgeon that inverts what is left of H anew for every weight it removes."""

from __future__ import annotations

import numpy as np
import pytest

from converters.pruning.columns import Columns
from converters.pruning.moments import Float64Array
from converters.pruning.pattern import BoolArray, Pattern
from converters.pruning.reconstruct import inverse_factor, refit, sweep

COLUMNS = Columns((4, 6, 5, 5))
PATTERNS = [Pattern(), Pattern(block=4), Pattern(kept=2, of=4)]


def problem(seed: int = 0, columns: Columns = COLUMNS) -> tuple[Float64Array, Float64Array]:
    """Weights (outputs, columns), and how inputs that have a good deal in common vary together."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((columns.count, 3 * columns.count)) * rng.uniform(0.1, 2, (columns.count, 1))
    inputs = np.maximum(inputs + rng.standard_normal((1, 3 * columns.count)), 0)
    return rng.standard_normal((columns.shape[0], columns.count)), np.cov(inputs)


def surgeon(rows: Float64Array, matrix: Float64Array, gone: BoolArray) -> Float64Array:
    """Remove the weights ``gone`` one by one from the first column on, others behind them making up for each."""
    result = rows.copy()
    for row, lost in zip(result, gone, strict=True):
        for j in np.flatnonzero(lost):
            inverse = np.linalg.inv(matrix[j:, j:])
            row[j:] -= row[j] / inverse[0, 0] * inverse[0]
            row[j] = 0.0
    return result


def cost(change: Float64Array, matrix: Float64Array) -> Float64Array:
    return np.einsum("ok,kj,oj->o", change, matrix, change)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_sweep_is_optimal_brain_surgery_in_column_order(pattern: Pattern) -> None:
    rows, matrix = problem()
    found, loss = sweep(rows, inverse_factor(matrix), pattern, COLUMNS, [0.3, 0.8])
    for pruned, lost in zip(found, loss, strict=True):
        np.testing.assert_allclose(pruned, surgeon(rows, matrix, pruned == 0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(lost, cost(rows - pruned, matrix), rtol=1e-9)


def test_zeros_are_as_many_as_asked_for_and_in_their_pattern() -> None:
    rows, matrix = problem()
    factor = inverse_factor(matrix)
    singles = sweep(rows, factor, Pattern(), COLUMNS, [0.0, 0.3, 0.8, 1.0])[0]
    assert [int(np.count_nonzero(one == 0)) for one in singles] == [0, 180, 480, 600]
    by_tap = sweep(rows, factor, Pattern(block=4), COLUMNS, [0.5])[0].reshape(4, 25, 6) != 0
    for block in (by_tap[..., :4], by_tap[..., 4:]):
        np.testing.assert_array_equal(block.any(axis=2), block.all(axis=2))
    assert by_tap.size / 2 - np.count_nonzero(~by_tap) in range(8), (
        "a block less in the ranking, and one more at the end"
    )
    of_four = sweep(rows, factor, Pattern(kept=2, of=4), COLUMNS, [0.5])[0].reshape(4, 25, 6) != 0
    assert (of_four[..., :4].sum(axis=2) == 2).all()
    assert of_four[..., 4:].all(), "a group of two may keep both"


def test_the_first_weights_to_go_are_those_that_cost_least() -> None:
    """In one span nothing changes before all of it is decided on: what a weight costs is known beforehand."""
    columns = Columns((5, 8, 1, 1))
    rows, matrix = problem(1, columns)
    costs = np.stack([rows[:, j] ** 2 / np.linalg.inv(matrix[j:, j:])[0, 0] for j in range(8)], axis=1)
    found = sweep(rows, inverse_factor(matrix), Pattern(), columns, [0.5])[0][0]
    assert set(np.flatnonzero(found == 0)) == set(np.argsort(costs, axis=None)[:20])
    pairs = [rows[:, j : j + 2] for j in range(0, 8, 2)]
    blocks = np.stack(
        [
            np.einsum(
                "ok,kj,oj->o", pair, np.linalg.inv(np.linalg.inv(matrix[2 * i :, 2 * i :])[:2, :2]), pair
            )
            for i, pair in enumerate(pairs)
        ],
        axis=1,
    )
    found = sweep(rows, inverse_factor(matrix), Pattern(block=2), columns, [0.5])[0][0]
    assert set(np.flatnonzero(found[:, ::2] == 0)) == set(np.argsort(blocks, axis=None)[:10])


def test_refitting_ends_at_the_least_squares() -> None:
    rows, matrix = problem(2)
    pruned = sweep(rows, inverse_factor(matrix), Pattern(), COLUMNS, [0.7])[0][0]
    found = refit(rows, pruned, matrix, steps=400)
    best = np.zeros_like(rows)
    for row, mask, out in zip(rows, pruned != 0, best, strict=True):
        out[mask] = np.linalg.solve(matrix[np.ix_(mask, mask)], matrix[mask] @ row)
    np.testing.assert_allclose(found, best, rtol=1e-6, atol=1e-8)
    few = cost(rows - refit(rows, pruned, matrix), matrix)
    assert (few <= cost(rows - pruned, matrix)).all()
    assert few.sum() < 1.05 * cost(rows - best, matrix).sum()


def test_the_factor_is_that_of_the_inverse() -> None:
    _, matrix = problem(3, Columns((1, 333, 1, 1)))
    factor = inverse_factor(matrix)
    assert not np.tril(factor, -1).any()
    np.testing.assert_allclose(factor.T @ factor @ matrix, np.eye(333), atol=1e-8)
